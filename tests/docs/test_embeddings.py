"""The embeddings request knows every parameter of the SDK, and the documents name each of them (G1a)."""

import re
import typing

from conftest import ROOT
from openai.types import embedding_create_params

from app.api.embeddings.request import EmbeddingsRequest

SDK = set(typing.get_type_hints(embedding_create_params.EmbeddingCreateParams))


def test_every_parameter_of_the_sdk_is_known_and_no_other() -> None:
    assert set(EmbeddingsRequest.model_fields) == SDK


def test_the_document_lists_every_field() -> None:
    page = (ROOT / "docs" / "requests.md").read_text()
    section = page.split("## Embeddings")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == SDK
