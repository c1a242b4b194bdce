"""The scripted model behind `make clients` plays, counts and refuses as its vendors do."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from clients import model_anthropic, model_openai, refusals


def script(*steps: dict[str, Any]) -> str:
    return f"Go. SCRIPT({urlsafe_b64encode(json.dumps(steps).encode()).decode()})"


TWO = script({"call": [["a", {}], ["b", {}]]}, {"say": "got %results% of %turns%"})
CALLS = [{"id": n, "type": "function", "function": {"name": n, "arguments": "{}"}} for n in ("a", "b")]
USES: list[dict[str, Any]] = [{"type": "tool_use", "id": n, "name": n, "input": {}} for n in ("a", "b")]


def openai_turns(played: int) -> list[dict[str, Any]]:
    results = [{"role": "tool", "tool_call_id": n, "content": f"{n}!"} for n in ("a", "b")]
    turns: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": CALLS}, *results]
    return [{"role": "user", "content": TWO}, *(turns * played)]


def anthropic_turns(played: int) -> list[dict[str, Any]]:
    results = [{"type": "tool_result", "tool_use_id": n, "content": f"{n}!"} for n in ("a", "b")]
    turns: list[dict[str, Any]] = [{"role": "assistant", "content": USES}, {"role": "user", "content": results}]
    return [{"role": "user", "content": TWO}, *(turns * played)]


def test_one_step_is_played_for_each_turn_of_the_model() -> None:
    for read, turns, counted in ((model_openai.read, openai_turns, 4), (model_anthropic.read, anthropic_turns, 4)):
        assert read({"messages": turns(0)}).step() == {"call": [["a", {}], ["b", {}]]}
        assert read({"messages": turns(1)}).step() == {"say": f"got a! | b! of {counted}"}


def test_the_newest_script_is_played() -> None:
    turns = [*openai_turns(1), {"role": "assistant", "content": "…"}, {"role": "user", "content": script({"say": "new"})}]
    assert model_openai.read({"messages": turns}).step() == {"say": "new"}


def test_an_object_is_given_as_the_request_wants_it() -> None:
    messages = [{"role": "user", "content": script({"object": {"n": 1}})}]
    tools = [{"name": "give", "input_schema": {"type": "object"}}]
    assert model_anthropic.read({"messages": messages}).step() == {"say": '{"n": 1}'}
    for choice in ({"type": "any"}, {"type": "tool", "name": "give"}):
        body = {"messages": messages, "tools": tools, "tool_choice": choice}
        assert model_anthropic.read(body).step() == {"call": [["give", {"n": 1}]]}


def test_streams_hold_the_whole_answer_in_pieces() -> None:
    step = {"say": "A text of several pieces.", "call": [["weather", {"city": "Oslo"}]]}
    body = {"model": "m", "messages": [], "stream_options": {"include_usage": True}}
    whole = model_openai.whole(step, body, "1")
    chunks = [json.loads(event[6:]) for event in model_openai.events(step, body, "1") if b"[DONE]" not in event]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == step["say"]
    arguments = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(arguments) == whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_mark_of_the_prompt_cache_is_written_once_and_then_read() -> None:
    def usage(mark: dict[str, str]) -> dict[str, Any]:
        system = [{"type": "text", "text": f"{mark} " + "long " * 200, "cache_control": mark}]
        used = model_anthropic.whole({"say": "x"}, {"model": "m", "system": system, "messages": []}, "1")["usage"]
        return dict(used)

    first, second = usage({"type": "ephemeral"}), usage({"type": "ephemeral"})
    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 100
    assert second["cache_creation_input_tokens"] == 0
    assert usage({"type": "ephemeral", "ttl": "1h"})["cache_creation"]["ephemeral_1h_input_tokens"] > 100


USER = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": USES[:1]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
FORGED = {"type": "thinking", "thinking": "I know.", "signature": "forged"}
OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"messages": [USER, CALLED, USER]}, "without tool_result"),
        ({"messages": [USER, RESULT]}, "unexpected tool_use_id"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "non-whitespace"),
        ({"messages": [USER], "stop_sequences": ["\n"]}, "non-whitespace"),
        ({"messages": [USER], "tools": [{"name": "a b"}]}, "pattern"),
        ({"messages": [USER], **THINK, "max_tokens": 1024}, "budget_tokens"),
        ({"messages": [USER, CALLED, RESULT], **THINK}, "Expected `thinking`"),
        ({"messages": [USER, {"role": "assistant", "content": [FORGED]}]}, "signature"),
        ({"messages": [USER], "output_config": {"format": {"schema": OPEN}}}, "additionalProperties"),
        ({"messages": [USER], **THINK, "model": "claude-haiku-5-5"}, "thinking.type.enabled"),
        ({"messages": [USER], "thinking": {"type": "disabled"}, "model": "claude-opus-5-5"}, "thinking.type.disabled"),
        ({"messages": [USER], "thinking": {"type": "between_tools"}, "model": "claude-haiku-5-5"}, "between_tools"),
        ({"messages": [USER], "tool_choice": {"type": "any"}, "model": "claude-sonnet-5-5"}, "forced"),
        ({"messages": [USER, {"role": "assistant", "content": "{"}], "model": "claude-sonnet-5-5"}, "prefill"),
        ({"messages": [USER], "system": [{"text": "x", "cache_control": {"type": "ephemeral"}}] * 5}, "maximum of 4"),
    ],
)
def test_what_anthropic_refuses_is_refused(body: dict[str, Any], reason: str) -> None:
    assert reason in str(refusals.of_anthropic(body))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"messages": openai_turns(1)[:3]}, "None"),  # the last call may be open at the end
        ({"messages": [*openai_turns(1)[:3], USER]}, "did not have response"),
        ({"messages": [USER, openai_turns(1)[2]]}, "preceding message"),
        ({"messages": [USER], "tools": [{"function": {"name": "a", "parameters": {"type": "object"}}}]}, "properties"),
        ({"messages": [USER], "response_format": {"type": "json_object"}}, "json"),
        (
            {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": {"strict": True, "schema": OPEN}}},
            "additionalProperties",
        ),
    ],
)
def test_what_openai_refuses_is_refused(body: dict[str, Any], reason: str) -> None:
    assert reason in str(refusals.of_openai(body))


def test_an_ordinary_loop_is_refused_by_neither() -> None:
    assert refusals.of_openai({"messages": openai_turns(2)}) is None
    assert refusals.of_anthropic({"messages": anthropic_turns(2)}) is None


def test_a_call_that_the_instructions_want_is_made() -> None:
    step = script({"object": {"a": 1}})
    tools = [{"name": "note"}, {"name": "save"}]
    for sentence, name in (("the tool `save`.", "save"), ("one or more of your tools.", "note")):
        body = {"messages": [{"role": "user", "content": step}], "tools": tools, "system": f"Answer with a call of {sentence}"}
        assert model_anthropic.read(body).step() == {"call": [[name, {"a": 1}]]}
