"""The Responses API of the SDK, down to its nested fields, is known here: honoured, left out or refused by name (G1)."""

import typing
from collections.abc import Iterator

import pytest
from openai.types import responses as sdk
from openai.types import shared_params
from openai.types.responses import input_token_count_params, response_create_params, response_input_item_param
from typing_extensions import is_typeddict

from app.api.responses import hosted_items, input_items, request, tools
from app.api.responses.parsing import Wire

PAIRS: list[tuple[object, type[Wire]]] = [
    (response_create_params.ResponseCreateParamsNonStreaming, request.ResponsesRequest),
    (response_create_params.StreamOptions, request.StreamOptions),
    (input_token_count_params.InputTokenCountParams, request.CountRequest),
    (shared_params.Reasoning, request.Reasoning),
    (sdk.ResponseTextConfigParam, request.TextConfig),
    (sdk.ResponseFormatTextJSONSchemaConfigParam, request.Format),
    (sdk.FunctionToolParam, tools.FunctionTool),
    (sdk.CustomToolParam, tools.CustomTool),
    (sdk.NamespaceToolParam, tools.Namespace),
    (sdk.ToolChoiceAllowedParam, tools.AllowedTools),
    (sdk.ToolChoiceFunctionParam, tools.NamedTool),
    (sdk.ToolChoiceCustomParam, tools.NamedTool),
    (sdk.EasyInputMessageParam, input_items.MessageItem),
    (response_input_item_param.Message, input_items.MessageItem),
    (sdk.ResponseOutputMessageParam, input_items.MessageItem),
    (sdk.ResponseFunctionToolCallParam, input_items.FunctionCall),
    (sdk.ResponseCustomToolCallParam, input_items.CustomCall),
    (response_input_item_param.FunctionCallOutput, input_items.CallOutput),
    (sdk.ResponseCustomToolCallOutputParam, input_items.CallOutput),
    (sdk.ResponseReasoningItemParam, input_items.ReasoningItem),
    (response_input_item_param.AdditionalTools, input_items.AdditionalTools),
    (sdk.ResponseInputTextParam, input_items.InputText),
    (sdk.ResponseInputImageParam, input_items.InputImage),
    (sdk.ResponseInputFileParam, input_items.InputFile),
    (sdk.ResponseOutputTextParam, input_items.OutputText),
    (sdk.ResponseOutputRefusalParam, input_items.RefusalPart),
]


def members(union: object) -> Iterator[type]:
    """The typed dictionaries of a union, wherever they are in it."""
    if is_typeddict(union):
        yield typing.cast("type", union)
    for inner in typing.get_args(union):
        yield from members(inner)


def kinds(union: object) -> set[str]:
    """The values of ``type`` in a union."""

    def literals(hint: object) -> Iterator[str]:
        if typing.get_origin(hint) is typing.Literal:
            yield from typing.get_args(hint)
        for inner in typing.get_args(hint):
            yield from literals(inner)

    return {kind for member in members(union) for kind in literals(typing.get_type_hints(member).get("type"))}


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=[f"{t.__name__}-{o.__name__}" for t, o in PAIRS])  # type: ignore[attr-defined]
def test_every_field_of_the_sdk_is_known(theirs: object, ours: type[Wire]) -> None:
    """An SDK with a new field makes this fail: decide its treatment."""
    known = {field.alias or name for name, field in ours.model_fields.items()}
    assert set(typing.get_type_hints(theirs)) - known == set()


def test_every_kind_of_item_tool_and_choice_is_known() -> None:
    items = kinds(sdk.ResponseInputItemParam)
    of_codex = {"agent_message", "context_compaction"}
    assert items | of_codex == set(input_items.KNOWN) | hosted_items.REFUSED.keys() | {"item_reference"}
    assert not set(input_items.KNOWN) & hosted_items.REFUSED.keys()
    offered = kinds(sdk.ToolParam)
    assert offered - set(tools.KNOWN) - tools.HOSTED - tools.WEB_SEARCH == set()
    chosen = kinds(response_create_params.ToolChoice)
    assert chosen - {"function", "custom", "allowed_tools"} - tools.HOSTED - tools.WEB_SEARCH == set()


def test_every_value_of_include_is_known() -> None:
    values = set(typing.get_args(sdk.ResponseIncludable))
    assert values - request.NOTHING_TO_INCLUDE == {request.ENCRYPTED, "message.output_text.logprobs"}


def test_no_field_is_taken_in_two_ways() -> None:
    known = set(request.ResponsesRequest.model_fields) | set(request.CountRequest.model_fields)
    assert known >= request.HARMLESS | request.REFUSED.keys()
    assert not request.HARMLESS & request.REFUSED.keys()
