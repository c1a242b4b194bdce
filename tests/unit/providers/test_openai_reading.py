"""The accents of servers that speak OpenAI's chat completions: each is read as the answer that it means."""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from growth import is_linear

from app.domain.calls import Delta, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.messages import Message, Refusal, Sampling, StopReason, Text, Thinking, ToolSpec, ToolUse
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.errors import ProtocolError, ReportedError
from app.gateway.providers.openai_calls import MOST_CALLS
from app.gateway.providers.openai_events import body_documents
from app.gateway.providers.openai_finish import FINISHES
from app.gateway.providers.openai_reading import Reading

Json = dict[str, Any]
EMOJI = "\U0001f600"
HALVES = ("\ud83d", "\ude00")


def reading(*, stop: tuple[str, ...] = (), requested: frozenset[str] = frozenset(), tools: Sequence[str] = ()) -> Reading:
    request = ModelRequest(
        model="asked",
        system=(),
        messages=(Message("user", (Text("hello"),)),),
        sampling=Sampling(max_output_tokens=50, stop=stop),
        timeouts=Timeouts(1, 1, 1, 1),
        requested=requested,
        tools=tuple(ToolSpec(name, "", {}) for name in tools),
    )
    return Reading(request, "openai")


def whole(message: object, finish: object = "stop", **more: object) -> Reply:
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    return reading().whole(json.dumps(body).encode(), None)


def chunk(finish: object = None, /, **delta: object) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def streamed(*events: object, ends: str | None = "stop", tools: Sequence[str] = ()) -> Reply:
    """Read a stream; its deltas must spell the reply."""
    read = reading(tools=tools)
    deltas = [delta for event in events for delta in read.deltas(json.loads(json.dumps(event)))]
    if ends:
        deltas += read.deltas(chunk(ends))
    deltas += read.close()
    reply = read.reply(None)
    assert spelled(deltas) == [part for part in reply.parts if not isinstance(part, Refusal)]
    return reply


def spelled(deltas: list[Delta]) -> list[object]:
    """The parts that a client puts together; a call's arguments may only follow its start."""
    parts: dict[int, Any] = {}
    for delta in deltas:
        match delta:
            case TextDelta(index=index, text=text):
                parts[index] = Text(parts.get(index, Text("")).text + text)
            case ThinkingDelta(index=index, text=text):
                parts[index] = Thinking(parts.get(index, Thinking("")).text + text)
            case ToolUseStart(index=index, id=id_, name=name):
                assert index not in parts
                parts[index] = ToolUse(id_, name, "", signature=delta.signature)
            case ToolUseDelta(index=index, arguments=arguments):
                parts[index] = replace(parts[index], arguments=parts[index].arguments + arguments)
    return [parts[index] for index in sorted(parts)]


def call(index: object = 0, id_: object = None, name: object = None, arguments: object = None, **more: object) -> Json:
    """One entry of `tool_calls`; a field that is None is left out."""
    fields = {"index": index, "id": id_, **more}
    function = {"name": name, "arguments": arguments}
    shown = {k: v for k, v in fields.items() if v is not None}
    return {**shown, "function": {k: v for k, v in function.items() if v is not None}}


def calls(reply: Reply) -> list[tuple[str, str]]:
    assert reply.stop == "tool_use"
    ids = [use.id for use in reply.tool_uses]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    return [(use.name, use.arguments) for use in reply.tool_uses]


F, G = ("f", '{"a":1}'), ("g", '{"b":2}')
TOGETHER = [F, G]

TOOL_STREAMS: dict[str, tuple[list[list[Json]], list[tuple[str, str]]]] = {
    "as the vendor": (
        [[call(0, "c1", "f", "")], [call(0, arguments='{"a"')], [call(0, arguments=":1}")], [call(1, "c2", "g", '{"b":2}')]],
        TOGETHER,
    ),
    "interleaved": (
        [
            [call(0, "c1", "f", ""), call(1, "c2", "g", "")],
            [call(0, arguments='{"a":')],
            [call(1, arguments='{"b":')],
            [call(0, arguments="1}")],
            [call(1, arguments="2}")],
        ],
        TOGETHER,
    ),
    "every index is 0": ([[call(0, "c1", *F)], [call(0, "c2", *G)]], TOGETHER),
    "every index is 0, in pieces": (
        [[call(0, "c1", "f", "")], [call(0, arguments='{"a":1}')], [call(0, "c2", "g", "")], [call(0, arguments='{"b":2}')]],
        TOGETHER,
    ),
    "every index is 0, in one chunk": ([[call(0, "c1", *F), call(0, "c2", *G)]], TOGETHER),
    "every index is 0 and no id": ([[call(0, None, *F)], [call(0, None, *G)]], TOGETHER),
    "no index": ([[call(None, "c1", *F)], [call(None, "c2", *G)]], TOGETHER),
    "no index, in pieces": (
        [[call(None, "c1", "f", '{"a"')], [call(None, arguments=":1}")], [call(None, "c2", "g", '{"b":2}')]],
        TOGETHER,
    ),
    "no index and no id": ([[call(None, None, *F)], [call(None, None, *G)]], TOGETHER),
    "no index and no id, in one chunk": ([[call(None, None, *F), call(None, None, *G)]], TOGETHER),
    "an empty id": ([[call(0, "", *F)], [call(1, "", *G)]], TOGETHER),
    "an id that is null": ([[{"index": 0, "id": None, "function": {"name": "f", "arguments": '{"a":1}'}}]], [F]),
    "one id for two calls": ([[call(0, "c", *F)], [call(1, "c", *G)]], TOGETHER),
    "one id for two calls of one tool": (
        [[call(0, "c", "f", '{"a":1}')], [call(1, "c", "f", '{"a":2}')]],
        [("f", '{"a":1}'), ("f", '{"a":2}')],
    ),
    "one id for two calls, in pieces": (  # mudler/LocalAI's chat.go
        [[call(0, "c", "f", "")], [call(0, "c", None, F[1])], [call(1, "c", "g", "")], [call(1, "c", None, G[1])]],
        TOGETHER,
    ),
    "one id for two calls of one tool, in pieces": (
        [[call(0, "c", "f", "")], [call(0, "c", None, F[1])], [call(1, "c", "f", "")], [call(1, "c", None, '{"a":2}')]],
        [("f", '{"a":1}'), ("f", '{"a":2}')],
    ),
    "one call sent again at the next index": (  # mudler/LocalAI#9722
        [[call(0, "c", "f", "")], [call(0, "c", None, F[1])], [call(1, "c", "f", "")], [call(1, "c", None, F[1])]],
        [F],
    ),
    "two pieces of one call in one chunk": (  # openai/openai-python#3201: vLLM with speculative decoding
        [[call(0, "c1", "f", '{"a'), call(0, arguments='":')], [call(0, arguments="1}")]],
        [F],
    ),
    "a second head at index 0 and its tail at index 1": (  # agno-agi/agno#8880
        [[call(0, "c1", "f", '{"a"')], [call(0, arguments=":1}")], [call(0, "c2", "g", "")], [call(1, arguments='{"b":2}')]],
        TOGETHER,
    ),
    "all arguments again behind their pieces": (  # lidge-jun/opencodex#361
        [[call(0, "c1", "f", "")], [call(0, arguments='{"a"')], [call(0, arguments=":1}")], [call(0, arguments=F[1])]],
        [F],
    ),
    "an id that comes later than the name": ([[call(0, None, "f", "")], [call(0, "c1", None, '{"a":1}')]], [F]),
    "a name that comes later than the id": ([[call(0, "c1")], [call(0, None, "f")], [call(0, None, None, '{"a":1}')]], [F]),
    "a name that comes after the arguments": ([[call(0, "c1", None, '{"a"')], [call(0, "c1", "f", ":1}")]], [F]),
    "a name in every chunk": ([[call(0, "c1", "f", '{"a"')], [call(0, None, "f", ":1}")], [call(1, "c2", *G)]], TOGETHER),
    "id and name in every chunk": ([[call(0, "c1", "f", '{"a"')], [call(0, "c1", "f", ":1}")], [call(1, "c2", *G)]], TOGETHER),
    "a name that is null or empty later": ([[call(0, "c1", "f", '{"a"')], [call(0, "", "", ":1}")]], [F]),
    "arguments as an object": ([[call(0, "c1", "f", {"a": 1})]], [("f", '{"a": 1}')]),
    "arguments that are null": ([[call(0, "c1", "f")], [call(0, arguments='{"a":1}')]], [F]),
    "arguments sent again from the start": (
        [[call(0, "c1", "f", '{"a"')], [call(0, "c1", "f", '{"a":1')], [call(0, "c1", "f", '{"a":1}')]],
        [F],
    ),
    "arguments repeated whole at the end": (
        [[call(0, "c1", "f", '{"a"')], [call(0, None, None, ":1}")], [call(0, "c1", *F)]],
        [F],
    ),
    "arguments repeated whole, as JSON written twice": (
        [[call(0, "c1", "f", '{"a"')], [call(0, "c1", None, ":1}")], [call(0, "c1", "f", json.dumps(F[1]))]],
        [F],
    ),
    "a text that is JSON among the arguments": (
        [[call(0, "c1", "f", '{"a":')], [call(0, None, None, json.dumps('{"b":1}'))], [call(0, None, None, "}")]],
        [("f", '{"a":"{\\"b\\":1}"}')],
    ),
    "null for no arguments": ([[call(0, "c1", "f", "null")], [call(1, "c2", "g", "")]], [("f", "{}"), ("g", "{}")]),
    "null before the arguments": ([[call(0, "c1", "f", "null")], [call(0, None, None, '{"a":1}')]], [F]),
    "a token behind the name": ([[call(0, "c1", "f<|channel|>commentary", '{"a"')], [call(0, arguments=":1}")]], [F]),
    "a token behind the name, again": (
        [[call(0, "c1", "f<|channel|>commentary", '{"a"')], [call(0, "c1", "f<|channel|>commentary", ":1}")]],
        [F],
    ),
    "blanks around the name": ([[call(0, "c1", " f\n", '{"a":1}')]], [F]),
    "arguments repeated without a name": ([[call(0, "c1", *F)], [call(0, None, None, '{"a":1}')]], [F]),
    "an empty object before the arguments": ([[call(0, "c1", "f", "{}")], [call(0, None, None, '{"a":1}')]], [F]),
    "no arguments": ([[call(0, "c1", "f")]], [("f", "{}")]),
    "no arguments, twice": ([[call(0, "c1", "f", "")], [call(1, "c2", "g", "")]], [("f", "{}"), ("g", "{}")]),
    "one call at two indexes": ([[call(0, "c1", "f", "")], [call(1, "c1", None, '{"a":1}')]], [F]),
    "a head at index 0 and its tail at index 1": (
        [[call(0, "c1", *F)], [call(0, "c2", "g", "")], [call(1, None, None, '{"b":2}')]],
        TOGETHER,
    ),
    "an index that is a text": ([[call("0", "c1", *F)], [call("1", "c2", *G)]], TOGETHER),
    "a null among the calls": ([[None, call(0, "c1", *F)]], [F]),  # type: ignore[list-item]
    "one call that is not in a list": ([call(0, "c1", *F)], [F]),  # type: ignore[list-item]
    "two calls of one tool": (
        [[call(0, "c1", "f", '{"a":1}')], [call(0, "c2", "f", '{"a":2}')]],
        [("f", '{"a":1}'), ("f", '{"a":2}')],
    ),
    "two calls of one tool without ids": (
        [[call(0, None, "f", '{"a":1}')], [call(0, None, "f", '{"a":2}')]],
        [("f", '{"a":1}'), ("f", '{"a":2}')],
    ),
    "an id of its own in each fragment, and one of nothing at the end": (
        [[call(0, "c1", "f", "")], [call(0, "c2", "", '{"a"')], [call(0, "c3", "", ":1}")], [call(0, "c4", "", "")]],
        [F],
    ),
    "two equal calls": ([[call(0, "c1", *F)], [call(1, "c2", *F)]], [F, F]),
    "arguments that repeat themselves within": (
        [[call(0, "c1", "f", '{"a":')], [call(0, None, None, '{"a":1}}')]],
        [("f", '{"a":{"a":1}}')],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), TOOL_STREAMS.values(), ids=TOOL_STREAMS)
def test_tool_calls_of_a_stream_are_kept_apart(chunks: list[list[Json]], expected: list[tuple[str, str]]) -> None:
    assert calls(streamed(*(chunk(tool_calls=fragments) for fragments in chunks), ends="tool_calls")) == expected


PIECES: dict[str, tuple[list[list[Json]], list[tuple[str, str]]]] = {
    "before the arguments": (
        [[call(0, "c1", "get_", "")], [call(0, None, "weather", "")], [call(0, arguments='{"a":1}')]],
        [("get_weather", F[1])],
    ),
    "with them": (
        [[call(0, "c1", "get_")], [call(0, "c1", "weather", '{"a"')], [call(0, arguments=":1}")]],
        [("get_weather", F[1])],
    ),
    "without ids": ([[call(0, None, "edit_ex")], [call(0, None, "isting", "{}")]], [("edit_existing", "{}")]),
    "of one call after the other": (
        [[call(0, "c1", "get_")], [call(0, None, "weather")], [call(1, "c2", "edit_")], [call(1, None, "existing", F[1])]],
        [("get_weather", "{}"), ("edit_existing", F[1])],
    ),
    "another tool's name": (
        [[call(0, None, "get")], [call(0, None, "get_weather", "{}")]],
        [("get", "{}"), ("get_weather", "{}")],
    ),
    "the name again": ([[call(0, "c1", "get")], [call(0, "c1", "get", F[1])]], [("get", F[1])]),
    "a longer name, alone": ([[call(0, "c1", "get")], [call(0, None, "_weather")]], [("get_weather", "{}")]),
    "a name that was not offered": (
        [[call(0, "c1", "get_x")], [call(0, None, "weather", F[1])]],
        [("get_x", "{}"), ("weather", F[1])],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), PIECES.values(), ids=PIECES)
def test_a_name_in_pieces_is_that_of_an_offered_tool(chunks: list[list[Json]], expected: list[tuple[str, str]]) -> None:
    sent = [chunk(tool_calls=fragments) for fragments in chunks]
    assert calls(streamed(*sent, ends="tool_calls", tools=("get", "get_weather", "edit_existing"))) == expected


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call", "tool_use", "TOOL_CALLS", "STOP"])
def test_a_call_ends_as_a_call_whatever_the_server_says(finish: str) -> None:
    assert calls(streamed(chunk(tool_calls=[call(0, "c1", *F)]), ends=finish)) == [F]


WHOLE_CALLS: dict[str, tuple[Json, list[tuple[str, str]]]] = {
    "as the vendor": ({"tool_calls": [call(None, "c1", *F), call(None, "c2", *G)]}, TOGETHER),
    "no id": ({"tool_calls": [call(None, None, *F)]}, [F]),
    "an empty id": ({"tool_calls": [call(None, "", *F), call(None, "", *G)]}, TOGETHER),
    "one id for two": ({"tool_calls": [call(None, "c", *F), call(None, "c", *G)]}, TOGETHER),
    "every index is 0": ({"tool_calls": [call(0, "c1", *F), call(0, "c2", *G)]}, TOGETHER),
    "arguments as an object": ({"tool_calls": [call(None, "c1", "f", {"a": "é"})]}, [("f", '{"a": "é"}')]),
    "arguments as a number": ({"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": 5}}]}, [("f", "5")]),
    "arguments written as JSON twice": ({"tool_calls": [call(None, "c1", "f", json.dumps(F[1]))]}, [F]),
    "arguments that are a text": ({"tool_calls": [call(None, "c1", "f", '"a text"')]}, [("f", '"a text"')]),
    "arguments that are null": ({"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": None}}]}, [("f", "{}")]),
    "arguments that are empty": ({"tool_calls": [call(None, "c1", "f", "")]}, [("f", "{}")]),
    "the form from before tools": ({"function_call": {"name": "f", "arguments": '{"a":1}'}}, [F]),
    "both forms": ({"function_call": {"name": "f", "arguments": '{"a":1}'}, "tool_calls": [call(None, "c1", *F)]}, [F]),
    "content beside": ({"content": "", "tool_calls": [call(None, "c1", *F)]}, [F]),
}


@pytest.mark.parametrize(("message", "expected"), WHOLE_CALLS.values(), ids=WHOLE_CALLS)
def test_tool_calls_of_a_whole_answer_are_read(message: Json, expected: list[tuple[str, str]]) -> None:
    assert calls(whole(message, "tool_calls")) == expected


@pytest.mark.parametrize(
    ("extra", "signature"),
    [
        ({"google": {"thought_signature": "Abc+/_-=="}}, "Abc+/_-=="),
        *((extra, None) for extra in (None, {}, "x", {"google": None}, {"google": {"thought_signature": 5}})),
        ({"google": {"thought_signature": "no such thing"}}, None),
    ],
)
def test_the_thought_signature_of_a_call_is_read(extra: object, signature: str | None) -> None:
    message = {"tool_calls": [call(0, "c1", *F, extra_content=extra), call(1, "c2", *G)]}
    assert [use.signature for use in whole(message).tool_uses] == [signature, None]
    read = reading()
    started = [delta for delta in read.deltas(chunk(**message)) if isinstance(delta, ToolUseStart)]
    assert [start.signature for start in started] == [signature, None]
    read.deltas(chunk("stop"))
    assert [use.signature for use in read.reply(None).tool_uses] == [signature, None]


@pytest.mark.parametrize("index", [None, 0])
def test_an_answer_in_several_choices_is_one_answer(index: int | None) -> None:
    """As Copilot's API sends Claude's: the text and each call in a choice of its own. Several answers are never asked for."""
    messages = [
        {"content": "I look."},
        {"content": None, "tool_calls": [call(None, "c1", *F)]},
        {"tool_calls": [call(None, "c2", *G)]},
    ]
    choices = [{"index": index, "message": message, "finish_reason": "tool_calls"} for message in messages]
    other = {"index": 7, "message": {"content": "of another answer"}, "finish_reason": "length"}
    reply = reading().whole(json.dumps({"choices": [*choices, other]}).encode(), None)
    assert reply.parts == (Text("I look."), ToolUse("c1", *F), ToolUse("c2", *G))
    assert reply.stop == "tool_use"


def test_a_call_in_the_old_form_is_read_from_a_stream() -> None:
    chunks = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    assert calls(streamed(*(chunk(function_call=c) for c in chunks), ends="function_call")) == [F]


@pytest.mark.parametrize("message", [{"content": "a"}, {"content": "a", "tool_calls": []}, {"content": "a", "tool_calls": [{}]}])
def test_a_call_that_never_comes_is_not_waited_for(message: Json) -> None:
    assert whole(message, "tool_calls").stop == streamed(chunk(**message), ends="tool_calls").stop == "end"
    with pytest.raises(ProtocolError):
        whole({**message, "content": ""}, "tool_calls")


def test_gemini_s_own_name_for_the_finish_reason_is_read() -> None:
    ended = {"choices": [{"delta": {"content": "a"}, "finish_reason": None, "finishReason": "MAX_TOKENS"}]}
    assert streamed(ended, ends=None).stop == "max_tokens"


def test_an_id_of_the_server_is_kept() -> None:
    reply = streamed(chunk(tool_calls=[call(0, "functions.f:0", *F)]), ends="tool_calls")
    assert reply.tool_uses[0].id == "functions.f:0"


@pytest.mark.parametrize("fragment", [{"index": 0, "function": {}}, {"index": 0, "function": {"arguments": "{}"}}, {"id": "c1"}])
def test_a_call_without_a_name_is_no_call(fragment: Json) -> None:
    with pytest.raises(ProtocolError):
        streamed(chunk(tool_calls=[fragment]), ends="tool_calls")


ENDS: list[tuple[str, StopReason]] = [
    ("stop", "end"),
    ("STOP", "end"),
    ("eos", "end"),
    ("normal", "end"),
    ("eos_token", "end"),
    ("end_turn", "end"),
    ("complete", "end"),
    ("length", "max_tokens"),
    ("MAX_TOKENS", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("model_length", "context_window"),
    ("model_context_window_exceeded", "context_window"),
    ("content_filter", "refusal"),
    ("SAFETY", "refusal"),
    ("RECITATION", "refusal"),
    ("sensitive", "refusal"),
    ("content-filter", "refusal"),
    ("content_filter: PROHIBITED_CONTENT", "refusal"),
    ("IMAGE_RECITATION", "refusal"),
    ("pause_turn", "pause_turn"),
]


@pytest.mark.parametrize(("finish", "stop"), ENDS, ids=[word for word, _ in ENDS])
def test_a_finish_reason_is_read_by_its_meaning(finish: str, stop: StopReason) -> None:
    assert whole({"content": "hi"}, finish).stop == stop
    assert streamed(chunk(content="hi"), ends=finish).stop == stop


UNKNOWN_ENDS = [
    "abort",
    "aborted",
    "error",
    "insufficient_system_resource",
    "network_error",
    "cancelled",
    "timeout",
    "MALFORMED_FUNCTION_CALL",
    "function_call_filter: MALFORMED_FUNCTION_CALL",
    "stop: half",
    "OTHER",
    "a word of next year",
    7,
    {"type": "abort"},
]


@pytest.mark.parametrize(("cut", "stop"), [("length", "max_tokens"), ("content_filter", "refusal"), ("MAX_TOKENS", "max_tokens")])
@pytest.mark.parametrize("end", ["stop", "tool_calls"])
def test_a_plain_end_behind_a_cut_takes_nothing_back(cut: str, stop: str, end: str) -> None:
    """Behind further output it does: some servers send a reason with each chunk."""
    assert streamed(chunk(content="a"), chunk(cut), ends=end).stop == stop
    assert streamed(chunk(content="a"), chunk("stop"), ends=cut).stop == stop, "the other way round it is cut too"
    assert streamed(chunk(cut, content="a"), chunk(content="b"), ends="stop").stop == "end"


@pytest.mark.parametrize("finish", UNKNOWN_ENDS, ids=str)
def test_an_end_that_is_not_known_is_never_a_clean_stop(finish: object) -> None:
    usage = {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}
    body = {"choices": [{"message": {"content": "half an ans"}, "finish_reason": finish}], **usage}
    read = reading()
    with pytest.raises(ProtocolError, match="no end"):
        read.whole(json.dumps(body).encode(), None)
    assert (read.usage().input, read.usage().output, read.usage().estimated) == (12, 3, False)
    read = reading()
    read.deltas(chunk(content="half an ans"))
    read.deltas(chunk(finish))
    read.deltas({"choices": [], **usage})
    assert read.complete
    with pytest.raises(ProtocolError, match="no end"):
        read.reply(None)
    assert read.usage().output == 3


def test_a_routers_own_word_for_a_failure_counts_more_than_its_clean_one() -> None:
    read = reading()
    read.deltas({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop", "native_finish_reason": "network_error"}]})
    with pytest.raises(ProtocolError, match="network_error"):
        read.reply(None)
    assert not {"error", "network_error", "abort"} & set(FINISHES)


@pytest.mark.parametrize("finish", [None, "", "null", "None", False])
def test_an_empty_finish_reason_says_that_the_stream_goes_on(finish: object) -> None:
    assert streamed(chunk(finish, content="a"), chunk(finish, content="b")).text == "ab"
    read = reading()
    read.deltas(chunk(finish, content="a"))
    with pytest.raises(ProtocolError, match="before its end"):
        read.reply(None)


@pytest.mark.parametrize("finish", [None, "", "null"])
def test_a_whole_body_without_a_finish_reason_was_not_cut(finish: object) -> None:
    assert (whole({"content": "hi"}, finish).text, whole({"content": "hi"}, finish).stop) == ("hi", "end")


def test_a_call_that_goes_on_after_a_finish_reason_is_put_together() -> None:
    """Some servers send a finish reason with every chunk."""
    pieces = [call(0, "c1", "f", ""), call(0, arguments='{"a"'), call(0, arguments=":1}")]
    assert calls(streamed(*(chunk("stop", tool_calls=[piece]) for piece in pieces))) == [F]
    read = reading()
    for event, complete in ((chunk("stop", content="a"), True), (chunk(content="b"), False), (chunk("stop"), False)):
        read.deltas(event)
        assert read.complete is complete


def test_a_stop_sequence_that_a_server_names_is_passed_on() -> None:
    for name in ("stop_reason", "matched_stop"):
        read = reading(stop=("END",))
        read.deltas({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop", name: "END"}]})
        assert (read.reply(None).stop, read.reply(None).stop_sequence) == ("stop_sequence", "END")
    read = reading(stop=("END",))
    read.deltas({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop", "stop_reason": 151643}]})
    assert (read.reply(None).stop, read.reply(None).stop_sequence) == ("end", None)


THOUGHT = (Thinking("two and two"), Text("4"))
CONTENTS: dict[str, tuple[Json, tuple[object, ...]]] = {
    "reasoning_content": ({"reasoning_content": "two and two", "content": "4"}, THOUGHT),
    "reasoning": ({"reasoning": "two and two", "content": "4"}, THOUGHT),
    "reasoning_text": ({"reasoning_text": "two and two", "content": "4"}, THOUGHT),
    "one reasoning under two names": ({"reasoning": "two and two", "reasoning_content": "two and two", "content": "4"}, THOUGHT),
    "reasoning_details": ({"reasoning_details": [{"type": "reasoning.text", "text": "two and two"}], "content": "4"}, THOUGHT),
    "reasoning_details beside reasoning": (
        {"reasoning": "two and two", "reasoning_details": [{"type": "reasoning.text", "text": "two and two"}], "content": "4"},
        THOUGHT,
    ),
    "a summary of the reasoning": ({"reasoning_details": [{"summary": "two and two"}], "content": "4"}, THOUGHT),
    "sealed reasoning": ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "xx"}], "content": "4"}, (Text("4"),)),
    "content in parts": ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, (Text("ab"),)),
    "content in strings": ({"content": ["a", "b"]}, (Text("ab"),)),
    "content as one part": ({"content": {"type": "text", "text": "a"}}, (Text("a"),)),
    "thinking in the content": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "two and two"}]}, {"type": "text", "text": "4"}]},
        THOUGHT,
    ),
    "thinking as a text": (
        {"content": [{"type": "thinking", "thinking": "two and two"}, {"type": "text", "text": "4"}]},
        THOUGHT,
    ),
    "a summary in the content": (
        {
            "content": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "two and two", "signature": "x"}]},
                {"type": "text", "text": "4"},
            ]
        },
        THOUGHT,
    ),
    "a part of an unknown type": ({"content": [{"type": "reference", "reference_ids": [1]}, {"text": "4"}]}, (Text("4"),)),
    "nulls": ({"content": "4", "refusal": None, "tool_calls": None, "reasoning": None, "function_call": None}, (Text("4"),)),
    "no tool calls": ({"content": "4", "tool_calls": []}, (Text("4"),)),
    "no tool calls, as an object": ({"content": "4", "tool_calls": {}}, (Text("4"),)),
    "no tool calls, as a text": ({"content": "4", "tool_calls": ""}, (Text("4"),)),
    "a tool call of nothing": ({"content": "4", "tool_calls": [{"index": 0, "function": {}}]}, (Text("4"),)),
    "a refusal that is false": ({"content": "4", "refusal": False}, (Text("4"),)),
    "a text as an object": ({"content": [{"type": "text", "text": {"value": "4"}}]}, (Text("4"),)),
    "fields of other kinds": ({"content": "4", "audio": None, "annotations": [], "images": [{}], "role": "x"}, (Text("4"),)),
    "a refusal": ({"content": None, "refusal": "I cannot do that."}, (Refusal("I cannot do that."),)),
    "a refusal in parts": ({"content": [{"type": "refusal", "refusal": "No."}]}, (Refusal("No."),)),
}


@pytest.mark.parametrize(("message", "parts"), CONTENTS.values(), ids=CONTENTS)
def test_every_form_of_content_is_read(message: Json, parts: tuple[object, ...]) -> None:
    assert whole(message).parts == parts
    assert streamed(chunk(**message)).parts == parts
    assert streamed({"choices": [{"message": message, "finish_reason": "stop"}]}, ends=None).parts == parts


def test_a_refusal_is_one_though_the_finish_is_a_stop() -> None:
    reply = streamed(chunk(refusal="I cannot "), chunk(refusal="do that."))
    assert (reply.parts, reply.stop, reply.text) == ((Refusal("I cannot do that."),), "refusal", "")


EMPTY: list[object] = [
    {"choices": None},
    {"choices": []},
    {},
    {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    {"choices": [{"index": 0}]},
    {"choices": [None]},
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
    {"choices": [{"content_filter_offsets": {}, "content_filter_results": {}, "finish_reason": None, "index": 0}]},
    {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"choices": [{"index": 0, "delta": {"content": ""}}], "usage": None},
    {"choices": [{"index": 0, "delta": {"tool_calls": None, "content": None}}], "error": None},
    {"choices": [], "base_resp": {"status_code": 0}, "x_groq": {"id": "req"}, "model": None, "usage": {}},
    {"type": "ping"},
    {"choices": [{"index": 1, "delta": {"content": "of another choice"}}]},
]


@pytest.mark.parametrize("event", EMPTY, ids=json.dumps)
def test_a_chunk_that_says_nothing_changes_nothing(event: object) -> None:
    reply = streamed(chunk(content="he"), event, chunk(content="llo"))
    assert (reply.parts, reply.stop) == ((Text("hello"),), "end")


@pytest.mark.parametrize("index", [0, None, "0", 1], ids=str)
def test_the_only_choice_is_read_whatever_its_index(index: object) -> None:
    events = [{"choices": [{"index": index, "delta": {"content": text}}]} for text in ("a", "b")]
    assert streamed(*events, {"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}, ends=None).text == "ab"


def of(index: int | None, finish: str | None = None, /, **delta: object) -> Json:
    """One choice of a chunk."""
    return {"index": index, "delta": delta, "finish_reason": finish}


LAST = [of(1, "length"), of(0, "stop")]
SEVERAL: dict[str, list[list[Json]]] = {
    "side by side": [
        [of(1, content="B")],
        [of(0, content="a")],
        [of(1, content="B")],
        [of(0, content="b")],
        *([end] for end in LAST),
    ],
    "roles first": [[of(1, role="assistant", content="")], [of(0, role="assistant")], [of(0, content="ab")], [LAST[1]]],
    "in one chunk": [[of(1, content="B"), of(0, content="a")], [of(1, content="B"), of(0, content="b")], LAST],
    "three of them": [[of(2, content="C")], [of(1, content="B")], [of(0, content="ab")], [LAST[0]], [LAST[1]]],
    "the first without its number": [[of(None, content="a")], [of(1, content="B")], [of(None, content="b")], [of(None, "stop")]],
}


@pytest.mark.parametrize("chunks", SEVERAL.values(), ids=SEVERAL)
def test_of_several_answers_in_a_stream_the_first_is_read(chunks: list[list[Json]]) -> None:
    reply = streamed(*({"choices": choices} for choices in chunks), ends=None)
    assert (reply.text, reply.stop) == ("ab", "end")


@pytest.mark.parametrize("end", [[of(3, "stop")], []], ids=["with its end", "cut"])
def test_another_answer_waits_only_a_while_for_the_first(end: list[Json]) -> None:
    read, texts = reading(), "abcdefghijkl"
    sent = [len(read.deltas({"choices": [of(3, content=text)]})) for text in texts]
    assert sent == [0, 0, 0, 0, 0, 0, 0, 8, 1, 1, 1, 1], "what waited leaves with the eighth"
    for choice in end:
        read.deltas({"choices": [choice]})
        assert read.reply(None).text == texts
    assert read.complete is bool(end)


def test_a_short_answer_that_is_not_the_first_is_whole_without_its_end() -> None:
    read = reading()
    assert read.deltas({"choices": [of(1, content="a")]}) == []
    assert spelled(read.close()) == [Text("a")]


NOTHING: list[Json] = [{}, {"usage": None}, {"usage": {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12}}]


@pytest.mark.parametrize("usage", NOTHING, ids=str)
def test_an_answer_that_holds_nothing_and_counts_nothing_is_none(usage: Json) -> None:
    """As several servers send under load. A model that has nothing to say makes a token or two, or stops for another reason."""
    made = {"usage": {"prompt_tokens": 12, "completion_tokens": 2}}
    with pytest.raises(ProtocolError, match="holds nothing"):
        whole({"content": ""}, **usage)
    with pytest.raises(ProtocolError, match="holds nothing"):
        streamed(chunk(role="assistant", content=""), {**chunk("stop"), **usage}, ends=None)
    assert whole({"content": None}, **made).parts == streamed(chunk("stop"), {"choices": [], **made}, ends=None).parts == ()
    assert whole({"content": ""}, "length", **usage).stop == "max_tokens"
    assert whole({"content": "", "reasoning_content": "a"}, **usage).parts == (Thinking("a"),)
    stopped = {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], **usage}
    assert reading(stop=("a",)).whole(json.dumps(stopped).encode(), None).parts == ()


def test_of_several_whole_answers_the_first_is_read() -> None:
    choices = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in ((1, "B"), (0, "a"))]
    assert reading().whole(json.dumps({"choices": choices}).encode(), None).text == "a"


def test_a_chunk_with_all_of_the_message_beside_its_delta_is_read_once() -> None:
    both = [{"choices": [{"delta": {"content": t}, "message": {"content": w}}]} for t, w in (("a", "a"), ("b", "ab"))]
    assert streamed(*both).text == "ab"


USED: Json = {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}
HELLO: Json = {"content": "Hello"}
SAID = [chunk(role="assistant", content="Hel"), chunk(content="lo")]
REASONED = [chunk(reasoning_content="two and "), chunk(reasoning_content="two"), chunk(content="4")]
CALLED = [chunk(tool_calls=[call(0, "c1", "f", ""), call(1, "c2", *G)]), chunk(tool_calls=[call(0, arguments=F[1])])]
ANONYMOUS = [chunk(tool_calls=[call(None, None, *F)])]
SUMMARIES: dict[str, tuple[list[Json], Json, tuple[object, ...]]] = {
    "the text": (SAID, HELLO, (Text("Hello"),)),
    "the text, after a finish reason": ([*SAID, chunk("stop")], HELLO, (Text("Hello"),)),
    "the text in parts": (SAID, {"content": [{"type": "text", "text": "Hello"}]}, (Text("Hello"),)),
    "more than was streamed": (SAID, {"content": "Hello!"}, (Text("Hello!"),)),
    "the text, trimmed": ([chunk(content="\n"), *SAID], HELLO, (Text("\nHello"),)),
    "reasoning and text": (REASONED, {"reasoning_content": "two and two", "content": "4"}, THOUGHT),
    "the text alone, after reasoning": (REASONED, {"content": "4"}, THOUGHT),
    "a refusal": ([chunk(refusal="No.")], {"refusal": "No."}, (Refusal("No."),)),
    "calls": (CALLED, {"tool_calls": [call(0, "c1", *F), call(1, "c2", *G)]}, (ToolUse("c1", *F), ToolUse("c2", *G))),
    "only a role before it": ([chunk(role="assistant", content="")], HELLO, (Text("Hello"),)),
}


@pytest.mark.parametrize(("chunks", "message", "parts"), SUMMARIES.values(), ids=SUMMARIES)
def test_a_whole_message_at_the_end_of_a_stream_adds_only_what_is_new(
    chunks: list[Json], message: Json, parts: tuple[object, ...]
) -> None:
    """As MiniMax ends its streams: with a completion, whose usage is the only one."""
    last = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **USED}
    reply = streamed(*chunks, last, ends=None)
    assert reply.parts == parts
    assert (reply.usage.input, reply.usage.output, reply.usage.estimated) == (12, 3, False)


def test_a_call_without_an_id_is_not_called_again_by_the_message_at_the_end() -> None:
    last = {"choices": [{"message": {"tool_calls": [call(None, None, *F)]}, "finish_reason": "tool_calls"}]}
    assert calls(streamed(*ANONYMOUS, last, ends=None)) == [F]


def test_a_stream_of_messages_in_the_place_of_deltas_is_one_text() -> None:
    messages = [{"choices": [{"message": {"content": text}, "finish_reason": None}]} for text in ("Hel", "lo")]
    assert streamed(*messages).text == "Hello"


DETAILS = "completion_tokens_details"
USAGES: list[tuple[Json, tuple[int, int, int, bool]]] = [
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": "12", "completion_tokens": 3.0}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": None, "completion_tokens": None}}, (0, 0, 0, True)),
    ({"usage": None}, (0, 0, 0, True)),
    ({"usage": []}, (0, 0, 0, True)),
    ({}, (0, 0, 0, True)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": None}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}}, (8, 4, 3, False)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}}, (8, 4, 3, False)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 4}}, (8, 4, 3, False)),  # promptfoo/promptfoo#9672
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 40}}, (0, 0, 3, False)),
    (
        {"usage": {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, DETAILS: {"reasoning_tokens": 94}}},
        (32, 0, 103, False),
    ),
    ({"usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 53}}, (9, 0, 44, False)),
    ({"usage": {"prompt_tokens": 9, "total_tokens": 53}}, (9, 0, 44, False)),
    ({"usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 9}}, (9, 0, 7, False)),
    ({"usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": -1}}, (9, 0, 7, False)),
    ({"usage": {"prompt_tokens": 9, "completion_tokens": -7, "total_tokens": 53}}, (9, 0, 0, True)),
    (
        {"usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 99, "prompt_cache_hit_tokens": 80}},
        (0, 0, 7, False),
    ),
    ({"usage": {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": None, "completion_tokens": None, "input_tokens": 12, "output_tokens": 3}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 12, "output_tokens": 3}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "input_tokens": 0, "output_tokens": 0}}, (12, 0, 3, False)),
    ({"usage": {"prompt_tokens": 12, "completion_tokens": 3, "input_tokens": 9, "output_tokens": 9}}, (12, 0, 3, False)),
    ({"usage": {"input_tokens": 12, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}}, (8, 4, 3, False)),
    ({"usage": {"input_tokens": -1, "output_tokens": 3}}, (0, 0, 3, False)),
    ({"x_groq": {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}}, (12, 0, 3, False)),
]


@pytest.mark.parametrize(("fields", "expected"), USAGES, ids=[json.dumps(fields) for fields, _ in USAGES])
def test_usage_is_read_in_every_form(fields: Json, expected: tuple[int, int, int, bool]) -> None:
    for reply in (whole({"content": "x"}, **fields), streamed(chunk(content="x"), {**chunk("stop"), **fields}, ends=None)):
        usage = reply.usage
        assert (usage.input, usage.cached_input, usage.output, usage.estimated) == expected
    within = [{**choice, **fields} for choice in chunk("stop")["choices"]]
    if "usage" in fields:
        assert streamed(chunk(content="x"), {"choices": within}, ends=None).usage.output == expected[2]


def test_reasoning_under_the_other_name_of_its_group_is_counted() -> None:
    usage = {"input_tokens": 12, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 6}}
    assert whole({"content": "x"}, usage=usage).usage.reasoning == 6


def test_a_prefix_that_is_written_and_read_at_once_is_billed_as_both() -> None:
    """C2. The figures are those of a recorded answer, and its price the vendor's."""
    details = {"cached_tokens": 2161, "cache_write_tokens": 2161}
    usage = {"prompt_tokens": 2168, "completion_tokens": 100, "total_tokens": 2268, "prompt_tokens_details": details}
    used = whole({"content": "x"}, usage=usage).usage
    assert (used.input, used.cached_input, used.cache_write, used.output) == (7, 2161, 2161, 100)
    used = whole({"content": "x"}, usage={**usage, "prompt_tokens": 2000}).usage
    assert (used.input, used.cached_input, used.cache_write, used.output) == (0, 0, 0, 100)


STREAMED_WITHOUT_REASON = [chunk(content="a"), {"choices": [{"index": 0, "delta": {"content": "b"}}]}]
SUMMED = {"choices": [], "usage": {"prompt_tokens": 22, "completion_tokens": 5, "total_tokens": 27}}


def test_a_stream_with_its_sum_and_its_end_needs_no_finish_reason() -> None:
    """As Snowflake and Gemini send it. Either alone may stand behind half an answer."""
    for events, whole_answer in (
        ([*STREAMED_WITHOUT_REASON, SUMMED], True),
        (STREAMED_WITHOUT_REASON, False),
        ([SUMMED, *STREAMED_WITHOUT_REASON], False),
        ([*STREAMED_WITHOUT_REASON, {**chunk(role="assistant"), "usage": SUMMED["usage"]}], True),  # Gemini's
        ([{**chunk(role="assistant"), "usage": SUMMED["usage"]}, *STREAMED_WITHOUT_REASON], False),
        ([{**STREAMED_WITHOUT_REASON[0], "usage": SUMMED["usage"]}, STREAMED_WITHOUT_REASON[1]], False),
    ):
        read = reading()
        for event in events:
            read.deltas(event)
        with pytest.raises(ProtocolError):
            read.reply(None)
        read.done()
        if whole_answer:
            assert (read.reply(None).text, read.reply(None).stop, read.reply(None).usage.output) == ("ab", "end", 5)
            assert not read.reply(None).usage.estimated
        else:
            with pytest.raises(ProtocolError):
                read.reply(None)


def test_usage_in_a_chunk_without_choices_is_read() -> None:
    read = reading()
    read.deltas(chunk("stop", content="x"))
    read.deltas({"usage": {"prompt_tokens": 12, "completion_tokens": 3}})
    assert (read.reply(None).usage.input, read.reply(None).usage.output) == (12, 3)


@pytest.mark.parametrize(
    ("last", "estimated"),
    [(chunk("stop"), False), (chunk("stop", content=""), False), (chunk("stop", content="more"), True)],
    ids=["a bare reason", "an empty text", "more of the text"],
)
def test_usage_before_the_finish_reason_counts_unless_output_follows(last: Json, *, estimated: bool) -> None:
    """C2. What is only estimated is billed at its upper bound."""
    read = reading()
    for event in (chunk(content="x"), SUMMED, last):
        read.deltas(event)
    assert (read.usage().output, read.usage().estimated) == ((0, True) if estimated else (5, False))


def test_the_text_of_a_choice_without_a_message_is_the_answer() -> None:
    """As servers send it that answer chats as the API before them."""
    assert streamed(*({"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("a", "b"))).text == "ab"
    both = {"choices": [{"index": 0, "text": "a", "delta": {"content": "a"}, "finish_reason": None}]}
    assert streamed(both).text == "a"
    body = {
        "choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    assert reading().whole(json.dumps(body).encode(), None).text == "ab"


ERRORS = [
    {"error": {"message": "x", "code": 502}},
    [{"error": {"message": "x", "code": 502}}],
    {"error": "overloaded"},
    {"error": {"message": "x"}, "choices": []},
    {"error": {"message": "x"}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
    {"choices": [{"error": {"message": "x", "code": 502}, "message": {"content": ""}, "finish_reason": "error"}]},
    {"error": True, "message": "x"},
    {"choices": [{"delta": {"content": ""}}], "x_groq": {"error": "over capacity"}},
    {"object": "error", "message": "x", "type": "BadRequestError", "code": 400},
]


@pytest.mark.parametrize("body", ERRORS, ids=json.dumps)
def test_an_error_in_a_successful_answer_is_an_error(body: object) -> None:
    with pytest.raises(ReportedError):
        reading().whole(json.dumps(body).encode(), None)
    with pytest.raises(ReportedError):
        reading().deltas(body)


HALF = [
    (("x " + HALVES[0], HALVES[1] + "!"), f"x {EMOJI}!"),
    ((HALVES[0], "", HALVES[1]), EMOJI),
    ((HALVES[0], "x"), "\ufffdx"),
    ((HALVES[1], "x"), "\ufffdx"),
    (("x", HALVES[0]), "x\ufffd"),
    ((HALVES[0], HALVES[0], HALVES[1]), "\ufffd" + EMOJI),
    ((EMOJI[:1],), EMOJI),
]


@pytest.mark.parametrize(("pieces", "text"), HALF, ids=range(len(HALF)))
@pytest.mark.parametrize("field", ["content", "reasoning_content", "refusal"])
def test_the_halves_of_a_character_in_two_chunks_are_joined(field: str, pieces: tuple[str, ...], text: str) -> None:
    reply = streamed(*(chunk(**{field: piece}) for piece in pieces))
    assert [part.text for part in reply.parts if isinstance(part, Text | Thinking | Refusal)] == [text]


def test_half_a_character_in_a_whole_answer_is_replaced() -> None:
    body = b'{"model": "m\\ud83d", "choices": [{"message": {"content": "x\\ud83d", "tool_calls": [{"id": "\\ud83d", "function": '
    body += b'{"name": "f", "arguments": "{\\"a\\": \\"\\ud83d\\"}"}}]}, "finish_reason": "tool_calls"}]}'
    reply = reading().whole(body, None)
    assert reply.text == "x\ufffd"
    assert repr(reply).encode()
    assert json.loads(reply.tool_uses[0].arguments) == {"a": "\ufffd"}


WHOLE = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
STREAM = b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in (chunk(content="hi"), chunk("stop")))


@pytest.mark.parametrize(
    "body",
    [WHOLE, b"\xef\xbb\xbf" + WHOLE, b"[" + WHOLE + b"]", b"\n\n" + WHOLE, STREAM, b": ping\n\n" + STREAM + b"data: [DONE]\n\n"],
    ids=["plain", "byte order mark", "in a list", "blank lines", "a stream", "a stream with comments"],
)
def test_a_body_is_read_in_every_wrapping(body: bytes) -> None:
    reply = reading().whole(body, "up-1")
    assert (reply.text, reply.stop, reply.provider_request_id) == ("hi", "end", "up-1")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": [{"message": {"content": 5}}]}']
)
def test_a_body_that_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's, json's and ours
        reading().whole(body, None)


def test_log_probabilities_come_in_order_and_only_on_request() -> None:
    events = [
        {"choices": [{"delta": {"content": t}, "logprobs": {"content": [{"token": t, "logprob": -0.1}], "refusal": None}}]}
        for t in ("a", "b")
    ]
    for requested, expected in ((frozenset({"logprobs"}), ["a", "b"]), (frozenset[str](), [])):
        read = reading(requested=requested)
        for event in (*events, chunk("stop")):
            read.deltas(event)
        found = read.reply(None).logprobs or {}
        assert [token["token"] for token in found.get("content", [])] == expected


def test_a_log_probability_that_is_no_number_is_that_of_an_unlikely_token() -> None:
    """OpenAI writes -9999.0 for one. Servers in Python write -Infinity, which is no JSON, others null."""
    tokens = [
        {"token": "a", "logprob": -math.inf, "bytes": None, "top_logprobs": [{"token": "b", "logprob": math.nan}, None]},
        {"token": "b", "logprob": None, "top_logprobs": None},
        {"token": "c"},
        {"token": "d", "logprob": -0.5, "top_logprobs": [{"token": "d", "logprob": 0}]},
    ]
    message = {"message": {"content": "abcd"}, "finish_reason": "stop", "logprobs": {"content": tokens}}
    read = reading(requested=frozenset({"logprobs"}))
    found = (read.whole(json.dumps({"choices": [message]}).encode(), None).logprobs or {})["content"]
    assert [token["logprob"] for token in found] == [-9999.0, -9999.0, -9999.0, -0.5]
    assert [token["top_logprobs"] for token in found] == [
        [{"token": "b", "logprob": -9999.0}], [], [], [{"token": "d", "logprob": 0}]
    ]  # fmt: skip


def test_a_reply_of_more_calls_than_any_model_makes_is_no_answer() -> None:
    """To tell calls apart costs the square of their number: 100,000 of them, in eight megabytes, took half a minute of a core."""
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(MOST_CALLS + 1)]
    nameless = [{"index": n, "id": f"c{n}"} for n in range(MOST_CALLS + 1)]
    assert len(whole({"role": "assistant", "tool_calls": calls[1:]}, "tool_calls").tool_uses) == MOST_CALLS
    for made in (calls, nameless):
        with pytest.raises(ProtocolError, match="over 1,000 tool calls"):
            whole({"role": "assistant", "tool_calls": made}, "tool_calls")


@pytest.mark.parametrize(
    ("unit", "end", "size"),
    [(" ", "x", 4_000), ("data:", "{}", 16_000), ("[DONE]", "x", 4_000), ("data: \n", "", 4_000)],
    ids=["blanks", "framed", "ends", "lines"],
)
def test_a_body_that_only_looks_like_its_end_costs_no_more_than_its_length(unit: str, end: str, size: int) -> None:
    """V3: a megabyte of each took from seconds to hours."""

    def work(size: int) -> None:
        with suppress(ValueError):
            body_documents((unit * size + end).encode())

    assert is_linear(work, size)


def test_arguments_that_look_whole_in_each_piece_cost_no_more_than_their_length() -> None:
    """V3: a piece that begins as a document does made all that came before be parsed again."""

    def piece(text: str, **fields: str) -> Json:
        return chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"arguments": text, **fields}}])

    def work(size: int) -> None:
        read = reading()
        read.deltas(piece('{"a": "', name="f"))
        for _ in range(size):
            read.deltas(piece("{}" * 200))

    assert is_linear(work, 1_000)
