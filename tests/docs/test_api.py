"""The API document lists every field of the official SDKs' requests, down to the last nested one (G1)."""

from types import ModuleType

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from api_document import PATH, TREATMENTS, fields_of, kind_of, listed, render
from api_fields import Fields, of_model, of_sdk, shown
from conftest import ROOT
from openai.types.chat import completion_create_params
from pydantic import BaseModel
from typing_extensions import TypedDict

from app.api.chat import anthropic_request, openai_request

VENDORS = ["openai", "anthropic"]
OPENAI = of_sdk(completion_create_params.CompletionCreateParamsBase, completion_create_params.CompletionCreateParamsStreaming)
ANTHROPIC = of_sdk(message_create_params.MessageCreateParamsBase, message_create_params.MessageCreateParamsStreaming)


@pytest.mark.parametrize(
    ("module", "sdk"),
    [(openai_request, OPENAI), (anthropic_request, ANTHROPIC)],
    ids=VENDORS,
)
def test_every_nested_field_of_the_sdk_is_known(module: ModuleType, sdk: Fields) -> None:
    """An SDK with a new field makes this fail: decide its treatment."""
    known = fields_of(module)
    assert known.tops(known.missing(sdk)) == set()


def test_what_can_be_counted_can_be_sent_to_be_counted() -> None:
    """Down to the nested fields: what a message may hold can be counted."""
    counted, sent = of_model(anthropic_request.CountRequest), fields_of(anthropic_request)
    wanted = of_sdk(message_count_tokens_params.MessageCountTokensParams)
    assert counted.missing(wanted) <= sent.missing(wanted) | sent.missing(ANTHROPIC)


@pytest.mark.parametrize("module", [openai_request, anthropic_request], ids=VENDORS)
def test_no_field_is_taken_in_two_ways(module: ModuleType) -> None:
    known = set(map(shown, fields_of(module).paths))
    taken = [field for treatment in TREATMENTS for field in listed(module, treatment)]
    assert sorted(taken) == sorted(set(taken))
    assert set(taken) - known == set()
    assert {kind_of(module, name) for name in known} <= {"honoured", *TREATMENTS}


def test_a_field_that_takes_any_json_is_a_schema_or_has_no_part_in_the_answer() -> None:
    """Whatever an SDK adds within such a field goes unseen: it may not be one that is honoured by its parts."""
    schemas = {"functions[].parameters", "tools[].function.parameters", "response_format.json_schema.schema"}
    names_only = {"tool_choice.allowed_tools.tools[]", "logit_bias", "prompt"}  # `app.edge.prompts` checks every part of ours
    free = set(map(shown, fields_of(openai_request).free)) - schemas - names_only
    assert {name for name in free if kind_of(openai_request, name) == "honoured"} == set()


def test_the_document_is_current() -> None:
    """Write it anew with `python tests/docs/api_document.py`."""
    assert (ROOT / PATH).read_text() == render()


class Deep(TypedDict):
    type: str
    deep: int


class Wanted(TypedDict):
    inner: list[Deep]


class Known(BaseModel):
    type: str


class Body(BaseModel):
    inner: list[Known] | None = None


def test_a_nested_field_that_only_the_sdk_has_is_found() -> None:
    assert of_model(Body).missing(of_sdk(Wanted)) == {"inner[].deep"}


class Free(BaseModel, extra="allow"):
    type: str


class FreeBody(BaseModel):
    inner: list[Free]


def test_a_model_that_takes_any_field_knows_all_within() -> None:
    assert of_model(FreeBody).missing(of_sdk(Wanted)) == set()
