"""Replies as OpenAI's clients read them, whole and as a stream put together by the SDK's rules."""

import json
from typing import Any

import pytest

from app.api.chat.openai_answer import ChunkWriter, completion
from app.domain.calls import CitationDelta, Delta, Receipt, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart, Usage
from app.domain.messages import Part, Refusal, StopReason, Text, Thinking, ToolUse

Json = dict[str, Any]
ABOUT: Json = {"request_id": "req_1", "alias": "smart", "release": "r"}
RECEIPT = Receipt(request_id="req_1", trace_id="t", release="r", provider="p", model="m", attempts=1, fallbacks=0)
TOKENS = [{"token": "h", "logprob": -0.1, "bytes": [104]}, {"token": "i", "logprob": -0.2, "bytes": None}]


def reply(*parts: Part, stop: StopReason = "end", **more: Any) -> Reply:  # noqa: ANN401 - a reply's fields
    return Reply(parts=parts, stop=stop, usage=Usage(input=5, output=3), provider="p", model="m", **more)


def whole(of: Reply, *, legacy: bool = False) -> Json:
    choice: Json = completion(of, **ABOUT, legacy=legacy)["choices"][0]
    return choice


def streamed(of: Reply, *deltas: Delta, usage: bool = False, legacy: bool = False) -> list[Json]:
    """The chunks' first choices, as a client gets them."""
    writer = ChunkWriter(**ABOUT, include_usage=usage, legacy=legacy)
    text = b"".join([writer.begin(), *map(writer.write, deltas), writer.end(of, RECEIPT)]).decode()
    events = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert events[-1] == "[DONE]"
    return [choice for event in events[:-1] for choice in json.loads(event)["choices"]]


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("context_window", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
    ],
)
def test_each_stop_has_its_finish_reason(stop: StopReason, finish: str) -> None:
    assert whole(reply(Text("hi"), stop=stop))["finish_reason"] == finish
    assert streamed(reply(Text("hi"), stop=stop))[-1]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("parts", "content"),
    [((), ""), ((Text(""),), ""), ((ToolUse("c", "f", "{}"),), None), ((Text("x"), ToolUse("c", "f", "{}")), "x")],
)
def test_content_is_null_only_beside_a_call_or_a_refusal(parts: tuple[Part, ...], content: str | None) -> None:
    assert whole(reply(*parts))["message"]["content"] == content


def test_texts_around_a_call_or_a_thought_are_paragraphs_whole_and_in_a_stream() -> None:
    """As Claude answers; an answer with citations comes in pieces of one text."""
    call, thought = ToolUse("c", "f", "{}"), Thinking("hm", "s")
    for between, deltas in ((call, [ToolUseStart(1, "c", "f")]), (thought, [ThinkingDelta(1, "hm")])):
        whole_answer = reply(Text("One."), between, Text("Two."))
        chunks = streamed(whole_answer, TextDelta(0, "One."), *deltas, TextDelta(2, "Tw"), TextDelta(2, "o."))
        assert whole(whole_answer)["message"]["content"] == "One.\n\nTwo."
        assert "".join(chunk["delta"].get("content") or "" for chunk in chunks) == "One.\n\nTwo."
    cited = reply(thought, Text("It is "), Text("blue."))
    source = CitationDelta(1, {"type": "char_location"})
    chunks = streamed(cited, ThinkingDelta(0, "hm"), TextDelta(1, "It is "), source, TextDelta(2, "blue."))
    assert whole(cited)["message"]["content"] == "".join(c["delta"].get("content") or "" for c in chunks) == "It is blue."
    chunks = streamed(cited, TextDelta(1, "It is "), ThinkingDelta(0, "hm"), TextDelta(1, "blue."))
    assert "".join(chunk["delta"].get("content") or "" for chunk in chunks) == "It is blue."
    chunks = streamed(reply(call, Text("hi")), TextDelta(0, ""), ToolUseStart(1, "c", "f"), TextDelta(2, "hi"))
    assert "".join(chunk["delta"].get("content") or "" for chunk in chunks) == "hi"


def test_a_models_refusal_is_its_own_field_and_ends_with_stop() -> None:
    refused = reply(Refusal("I cannot do that."), stop="refusal")
    message = whole(refused)
    assert (message["message"]["refusal"], message["message"]["content"]) == ("I cannot do that.", None)
    assert message["finish_reason"] == "stop"
    choices = streamed(refused)
    assert "".join(c["delta"].get("refusal") or "" for c in choices) == "I cannot do that."
    assert choices[-1]["finish_reason"] == "stop"


def test_calls_are_counted_from_zero_without_gaps() -> None:
    """Our own indexes count all parts: reasoning and text too."""
    deltas: list[Delta] = [
        ThinkingDelta(0, "hm"),
        TextDelta(1, "x"),
        ToolUseStart(2, "c1", "f"),
        ToolUseStart(4, "c2", "g"),
        ToolUseDelta(2, "{}"),
        ToolUseDelta(4, "{}"),
    ]
    calls = [call for c in streamed(reply(Text("x"), stop="tool_use"), *deltas) for call in c["delta"].get("tool_calls") or ()]
    assert [call["index"] for call in calls] == [0, 1, 0, 1]
    assert [call.get("id") for call in calls] == ["c1", "c2", None, None]


def test_a_thought_signature_goes_to_the_caller_with_its_call() -> None:
    """Gemini refuses the next turn without it."""
    extra = {"google": {"thought_signature": "Abc="}}
    called = reply(ToolUse("c1", "f", "{}", signature="Abc="), ToolUse("c2", "f", "{}"), stop="tool_use")
    assert [call.get("extra_content") for call in whole(called)["message"]["tool_calls"]] == [extra, None]
    choices = streamed(called, ToolUseStart(0, "c1", "f", "Abc="), ToolUseDelta(0, "{}"))
    calls = [call for c in choices for call in c["delta"].get("tool_calls") or ()]
    assert [call.get("extra_content") for call in calls] == [extra, None]


def test_a_request_with_functions_gets_a_function_call() -> None:
    called = reply(Thinking("hm"), ToolUse("c1", "f", '{"a":1}'), stop="tool_use")
    message = whole(called, legacy=True)
    assert message["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in message["message"]
    assert message["finish_reason"] == "function_call"
    choices = streamed(called, ToolUseStart(1, "c1", "f"), ToolUseDelta(1, '{"a":1}'), legacy=True)
    found = [c["delta"]["function_call"] for c in choices if "function_call" in c["delta"]]
    assert found == [{"name": "f", "arguments": ""}, {"arguments": '{"a":1}'}]
    assert not any("tool_calls" in c["delta"] for c in choices)
    assert choices[-1]["finish_reason"] == "function_call"


def test_log_probabilities_come_whole_and_at_the_end_of_a_stream() -> None:
    answer = reply(Text("hi"), logprobs={"content": TOKENS})
    assert whole(answer)["logprobs"] == {"content": TOKENS, "refusal": None}
    found = [c["logprobs"] for c in streamed(answer, TextDelta(0, "hi")) if c["logprobs"]]
    assert found == [{"content": TOKENS, "refusal": None}]


@pytest.mark.parametrize("text", ["", "h", "hi there", "ho"])
def test_log_probabilities_of_a_text_that_was_changed_are_left_out(text: str) -> None:
    """The guard takes a link out of the text: its tokens would give it back (S4)."""
    assert whole(reply(Text(text), logprobs={"content": TOKENS}))["logprobs"] is None


def test_bytes_of_a_character_in_two_tokens_are_one_text() -> None:
    first, second = {"token": "\\xc3", "bytes": [0xC3]}, {"token": "\\xa9", "bytes": [0xA9]}
    assert whole(reply(Text("é"), logprobs={"content": [first, second]}))["logprobs"]


def test_usage_tells_all_of_its_details() -> None:
    used = Usage(input=5, output=7, cached_input=3, cache_write=2, reasoning=4)
    body = completion(Reply(parts=(), stop="end", usage=used, provider="p", model="m"), **ABOUT)
    assert body["service_tier"] == "default"
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 7, 17)
    assert (usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens_details"]["cache_write_tokens"]) == (3, 2)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
