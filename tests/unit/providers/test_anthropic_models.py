"""What goes to a Claude model: its own form of thinking; forced calls, begun answers, late instructions where it takes them."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain.messages import Message, Native, Sampling, Text, Thinking, ToolChoice, ToolSpec
from app.gateway.providers import anthropic, forced_calls
from app.gateway.providers import anthropic_models as models
from app.gateway.providers import anthropic_wire as wire
from app.gateway.providers.base import ModelRequest, Timeouts

Json = dict[str, Any]
OLD, MIDDLE, NEW, ALWAYS, LATEST = (
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-6",
    "claude-haiku-5-5",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
)
BUDGET: Json = {"type": "enabled", "budget_tokens": 2000}
TOOL = ToolSpec("note", "notes", {"type": "object", "properties": {}})


def sent(model: str, thinking: Json | None = None, effort: str | None = None, **changes: object) -> Json:
    extra = {name: value for name, value in (("thinking", thinking), ("effort", effort)) if value}
    fields: Json = {
        "model": model,
        "system": (),
        "messages": (Message("user", (Text("hello"),)),),
        "sampling": Sampling(max_output_tokens=8000, extra=extra),
        "timeouts": Timeouts(1, 1, 1, 1),
    }
    return wire.body(ModelRequest(**{**fields, **changes}), stream=False)


@pytest.mark.parametrize("model", [NEW, ALWAYS, LATEST, "claude-opus-4-7", "anthropic.claude-fable-5-1"])
def test_thinking_with_a_budget_is_adaptive_and_shown_where_there_are_no_budgets(model: str) -> None:
    assert sent(model, BUDGET)["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent(model, {**BUDGET, "display": "omitted"})["thinking"] == {"type": "adaptive", "display": "omitted"}


@pytest.mark.parametrize("model", [OLD, MIDDLE, "claude-3-7-sonnet-20250219", "a-deployment"])
def test_thinking_with_a_budget_stays_where_the_model_takes_it(model: str) -> None:
    assert sent(model, BUDGET)["thinking"] == BUDGET
    assert sent(model, {**BUDGET, "budget_tokens": 9000})["thinking"] == {**BUDGET, "budget_tokens": 7999}


def test_adaptive_thinking_has_a_budget_where_the_model_knows_no_other_kind() -> None:
    adaptive = {"type": "adaptive"}
    newer = {"display": "summarized", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert sent(OLD, adaptive)["thinking"] == {"type": "enabled", "budget_tokens": 4000}
    assert sent(OLD, {**adaptive, **newer})["thinking"] == {
        "type": "enabled",
        "budget_tokens": 4000,
    }  # as GitHub's Copilot sends it
    assert "thinking" not in sent(OLD, adaptive, sampling=Sampling(max_output_tokens=1000, extra={"thinking": adaptive}))
    assert [sent(model, adaptive)["thinking"] for model in (MIDDLE, LATEST, "a-deployment")] == [adaptive] * 3


@pytest.mark.parametrize("off", ["disabled", "between_tools"])
def test_thinking_is_off_in_each_models_own_words(off: str) -> None:
    thinking = {"type": off}
    assert [sent(model, thinking)["thinking"] for model in (OLD, MIDDLE, NEW)] == [{"type": "disabled"}] * 3
    assert sent(LATEST, thinking)["thinking"] == {"type": "between_tools"}
    assert sent(LATEST, {**thinking, "display": "omitted"})["thinking"] == {"type": "between_tools"}
    always = sent(ALWAYS, thinking)
    assert ("thinking" in always, always["output_config"]) == (False, {"effort": "low"})
    assert sent(ALWAYS, thinking, "high")["output_config"] == {"effort": "high"}


def test_thinking_that_is_off_goes_with_no_more_effort_than_the_model_allows() -> None:
    off = {"type": "disabled"}
    assert [sent(model, off, "max")["output_config"]["effort"] for model in (NEW, LATEST)] == ["high", "high"]
    assert sent("claude-opus-4-8", off, "max")["output_config"]["effort"] == "max"
    assert sent(LATEST, {"type": "adaptive"}, "max")["output_config"]["effort"] == "max"


def test_no_edit_clears_the_thinking_of_a_request_that_has_none() -> None:
    """Claude Code sends the edit always, and Claude refuses it without thinking (NVIDIA-NeMo/Switchyard#248)."""
    clears, other = {"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}
    native = {"anthropic": {"context_management": {"edits": [clears, other]}, "service_tier": "standard_only"}}
    alone = {"anthropic": {"context_management": {"edits": [clears]}}}
    adaptive = {"type": "adaptive"}
    none_left = Sampling(max_output_tokens=1000, extra={"thinking": adaptive})  # by the route's limit
    for body in (
        sent(OLD, native=native),
        sent(OLD, native=native, sampling=none_left),
        sent(NEW, {"type": "disabled"}, native=native),
    ):
        assert (body["context_management"], body["service_tier"]) == ({"edits": [other]}, "standard_only")
    assert "context_management" not in sent(MIDDLE, native=alone)
    for body in (sent(OLD, BUDGET, native=alone), sent(NEW, native=alone), sent("a-deployment", native=alone)):
        assert body["context_management"] == {"edits": [clears]}


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("tool", "note", parallel=False)])
def test_a_call_is_wanted_in_words_where_it_cannot_be_forced(choice: ToolChoice) -> None:
    for model in (ALWAYS, LATEST, "claude-mythos-5-1"):
        body = sent(model, tools=(TOOL,), tool_choice=choice, system=(Text("Be brief."),))
        assert [block["text"] for block in body["system"]] == [
            "Be brief.",
            forced_calls.MUST_CALL_THIS.format(name="note") if choice.name else forced_calls.MUST_CALL,
        ]
        assert body.get("tool_choice") == (None if choice.parallel else {"type": "auto", "disable_parallel_tool_use": True})
    for model in (NEW, MIDDLE, "claude-opus-5", "claude-fable-5", "a-deployment"):
        body = sent(model, tools=(TOOL,), tool_choice=choice)
        assert (body["tool_choice"]["type"], "system" in body) == (choice.mode, False)


def test_a_begun_answer_is_continued_by_request_where_it_cannot_be_begun() -> None:
    turns = (Message("user", (Text("hello"),)), Message("assistant", (Text('{"a": '),)))
    for model in (MIDDLE, LATEST):
        assert [(t["role"], t["content"][0]["text"]) for t in sent(model, messages=turns)["messages"]][1:] == [
            ("assistant", '{"a":'),
            ("user", models.GO_ON),
        ]
    for model in (OLD, "a-deployment"):
        assert sent(model, messages=turns)["messages"][-1]["role"] == "assistant"
    paused = Native("anthropic", {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}})
    turns = (turns[0], Message("assistant", (paused, Text("So far:"))))
    assert [sent(LATEST, messages=turns)["messages"][-1]["role"], len(sent(LATEST)["messages"])] == ["assistant", 1]


def test_a_count_of_tokens_thinks_as_the_answer_would() -> None:
    fields: Json = {"system": (), "messages": (Message("user", (Text("hello"),)),), "timeouts": Timeouts(1, 1, 1, 1)}
    sampling = Sampling(max_output_tokens=1, extra={"thinking": BUDGET})
    counted = [wire.counting(ModelRequest(model=model, sampling=sampling, **fields)) for model in (OLD, LATEST)]
    assert [body["thinking"] for body in counted] == [BUDGET, {"type": "adaptive", "display": "summarized"}]


THOUGHT = (
    Message("user", (Text("hello"),)),
    Message("assistant", (Thinking("hm", "signed"), Text("hi"))),
    Message("user", (Text("and now?"),)),
)
DROPPED = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


@pytest.mark.parametrize("model", [NEW, ALWAYS, LATEST, "claude-fable-5-1"])
def test_thinking_bound_to_another_conversation_is_dropped_and_refuses_nothing(model: str) -> None:
    assert sent(model, messages=THOUGHT)["thinking"] == DROPPED
    assert sent(model, BUDGET, messages=THOUGHT)["thinking"] == {**DROPPED, "display": "summarized"}
    assert sent(model, {"type": "adaptive", "block_binding": {}}, messages=THOUGHT)["thinking"] == DROPPED
    strict = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}
    assert sent(model, strict, messages=THOUGHT)["thinking"] == strict, "the caller wants to know"


def test_where_thinking_is_not_bound_or_none_was_sent_nothing_is_added() -> None:
    assert "thinking" not in sent(LATEST)
    assert "thinking" not in sent("claude-opus-5-0", messages=THOUGHT)
    assert "thinking" not in sent("a-deployment", messages=THOUGHT)
    assert sent(LATEST, {"type": "disabled"}, messages=THOUGHT)["thinking"] == {"type": "between_tools"}, "it takes no binding"


@pytest.mark.parametrize("betas", [(), ("effort-2025-11-24",), (models.BINDING_BETA,)])
def test_the_beta_of_a_field_that_is_added_goes_along_once(betas: tuple[str, ...]) -> None:
    request = ModelRequest(
        model=LATEST, system=(), messages=THOUGHT, sampling=Sampling(max_output_tokens=10), timeouts=Timeouts(1, 1, 1, 1),
        betas=betas,
    )  # fmt: skip
    names = anthropic._headers(request, wire.body(request, stream=False))["anthropic-beta"].split(",")
    assert sorted(names) == sorted({*betas, models.BINDING_BETA})
    plain = replace(request, messages=THOUGHT[:1], betas=())
    assert anthropic._headers(plain, wire.body(plain, stream=False)) == {}


CONVERSATION = (
    Message("system", (Text("a"),)),
    Message("user", (Text("b"),)),
    Message("system", (Text("c"),)),
    Message("assistant", (Text("d"),)),
    Message("user", (Text("e"),)),
)


@pytest.mark.parametrize("model", [NEW, ALWAYS, LATEST, "claude-opus-4-8", "anthropic.claude-fable-5", "a-deployment"])
def test_late_instructions_stay_where_the_model_follows_them(model: str) -> None:
    body = sent(model, messages=CONVERSATION)
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant", "user"]
    assert body["system"] == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize("model", [OLD, MIDDLE, "claude-opus-4-7", "claude-sonnet-4-20250514", "claude-sonnet-5"])
def test_late_instructions_join_the_system_prompt_of_any_other_model(model: str) -> None:
    body = sent(model, messages=CONVERSATION)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["system"]] == ["a", "c"]
