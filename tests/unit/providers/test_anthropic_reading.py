"""Answers of Claude, and of servers that speak its protocol with accents."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.domain.calls import CitationDelta, Delta, NativeDelta, Reply, TextDelta, ThinkingDelta, ToolUseDelta
from app.domain.messages import Message, Native, Sampling, StopReason, Text, Thinking, ToolUse
from app.gateway.providers.anthropic_reading import Reading
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.errors import ProtocolError

Json = dict[str, Any]
REQUEST = ModelRequest(
    model="claude-x",
    system=(),
    messages=(Message("user", (Text("a"),)),),
    sampling=Sampling(),
    timeouts=Timeouts(1, 1, 1, 1),
)
CITED: Json = {"type": "char_location", "cited_text": "x", "document_index": 0}
FALLBACK: Json = {"type": "fallback", "from": {"model": "a"}, "trigger": None}


def whole(**fields: object) -> Reply:
    content = [{"type": "text", "text": "a"}]
    message = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}
    return Reading(REQUEST, "anthropic").whole(json.dumps({**message, **fields}).encode(), None)


def streamed(*events: Json, delta: Json | None = None, **ending: object) -> tuple[list[Delta], Reply]:
    reading = Reading(REQUEST, "anthropic")
    start = {"type": "message_start", "message": {"type": "message", "content": [], "usage": {"input_tokens": 3}}}
    last = {"type": "message_delta", "delta": delta or {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}, **ending}
    deltas = [d for event in (start, *events, last, {"type": "message_stop"}) for d in reading.deltas(event)]
    deltas += reading.close()
    return deltas, reading.reply(None)


def block(index: int, start: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end"),
        ("pause_turn", "pause_turn"),
        ("model_context_window_exceeded", "context_window"),
        ("max_tokens", "max_tokens"),
        ("refusal", "refusal"),
        ("sensitive", "refusal"),
        ("content_filtered", "refusal"),
        ("guardrail_intervened", "refusal"),
        ("length", "max_tokens"),
    ],
)
def test_each_reason_to_stop_is_kept(reason: str, stop: StopReason) -> None:
    assert whole(stop_reason=reason).stop == stop
    assert streamed(delta={"stop_reason": reason})[1].stop == stop


@pytest.mark.parametrize("usage", [None, {"input_tokens": 3, "output_tokens": 0}], ids=["no usage", "no output"])
def test_an_answer_that_holds_nothing_and_counts_nothing_is_none(usage: Json | None) -> None:
    with pytest.raises(ProtocolError, match="holds nothing"):
        whole(content=[], usage=usage)
    with pytest.raises(ProtocolError, match="holds nothing"):
        streamed(usage=usage)
    assert whole(content=[]).parts == streamed()[1].parts == (), "a model that had nothing to say"
    assert whole(content=[], usage=usage, stop_reason="max_tokens").stop == "max_tokens"
    warming = replace(REQUEST, native={"anthropic": {"max_tokens": 0}})
    body: Json = {"type": "message", "content": [], "stop_reason": "end_turn", "usage": usage}
    assert Reading(warming, "anthropic").whole(json.dumps(body).encode(), None).parts == ()


@pytest.mark.parametrize("cut", ["max_tokens", "model_context_window_exceeded", "refusal"])
def test_a_plain_end_behind_a_cut_takes_nothing_back(cut: str) -> None:
    before = {"type": "message_delta", "delta": {"stop_reason": cut, "stop_sequence": None}, "usage": {"output_tokens": 1}}
    assert streamed(before, delta={"stop_reason": "end_turn"})[1].stop == streamed(delta={"stop_reason": cut})[1].stop


@pytest.mark.parametrize("reason", ["compaction", "abort", "error", "SAFETY", "end"])
def test_a_reason_to_stop_that_is_not_known_is_no_clean_end(reason: str) -> None:
    """R6."""
    with pytest.raises(ProtocolError):
        whole(stop_reason=reason)
    with pytest.raises(ProtocolError):
        streamed(delta={"stop_reason": reason})


def test_the_details_of_a_refusal_are_kept() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    assert whole(stop_reason="refusal", stop_details=details).stop_details == details
    assert streamed(delta={"stop_reason": "refusal", "stop_details": details})[1].stop_details == details


@pytest.mark.parametrize(
    ("reported", "counts"),
    [
        ({"cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, (5, 10, 4)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4}}, (5, 10, 4)),
        ({"cache_creation_input_tokens": 10, "cache_creation": None}, (5, 10, 0)),
        ({"cache_creation_input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, (5, 1, 1)),
        ({"cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": -4}}, (0, 0, 0)),
    ],
)
def test_cache_writes_are_counted_by_how_long_they_stay(reported: Json, counts: tuple[int, int, int]) -> None:
    """C2."""
    used = whole(usage={"input_tokens": 5, "output_tokens": 2, **reported}).usage
    assert (used.input, used.cache_write, used.cache_write_1h) == counts


def test_every_turn_of_a_request_is_billed() -> None:
    """C2. The figures are those of a recorded answer whose conversation was shortened first."""
    turns: list[Any] = [
        {"type": "compaction", "input_tokens": 100, "output_tokens": 83, "cache_read_input_tokens": 55096, "cache_creation": {}},
        {"type": "message", "input_tokens": 181, "output_tokens": 8, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
        None,
    ]
    reported: Json = {"input_tokens": 181, "cache_read_input_tokens": 0, "output_tokens": 8, "iterations": turns}
    for used in (whole(usage=reported).usage, streamed(usage=reported)[1].usage):
        assert (used.input, used.cached_input, used.output) == (281, 55096, 91)
        assert (used.cache_write, used.cache_write_1h, used.estimated) == (4, 4, False)
    one = {"input_tokens": 5, "output_tokens": 2, "iterations": [{"type": "message", "input_tokens": 5, "output_tokens": 2}]}
    assert whole(usage=one).usage.input == 5
    assert (whole(usage={**one, "input_tokens": -5}).usage.input, whole(usage={**one, "output_tokens": 9}).usage.output) == (0, 9)
    assert whole(usage={**one, "iterations": [{"input_tokens": "many"}]}).usage.input == 5


def test_citations_are_kept_with_their_text() -> None:
    expected = (Text("ab", citations=(CITED,)), Text("c"))
    content = [{"type": "text", "text": "ab", "citations": [CITED]}, {"type": "text", "text": "c", "citations": None}]
    assert whole(content=content).parts == expected
    texts: list[Json] = [
        {"type": "text_delta", "text": "a"},
        {"type": "citations_delta", "citation": CITED},
        {"type": "text_delta", "text": "b"},
    ]
    deltas, reply = streamed(
        *block(0, {"type": "text", "text": "", "citations": []}, *texts),
        *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "c"}),
    )
    assert reply.parts == expected
    assert deltas == [TextDelta(0, "a"), CitationDelta(0, CITED), TextDelta(0, "b"), TextDelta(1, "c")]


def test_a_kind_of_block_that_we_do_not_know_is_kept_whole() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    parts = (Native("anthropic", FALLBACK), Native("anthropic", {**use, "input": {"q": 1}}), Text("a"))
    assert whole(content=[FALLBACK, {**use, "input": {"q": 1}}, {"type": "text", "text": "a"}]).parts == parts
    deltas, reply = streamed(
        *block(0, FALLBACK),
        *block(1, use, {"type": "input_json_delta", "partial_json": '{"q":'}, {"type": "input_json_delta", "partial_json": "1}"}),
        *block(2, {"type": "text", "text": "a"}),
    )
    assert reply.parts == parts
    assert deltas[:2] == [NativeDelta(0, parts[0]), NativeDelta(1, parts[1])]


def test_further_fields_of_the_answer_are_kept_for_callers_of_this_form() -> None:
    managed: Json = {"applied_edits": []}
    assert whole(context_management=managed).native == {"anthropic": {"context_management": managed}}
    assert streamed(context_management=managed)[1].native == {"anthropic": {"context_management": managed}}


@pytest.mark.parametrize(
    "fields",
    [
        {"content": None},
        {"content": [{"type": "text", "text": None}]},
        {"content": [{"type": "thinking", "thinking": None, "signature": None}]},
        {"stop_reason": None, "stop_sequence": None, "stop_details": None},
        {"usage": None},
        {"usage": {"input_tokens": None, "output_tokens": None, "cache_creation": "none"}},
        {"container": None, "context_management": None, "id": 7, "role": None, "stop_details": "none"},
    ],
)
def test_fields_that_are_null_or_odd_cost_nothing(fields: Json) -> None:
    assert whole(**fields).stop == "end"


def test_a_tool_call_without_a_stop_reason_is_one() -> None:
    assert whole(content=[{"type": "tool_use", "id": "t", "name": "f", "input": {}}], stop_reason=None).stop == "tool_use"


def test_reasoning_begins_as_one_that_its_vendor_signs() -> None:
    deltas, reply = streamed(
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "s"},
        )
    )
    assert deltas[0] == ThinkingDelta(0, signed=True)
    assert reply.parts == (Thinking("hm", "s"),)


def test_a_stream_whose_deltas_come_without_their_start_is_read() -> None:
    deltas, reply = streamed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}})
    assert (deltas, reply.parts) == ([TextDelta(0, "a")], (Text("a"),))
    with pytest.raises(ProtocolError):
        streamed({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}})


def test_a_tool_call_in_pieces_is_put_together() -> None:
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"a"', ": 1}")]
    _, reply = streamed(*block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *pieces))
    assert reply.parts == (ToolUse("t", "f", '{"a": 1}'),)


CALL: Json = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
ARGUMENTS: Json = {"type": "input_json_delta", "partial_json": '{"a": 1}'}
SAID: Json = {"type": "text_delta", "text": "hi"}
THOUGHT: Json = {"type": "thinking_delta", "thinking": "hm"}
BLOCKS: dict[str, tuple[list[Json], tuple[object, ...]]] = {
    "reasoning in a block of text": (block(0, {"type": "text", "text": ""}, THOUGHT, SAID), (Thinking("hm"), Text("hi"))),
    "reasoning and text with one index": (
        [*block(0, {"type": "thinking", "thinking": ""}, THOUGHT), *block(0, {"type": "text", "text": ""}, SAID)],
        (Thinking("hm"), Text("hi")),
    ),
    "two texts with one index": (
        [*block(0, {"type": "text", "text": ""}, SAID), *block(0, {"type": "text", "text": ""}, SAID)],
        (Text("hi"), Text("hi")),
    ),
    "a text and a call with one index": (
        [*block(0, {"type": "text", "text": ""}, SAID), *block(0, CALL, ARGUMENTS)],
        (Text("hi"), ToolUse("t", "f", '{"a": 1}')),
    ),
    "two calls with one index": (
        [*block(0, CALL, ARGUMENTS), *block(0, {**CALL, "id": "u", "name": "g"}, ARGUMENTS)],
        (ToolUse("t", "f", '{"a": 1}'), ToolUse("u", "g", '{"a": 1}')),
    ),
    "two calls with one index, neither ended": (
        [*block(0, CALL, ARGUMENTS)[:2], *block(0, {**CALL, "id": "u", "name": "g"}, ARGUMENTS)[:2]],
        (ToolUse("t", "f", '{"a": 1}'), ToolUse("u", "g", '{"a": 1}')),
    ),
    "no index": (
        [{"type": "content_block_delta", "index": None, "delta": SAID}, {"type": "content_block_delta", "delta": SAID}],
        (Text("hihi"),),
    ),
    "the input at the start": (block(0, {**CALL, "input": {"a": 1}}), (ToolUse("t", "f", '{"a": 1}'),)),
    "the input at the start, never ended": (block(0, {**CALL, "input": {"a": 1}})[:1], (ToolUse("t", "f", '{"a": 1}'),)),
    "the input at the start and again": (block(0, {**CALL, "input": {"a": 1}}, ARGUMENTS), (ToolUse("t", "f", '{"a": 1}'),)),
    "the input as a text": (block(0, {**CALL, "input": '{"a": 1}'}), (ToolUse("t", "f", '{"a": 1}'),)),
    "pieces as an object": (
        block(0, CALL, {"type": "input_json_delta", "partial_json": {"a": 1}}),
        (ToolUse("t", "f", '{"a": 1}'),),
    ),
    "a citation that is null": (block(0, {"type": "text", "text": "hi", "citations": [None]}), (Text("hi"),)),
}


@pytest.mark.parametrize(("events", "parts"), BLOCKS.values(), ids=BLOCKS)
def test_blocks_are_kept_apart_and_a_call_ends_as_one(events: list[Json], parts: tuple[object, ...]) -> None:
    deltas, reply = streamed(*events)
    assert reply.parts == parts
    assert reply.stop == ("tool_use" if any(isinstance(part, ToolUse) for part in parts) else "end")
    spelled: dict[int, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolUseDelta):
            spelled[delta.index] = spelled.get(delta.index, "") + delta.arguments
    assert list(spelled.values()) == [part.arguments for part in parts if isinstance(part, ToolUse)]


def test_a_call_that_never_comes_is_not_waited_for() -> None:
    assert whole(stop_reason="tool_use").stop == "end"
    assert whole(stop_reason="tool_use", content=[]).stop == "tool_use"


def test_two_calls_never_have_one_id() -> None:
    """A result names its call by the id, and the vendor refuses a conversation in which two calls have one."""
    calls = [{**CALL, "input": {"a": n}} for n in (1, 2)]
    in_blocks = [event for index, use in enumerate(calls) for event in block(index, use)]
    for reply in (whole(content=calls, stop_reason="tool_use"), streamed(*in_blocks)[1]):
        assert [use.arguments for use in reply.tool_uses] == ['{"a": 1}', '{"a": 2}']
        assert reply.tool_uses[0].id == "t"
        assert reply.tool_uses[1].id.startswith("toolu_")


def test_a_call_without_an_id_gets_one() -> None:
    nameless = {**CALL, "id": None, "input": {"a": 1}}
    for reply in (whole(content=[nameless]), streamed(*block(0, nameless))[1]):
        assert reply.tool_uses[0].id.startswith("toolu_")
        assert (reply.tool_uses[0].arguments, reply.stop) == ('{"a": 1}', "tool_use")


@pytest.mark.parametrize("fields", [{"content": "a"}, {"content": [None, {"type": "text", "text": "a"}]}, {"type": None}])
def test_a_message_is_read_in_every_form(fields: Json) -> None:
    assert whole(**fields).text == "a"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"type": "completion", "content": []}', b'{"type": "message"}', b"data: {}"]
)
def test_a_body_that_is_no_message_is_garbled(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's and ours
        Reading(REQUEST, "anthropic").whole(body, None)


def test_two_answers_in_one_stream_are_none() -> None:
    """R6."""
    first = {"type": "message_start", "message": {"id": "a", "type": "message", "content": []}}
    second = {"type": "message_start", "message": {"id": "b", "type": "message", "content": []}}
    cut = block(0, CALL, {"type": "input_json_delta", "partial_json": '{"a'})[:2]
    with pytest.raises(ProtocolError, match="Another answer"):
        streamed(first, *cut, second, *block(0, CALL, ARGUMENTS))
    assert streamed(first, second, *block(0, CALL, ARGUMENTS))[1].tool_uses[0].arguments == '{"a": 1}'
    assert streamed(first, *block(0, {"type": "text", "text": ""}, SAID), first)[1].text == "hi"
