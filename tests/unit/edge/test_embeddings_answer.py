"""Vectors as OpenAI's list of embeddings."""

import base64
import json

import pytest

from app.api.embeddings.answer import Encoding, embeddings, is_large
from app.domain.calls import Reply, Usage
from app.domain.embeddings import floats, from_floats

NUMBERS = [0.1, -0.0, 1e-38, 3.4e38, -1.5, 1 / 3]
VECTOR = from_floats(NUMBERS)


def reply(*vectors: bytes) -> Reply:
    return Reply(parts=(), stop="end", usage=Usage(input=5, cached_input=2), provider="p", model="m", vectors=vectors)


def test_numbers_and_base64_are_the_same_32_bit_floats() -> None:
    """A client that asks for numbers gets exactly those that the SDK makes of base64."""
    written = [json.loads(embeddings(reply(VECTOR), alias="embed", encoding=e))["data"][0]["embedding"] for e in ENCODINGS]
    assert written[0] == floats(VECTOR).tolist()
    assert base64.b64decode(written[1]) == VECTOR


ENCODINGS: tuple[Encoding, ...] = ("float", "base64")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_list_has_the_vendor_s_form(encoding: Encoding) -> None:
    answer = json.loads(embeddings(reply(VECTOR, VECTOR), alias='a"b', encoding=encoding, degraded=["narrowed"]))
    assert (answer["object"], answer["model"], answer["octant"]) == ("list", 'a"b', {"degraded": ["narrowed"]})
    assert [(item["object"], item["index"]) for item in answer["data"]] == [("embedding", 0), ("embedding", 1)]
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_a_large_answer_is_written_beside_the_loop() -> None:
    assert not is_large(reply(VECTOR))
    assert is_large(reply(*[VECTOR * 512] * 100))
