"""Our replies as Responses objects and events, held against the vendor's own types (G1, R6)."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from growth import is_linear
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from app.api.responses.answer import Frame, whole
from app.api.responses.events import EventWriter
from app.api.responses.request import read
from app.domain.calls import (
    Deadline,
    Delta,
    Identity,
    Receipt,
    Reply,
    Tenant,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from app.domain.errors import ProvidersRateLimited, ProvidersUnavailable
from app.domain.messages import Part, Refusal, StopReason, Text, Thinking, ToolUse
from app.domain.money import MicroUSD
from app.edge.requests import CallContext

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TENANT = Tenant(id="acme", name="Acme", daily_cap=MicroUSD(1), user_daily_cap=MicroUSD(1))
CONTEXT = CallContext("req_1", Identity(tenant=TENANT, key_id="k", user=""), Deadline.after(60))
RECEIPT = Receipt(
    request_id="req_1", trace_id="t", release="r", provider="openai", model="m", attempts=1, fallbacks=0, cost=MicroUSD(7)
)
BODY = {
    "model": "smart",
    "input": "hi",
    "instructions": "Be brief.",
    "reasoning": {"effort": "low", "summary": "auto"},
    "metadata": {"a": "b"},
    "tools": [
        {"type": "function", "name": "f", "parameters": None},
        {"type": "custom", "name": "patch", "format": {"type": "text"}},
        {"type": "namespace", "name": "space", "description": "d", "tools": [{"type": "function", "name": "g"}]},
        {"type": "web_search"},
    ],
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
}
PLAIN = {"model": "smart", "input": "hi"}


def frame(body: dict[str, Any] = BODY) -> Frame:
    return Frame(read(json.dumps(body).encode(), CONTEXT)[0], request_id="req_1")


def reply(*parts: Part, stop: StopReason = "end") -> Reply:
    used = Usage(input=5, output=3, cached_input=2, cache_write=1, reasoning=1)
    return Reply(parts=parts, stop=stop, usage=used, provider="openai", model="m")


def events(*written: bytes) -> list[dict[str, Any]]:
    """Read events as a client does; each must be valid under the SDK's strict types."""
    found = []
    for block in b"".join(written).decode().strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        EVENT.validate_python(event)
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def streamed(deltas: Sequence[Delta], final: Reply, body: dict[str, Any] = BODY) -> list[dict[str, Any]]:
    writer = EventWriter(frame(body))
    return events(writer.begin(), *(writer.write(delta) for delta in deltas), writer.end(final, RECEIPT))


def types(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


def test_a_whole_response_is_valid_and_complete() -> None:
    parts = (
        Thinking("Hm.", "sig"),
        Text("See ", citations=({"type": "web_search_result_location", "url": "https://x", "title": None, "cited_text": "y"},)),
        Text("there."),
        ToolUse("c1", "f", "{}"),
        ToolUse("c2", "patch", '{"input": "*** Begin"}'),
        ToolUse("c3", "space__g", '{"a": 1}'),
    )
    made = whole(frame(), reply(*parts), ["narrowed"])
    Response.model_validate(made, strict=True)
    thought, message, function, custom, spaced = made["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert message["content"][0]["text"] == "See there."
    assert message["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://x", "title": "", "start_index": 0, "end_index": 4}
    ]
    assert (function["type"], function["call_id"], function["name"], function["arguments"]) == ("function_call", "c1", "f", "{}")
    assert (custom["type"], custom["call_id"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "c2",
        "patch",
        "*** Begin",
    )
    assert (spaced["namespace"], spaced["name"]) == ("space", "g")
    assert len({item["id"] for item in made["output"]}) == 5
    assert made["usage"] == {
        "input_tokens": 8,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 11,
    }
    assert (made["store"], made["octant"]) == (False, {"degraded": ["narrowed"]})


@pytest.mark.parametrize(
    ("stop", "parts", "status", "reason"),
    [
        ("end", (Text("x"),), "completed", None),
        ("tool_use", (ToolUse("c", "f", "{}"),), "completed", None),
        ("stop_sequence", (Text("x"),), "completed", None),
        ("max_tokens", (Text("x"),), "incomplete", "max_output_tokens"),
        ("context_window", (Text("x"),), "incomplete", "max_output_tokens"),
        ("pause_turn", (Text("x"),), "incomplete", "max_output_tokens"),
        ("refusal", (Text("x"),), "incomplete", "content_filter"),
        ("refusal", (Refusal("No."),), "completed", None),
    ],
)
def test_only_an_answer_that_ended_by_itself_is_completed(
    stop: StopReason, parts: tuple[Part, ...], status: str, reason: str | None
) -> None:
    made = whole(frame(), reply(*parts, stop=stop))
    Response.model_validate(made, strict=True)
    assert (made["status"], (made["incomplete_details"] or {}).get("reason")) == (status, reason)
    assert made["output"][-1]["status"] == status
    (*_, last) = streamed([TextDelta(0, "x")] if isinstance(parts[0], Text) else [], reply(*parts, stop=stop))
    assert (last["type"], last["response"]["status"]) == (f"response.{status}", status)
    assert last["response"]["incomplete_details"] == made["incomplete_details"]


def test_reasoning_text_and_calls_stream_one_after_the_other() -> None:
    deltas: list[Delta] = [
        ThinkingDelta(0, "Hm"),
        ThinkingDelta(0, "."),
        ThinkingDelta(0, signature="sig"),
        TextDelta(1, "a"),
        TextDelta(1, "b"),
        ToolUseStart(2, "c1", "f"),
        ToolUseDelta(2, "{"),
        ToolUseDelta(2, "}"),
        ToolUseStart(3, "c2", "patch"),
        ToolUseDelta(3, '{"input": "p"}'),
    ]
    parts = (Thinking("Hm.", "sig"), Text("ab"), ToolUse("c1", "f", "{}"), ToolUse("c2", "patch", '{"input": "p"}'))
    found = streamed(deltas, reply(*parts, stop="tool_use"))
    assert types(found) == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    final = found[-1]["response"]
    assert final["output"] == whole(frame(), reply(*parts))["output"]
    assert final["octant"] == {
        "cost_usd": "0.000007", "provider": "openai", "model": "m", "attempts": 1, "fallbacks": 0, "degraded": [],
    }  # fmt: skip
    assert final["usage"]["total_tokens"] == 11


@pytest.mark.parametrize(("text", "asked"), [('{"query": "maps"}', {"query": "maps"}), ("", {}), ("not JSON", {})])
def test_a_search_for_tools_comes_as_its_own_item_with_its_arguments_as_an_object(text: str, asked: object) -> None:
    body = {**PLAIN, "tools": [{"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}]}
    call = ToolUse("c1", "tool_search", text)
    found = streamed([ToolUseStart(0, "c1", "tool_search"), ToolUseDelta(0, text)], reply(call, stop="tool_use"), body)
    assert types(found)[2:] == ["output_item.added", "output_item.done", "completed"]
    (item,) = found[-1]["response"]["output"]
    assert (item["type"], item["execution"], item["call_id"], item["arguments"]) == ("tool_search_call", "client", "c1", asked)
    assert whole(frame(body), reply(call))["output"] == [item]
    Response.model_validate(found[-1]["response"], strict=True)


def test_without_a_summary_reasoning_comes_sealed_or_not_at_all() -> None:
    signed = streamed([ThinkingDelta(0, "Hm."), ThinkingDelta(0, signature="s"), TextDelta(1, "a")], reply(Text("a")), PLAIN)
    assert types(signed)[2:5] == ["output_item.added", "output_item.done", "output_item.added"]
    item = signed[3]["item"]
    assert item["summary"] == []
    body = {"model": "m", "input": [item, {"role": "user", "content": "x"}]}
    ((thought,), _) = (message.parts for message in read(json.dumps(body).encode(), CONTEXT)[1].messages)
    assert thought == Thinking("Hm.", "s")
    unsigned = streamed([ThinkingDelta(0, "Hm."), TextDelta(1, "a")], reply(Text("a")), PLAIN)
    assert [item["type"] for item in unsigned[-1]["response"]["output"]] == ["message"]
    assert {event["output_index"] for event in unsigned if "output_index" in event} == {0}


def test_interleaved_calls_come_out_whole_and_in_their_order() -> None:
    deltas: list[Delta] = [
        ToolUseStart(0, "c1", "f"),
        ToolUseStart(1, "c2", "space__g"),
        ToolUseDelta(0, '{"a": {}'),
        ToolUseDelta(1, '{"b": {'),
        ToolUseDelta(0, ', "c": "}"'),
        ToolUseDelta(1, "}}"),
        ToolUseDelta(0, "}"),
    ]
    parts = (ToolUse("c1", "f", '{"a": {}, "c": "}"}'), ToolUse("c2", "space__g", '{"b": {}}'))
    found = streamed(deltas, reply(*parts, stop="tool_use"))
    opened: list[int] = []
    for event in found:
        if event["type"] == "response.output_item.added":
            opened.append(event["output_index"])
        if event["type"].startswith("response.function_call_arguments"):
            assert event["output_index"] == opened[-1]
    assert opened == [0, 1]
    assert found[-1]["response"]["output"] == whole(frame(), reply(*parts))["output"]


def test_a_refusal_is_a_message_of_its_own() -> None:
    found = streamed([], reply(Refusal("I cannot."), stop="refusal"))
    assert types(found)[2:] == [
        "output_item.added", "content_part.added", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert found[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_a_call_that_was_cut_is_incomplete() -> None:
    found = streamed([ToolUseStart(0, "c1", "f"), ToolUseDelta(0, '{"a')], reply(ToolUse("c1", "f", '{"a'), stop="max_tokens"))
    assert found[-1]["type"] == "response.incomplete"
    assert [(item["status"], item["arguments"]) for item in found[-1]["response"]["output"]] == [("incomplete", '{"a')]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ProvidersUnavailable("It broke off."), "server_error"), (ProvidersRateLimited("Too many."), "rate_limit_exceeded")],
)
def test_a_failure_in_the_middle_ends_as_a_failed_response(error: ProvidersUnavailable, code: str) -> None:
    """R6."""
    error.receipt = RECEIPT
    writer = EventWriter(frame())
    found = events(writer.begin(["narrowed"]), writer.write(TextDelta(0, "Hel")), writer.error(error))
    assert found[0]["response"]["octant"] == {"degraded": ["narrowed"]}
    last = found[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"] == {"code": code, "message": error.message}
    assert (last["response"]["octant"]["code"], last["response"]["octant"]["cost_usd"]) == (error.code, "0.000007")


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Delta], tuple[Part, ...]]:
    """Parts, and deltas that bring them: in pieces, and calls side by side."""
    kinds = draw(st.lists(st.sampled_from(["text", "thinking", "f", "patch", "space__g"]), min_size=1, max_size=5))
    words = st.text(alphabet='ab {}"é\\', max_size=8)
    parts: list[Part] = []
    pieces: list[list[Delta]] = []
    for index, kind in enumerate(kinds):
        text = draw(words) or "x"
        if kind == "text":
            parts.append(Text(text))
            pieces.append([TextDelta(index, sign) for sign in text])
        elif kind == "thinking":
            parts.append(Thinking(text, "s"))
            pieces.append([*(ThinkingDelta(index, sign) for sign in text), ThinkingDelta(index, signature="s")])
        else:
            arguments = json.dumps({"input": text})
            parts.append(ToolUse(f"c{index}", kind, arguments))
            pieces.append([ToolUseStart(index, f"c{index}", kind), *(ToolUseDelta(index, sign) for sign in arguments)])
    deltas: list[Delta] = []
    while any(pieces):
        open_ = [run for run in pieces if run]
        calls = [run for run in open_ if isinstance(run[0], ToolUseStart | ToolUseDelta)]
        together = calls if calls and open_[0] is calls[0] and len(calls) == len(open_) else open_[:1]
        deltas.append(draw(st.sampled_from(together)).pop(0))
    return deltas, tuple(parts)


@given(conversations())
def test_any_stream_is_in_order_and_ends_in_what_it_showed(found: tuple[list[Delta], tuple[Part, ...]]) -> None:
    """One item is open at a time; its pieces add up to it; the last event holds every item that was done."""
    deltas, parts = found
    order: list[Delta] = list(deltas)
    shown = streamed(order, reply(*parts))
    open_item: dict[str, Any] | None = None
    grown = ""
    done: list[dict[str, Any]] = []
    for event in shown[2:-1]:
        kind = event["type"].removeprefix("response.")
        assert event["output_index"] == len(done)
        if kind == "output_item.added":
            assert open_item is None
            open_item, grown = event["item"], ""
            continue
        assert open_item is not None
        if kind == "output_item.done":
            assert event["item"]["id"] == open_item["id"]
            assert grown == content(event["item"])
            done.append(event["item"])
            open_item = None
            continue
        assert event["item_id"] == open_item["id"]
        grown += event["delta"] if kind.endswith(".delta") else ""
    assert open_item is None
    final = shown[-1]["response"]
    assert final["output"] == done
    calls = {part.id: part for part in parts if isinstance(part, ToolUse)}
    answered = {item["call_id"]: item for item in done if "call_id" in item}
    assert answered.keys() == calls.keys()
    assert "".join(map(content, (i for i in done if i["type"] == "message"))) == "".join(
        part.text for part in parts if isinstance(part, Text)
    )


def content(item: dict[str, Any]) -> str:
    """What an item says."""
    if item["type"] == "message":
        return str(item["content"][0]["text"])
    if item["type"] == "reasoning":
        return "".join(part["text"] for part in item["summary"])
    return str(item.get("arguments", item.get("input")))


@pytest.mark.parametrize("first", ['{"a": 1', '{"a": 1}}'], ids=["unfinished", "invalid"])
def test_a_call_beside_one_that_never_becomes_whole_costs_no_more_than_its_length(first: str) -> None:
    """V3: the first call was parsed again for each piece of the second, and what waited was copied for each."""

    def work(size: int) -> None:
        writer = EventWriter(frame(PLAIN))
        for index in range(2):
            writer.write(ToolUseStart(index, f"c{index}", "f"))
        for _ in range(size):
            writer.write(ToolUseDelta(0, "          "))
        writer.write(ToolUseDelta(0, first))
        for _ in range(size):
            writer.write(ToolUseDelta(1, '"}'))
        writer.end(Reply(parts=(), stop="end", usage=Usage(), provider="p", model="m"), RECEIPT)

    assert is_linear(work, 500)
