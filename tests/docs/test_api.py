"""The API document lists every parameter of the official SDKs (G1)."""

import typing

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from api_document import PATH, fields_of, kind_of, render
from conftest import ROOT
from openai.types.chat import completion_create_params

from app.api.chat import anthropic_request, openai_request


def parameters(*types: object) -> set[str]:
    return set().union(*(typing.get_type_hints(t) for t in types))


VENDORS = ["openai", "anthropic"]
OPENAI = parameters(completion_create_params.CompletionCreateParamsBase, completion_create_params.CompletionCreateParamsStreaming)
ANTHROPIC = parameters(message_create_params.MessageCreateParamsBase, message_create_params.MessageCreateParamsStreaming)


@pytest.mark.parametrize(
    ("module", "sdk"), [(openai_request, OPENAI), (anthropic_request, ANTHROPIC)], ids=["openai", "anthropic"]
)
def test_every_parameter_of_the_sdk_is_known(module: object, sdk: set[str]) -> None:
    """An SDK with a new parameter makes this fail: decide its treatment."""
    assert sdk - set(fields_of(module)) == set()


def test_what_can_be_counted_can_be_sent_to_be_counted() -> None:
    sent = parameters(message_count_tokens_params.MessageCountTokensParams)
    assert sent - set(anthropic_request.CountRequest.model_fields) == set()


@pytest.mark.parametrize("module", [openai_request, anthropic_request], ids=VENDORS)
def test_no_field_is_taken_in_two_ways(module: typing.Any) -> None:  # noqa: ANN401 - a module
    known = set(fields_of(module))
    assert known >= module.HARMLESS
    assert known >= module.REFUSED.keys()
    assert not module.HARMLESS & module.REFUSED.keys()
    assert {kind_of(module, name) for name in known} == {"honoured", "no effect", "refused"}


def test_the_document_is_current() -> None:
    """Write it anew with `python tests/docs/api_document.py`."""
    assert (ROOT / PATH).read_text() == render()
