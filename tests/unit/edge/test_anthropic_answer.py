"""Answers in Anthropic's form, whole and as events, as its SDK reads them."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from app.api.chat.anthropic_answer import EventWriter, message
from app.domain.calls import (
    CitationDelta,
    Delta,
    NativeDelta,
    Receipt,
    Reply,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from app.domain.messages import Native, Part, Refusal, StopReason, Text, Thinking, ToolUse
from app.edge.answers import json_answer

Json = dict[str, Any]
RECEIPT = Receipt(request_id="r", trace_id="t", release="1", provider="p", model="m", attempts=1, fallbacks=0)
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
CITED: Json = {
    "type": "char_location", "cited_text": "x", "document_index": 0, "document_title": None, "start_char_index": 0,
    "end_char_index": 1, "file_id": None,
}  # fmt: skip
SEARCH: Json = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}


def reply_of(*parts: Part, stop: StopReason = "end", **fields: Any) -> Reply:  # noqa: ANN401 - of a reply
    return Reply(**{"parts": parts, "stop": stop, "usage": Usage(), "provider": "p", "model": "m", **fields})


def whole(*parts: Part, **fields: Any) -> Json:  # noqa: ANN401 - of a reply
    return message(reply_of(*parts, **fields), request_id="req_1", alias="smart")


def events(deltas: Iterable[Delta], reply: Reply | None = None, used: Usage = Usage()) -> list[Json]:  # noqa: B008 - immutable
    writer = EventWriter(request_id="req_1", alias="smart")
    writer.note_input(used)
    text = writer.begin() + b"".join(writer.write(delta) for delta in deltas) + writer.end(reply or reply_of(), RECEIPT)
    return [json.loads(line[6:]) for line in text.decode().splitlines() if line.startswith("data: ")]


def as_the_sdk_reads(found: Iterable[Json]) -> SdkMessage:
    """Fails where blocks do not open, grow and close one after the other."""
    snapshot: Any = None
    opened = -1
    arguments: dict[int, bytes] = {}
    for one in found:
        match one["type"]:
            case "content_block_start":
                opened += 1
                assert one["index"] == opened
            case "content_block_delta" | "content_block_stop":
                assert one["index"] == opened
        snapshot = accumulate_event(event=EVENTS.validate_python(one), current_snapshot=snapshot, json_bufs=arguments)
    assert isinstance(snapshot, SdkMessage)
    return snapshot


@pytest.mark.parametrize(
    "arguments", ["{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_arguments_that_cannot_be_an_object_are_passed_on_as_text(arguments: str) -> None:
    """Arguments may be nested at any depth: the caller gets an answer, never status 500."""
    reply = Reply(parts=(ToolUse("u", "f", arguments),), stop="tool_use", usage=Usage(), provider="p", model="m")
    answer = json.loads(bytes(json_answer(message(reply, request_id="req_1", alias="smart")).body))
    assert answer["content"] == [{"type": "tool_use", "id": "u", "name": "f", "input": {"invalid_arguments": arguments}}]


def test_text_has_citations_only_where_there_are_some() -> None:
    assert whole(Text("a"), Text("b", citations=(CITED,)))["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "citations": [CITED]},
    ]


@pytest.mark.parametrize("unsigned", [Thinking("hm"), Thinking("hm", signature="")])
def test_reasoning_without_a_signature_does_not_leave(unsigned: Thinking) -> None:
    """Sent back, it would be refused by Claude."""
    assert whole(unsigned, Text("4"))["content"] == [{"type": "text", "text": "4"}]
    found = events([ThinkingDelta(0, "hm"), ThinkingDelta(0, "m"), TextDelta(1, "4")])
    assert [block.type for block in as_the_sdk_reads(found).content] == ["text"]


def test_signed_reasoning_leaves_as_it_comes() -> None:
    found = events([ThinkingDelta(0, signed=True), ThinkingDelta(0, "hm"), ThinkingDelta(0, signature="s"), TextDelta(1, "4")])
    assert [block.to_dict() for block in as_the_sdk_reads(found).content] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "4"},
    ]
    assert whole(Thinking("hm", "s"))["content"] == [{"type": "thinking", "thinking": "hm", "signature": "s"}]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [("context_window", "model_context_window_exceeded"), ("pause_turn", "pause_turn"), ("max_tokens", "max_tokens")],
)
def test_each_reason_to_stop_has_the_vendors_name(stop: StopReason, reason: str) -> None:
    assert whole(stop=stop)["stop_reason"] == reason
    assert as_the_sdk_reads(events([], reply_of(stop=stop))).stop_reason == reason


def test_the_details_of_a_refusal_and_the_vendors_own_fields_come_out() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    managed: Json = {"anthropic": {"context_management": {"applied_edits": []}}}
    made = whole(Refusal("No."), stop="refusal", stop_details=details, native=managed)
    assert (made["stop_details"], made["context_management"]) == (details, {"applied_edits": []})
    assert made["content"] == [{"type": "text", "text": "No."}]
    assert "stop_details" not in whole(Text("a"))
    read = as_the_sdk_reads(events([], reply_of(Refusal("No."), stop="refusal", stop_details=details)))
    assert [block.to_dict() for block in read.content] == [{"type": "text", "text": "No."}]
    assert read.stop_details
    assert read.stop_details.category == "cyber"


def test_usage_says_what_the_cache_did() -> None:
    used = Usage(input=1, output=2, cached_input=3, cache_write=9, cache_write_1h=4, reasoning=1)
    assert whole(usage=used)["usage"] == {
        "input_tokens": 1,
        "cache_creation_input_tokens": 9,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 4},
        "output_tokens": 2,
        "output_tokens_details": {"thinking_tokens": 1},
    }


def test_a_stream_says_the_input_at_its_beginning() -> None:
    first = events([], used=Usage(input=1234, cached_input=7))[0]
    assert first["message"]["usage"].items() >= {"input_tokens": 1234, "cache_read_input_tokens": 7}.items()


INTERLEAVED: list[Delta] = [
    ToolUseStart(0, "c1", "f"),
    ToolUseStart(1, "c2", "g"),
    ToolUseDelta(0, '{"a":'),
    ToolUseDelta(1, '{"b":'),
    ToolUseDelta(0, "1}"),
    ToolUseDelta(1, "2}"),
]


def test_interleaved_tool_calls_come_out_whole_and_in_order() -> None:
    read = as_the_sdk_reads(events(INTERLEAVED))
    assert [block.to_dict() for block in read.content] == [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "g", "input": {"b": 2}},
    ]


@pytest.mark.parametrize(
    ("deltas", "content"),
    [
        (  # text between the pieces of a call waits for the call
            [*INTERLEAVED[:3], TextDelta(2, "wait"), *INTERLEAVED[3:]],
            [("c1", {"a": 1}), ("c2", {"b": 2}), "wait"],
        ),
        (  # the first call gets its arguments last
            [*INTERLEAVED[:2], *(d for d in INTERLEAVED[2:] if d.index == 1), *(d for d in INTERLEAVED[2:] if d.index == 0)],
            [("c1", {"a": 1}), ("c2", {"b": 2})],
        ),
        (  # a call that is cut off holds the other until the end
            [*INTERLEAVED[:5][:4], ToolUseDelta(1, "2}")],
            [("c1", None), ("c2", {"b": 2})],
        ),
        ([TextDelta(0, "a"), ToolUseStart(1, "c1", "f"), ToolUseDelta(1, "{}"), TextDelta(0, "b")], ["a", ("c1", {}), "b"]),
        ([*INTERLEAVED, ToolUseDelta(0, "  ")], [("c1", {"a": 1}), ("c2", {"b": 2})]),
    ],
)
def test_blocks_follow_one_another_however_their_pieces_come(deltas: list[Delta], content: list[Any]) -> None:
    found = events(deltas)
    pieces = "".join(one["delta"].get("partial_json", "") for one in found if one["type"] == "content_block_delta")
    assert pieces.count('"a"') == 1 or '"a"' not in str(deltas)
    if ("c1", None) in content:
        starts = [one["content_block"].get("id") for one in found if one["type"] == "content_block_start"]
        assert (starts, pieces) == (["c1", "c2"], '{"a":{"b":2}')
        return
    read = [block.to_dict() for block in as_the_sdk_reads(found).content]
    assert [(block["id"], block["input"]) if "id" in block else block["text"] for block in read] == content


def test_a_call_is_streamed_as_it_comes_where_calls_follow_one_another() -> None:
    writer = EventWriter(request_id="req_1", alias="smart")
    sequence: list[Delta] = [
        ToolUseStart(0, "c1", "f"),
        ToolUseDelta(0, '{"a":'),
        ToolUseDelta(0, "1}"),
        ToolUseStart(1, "c2", "g"),
    ]
    assert all(writer.write(delta) for delta in sequence)


def test_citations_and_blocks_of_claudes_own_come_out_in_their_places() -> None:
    native = Native("anthropic", SEARCH)
    read = as_the_sdk_reads(events([NativeDelta(0, native), TextDelta(1, "a"), CitationDelta(1, CITED), TextDelta(1, "b")]))
    search, text = read.content
    assert search.type == "server_tool_use"
    assert text.type == "text"
    assert (text.text, len(text.citations or ())) == ("ab", 1)
    assert whole(native)["content"] == [SEARCH]
    assert whole(Native("openai", {"type": "x"}))["content"] == []


def test_every_whole_answer_is_what_the_sdk_reads_strictly() -> None:
    parts = (Thinking("hm", "s"), Thinking("", redacted="d"), Text("a"), Text("b", citations=(CITED,)), ToolUse("t", "f", "{}"))
    read = SdkMessage.model_validate(whole(*parts, stop="tool_use"), strict=True)
    assert [block.type for block in read.content] == ["thinking", "redacted_thinking", "text", "text", "tool_use"]
