"""What single models behind OpenAI's protocol want back, beyond the protocol."""

import json
from typing import Any

import pytest

from app.domain.messages import Image, Message, Sampling, Text, Thinking, ToolChoice, ToolResult, ToolSpec, ToolUse
from app.gateway.providers import forced_calls, openai_wire
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai_models import NOT_KEPT, UNSIGNED

NOTHING_WANTED = ["gpt-6-luna", "llama-3.3-70b", "kimi-k2-instruct-0905", "deepseek-chat", "deepseek-r1-distill-llama-70b"]
THINKING = [
    "deepseek-v4-pro",
    "deepseek/deepseek-v4-flash:free",
    "deepseek-reasoner",
    "moonshotai/Kimi-K2.5",
    "kimi-k2-thinking",
    "xiaomi/mimo-v2.5-pro",  # VicBilibily/GCMP#171
    "mimo-v2-flash",
]
# alibabacloud.com/help/en/model-studio/deep-thinking: thinking is their default (QwenLM/qwen-code#7659, cloudwego/eino#994)
UNFORCED = [*THINKING, "qwen3.5-plus", "qwen/qwen3.8-max", "qwen3-235b-a22b-thinking-2507", "qwq-plus"]
FORCED = [*NOTHING_WANTED, "qwen3-coder-plus", "qwen3.5-397b-a17b", "qwen-plus"]
TOOL = ToolSpec("f", "does f", {"type": "object", "properties": {}})


def sent(
    model: str, *answers: tuple[Any, ...], choice: ToolChoice | None = None, turns: tuple[Message, ...] = ()
) -> dict[str, Any]:
    """The body of a request whose history holds these answers."""
    said = [Message("user", (Text("hi"),))]
    for answer in answers:
        results = tuple(ToolResult(part.id, (Text("4"),)) for part in answer if isinstance(part, ToolUse))
        said += [Message("assistant", answer), Message("user", results or (Text("go on"),))]
    request = ModelRequest(
        model=model,
        system=(),
        messages=turns or tuple(said),
        sampling=Sampling(max_output_tokens=50),
        timeouts=Timeouts(1, 1, 1, 1),
        tools=(TOOL,),
        tool_choice=choice or ToolChoice(),
    )
    found: dict[str, Any] = json.loads(json.dumps(openai_wire.body(request, legacy_max_tokens=False, stream=False)))
    return found


def signatures(model: str, *calls: ToolUse) -> list[object]:
    """The signatures that the calls of one answer are sent with; without the field, None."""
    wire = sent(model, calls)["messages"][1]["tool_calls"]
    return [call["extra_content"]["google"]["thought_signature"] if "extra_content" in call else None for call in wire]


SIGNED, PLAIN = ToolUse("c1", "f", "{}", signature="Abc+/=="), ToolUse("c2", "f", "{}")


@pytest.mark.parametrize(
    ("model", "calls", "expected"),
    [
        ("gemini-3-pro-preview", (SIGNED, PLAIN), ["Abc+/==", None]),
        ("gemini-3-pro-preview", (PLAIN, PLAIN), [UNSIGNED, None]),
        ("google/gemini-3.6-flash", (PLAIN,), [UNSIGNED]),
        ("gemini-flash-latest", (PLAIN,), [UNSIGNED]),
        ("gemini-2.5-pro", (SIGNED, PLAIN), ["Abc+/==", None]),
        ("gemini-2.5-pro", (PLAIN,), [None]),
        *((model, (SIGNED,), [None]) for model in (*NOTHING_WANTED, *THINKING)),
    ],
)
def test_gemini_gets_its_thought_signatures_back(model: str, calls: tuple[ToolUse, ...], expected: list[str | None]) -> None:
    """A call without one is refused; other vendors refuse the field."""
    assert signatures(model, *calls) == expected


def test_a_model_of_mistral_has_answered_a_tools_result_before_the_user_speaks() -> None:
    """Its server refuses the user's words right after the result, in this request and in each that holds them."""
    turns = (
        Message("user", (Text("hi"),)),
        Message("assistant", (PLAIN,)),
        Message("user", (ToolResult("c2", (Text("4"),)), Text("stop"))),
        Message("assistant", (PLAIN,)),
        Message("user", (ToolResult("c2", (Text("5"),)),)),
    )
    for model, roles in (("mistralai/Devstral-Small-2", "uatauat"), ("gpt-6-luna", "uatuat")):
        assert "".join(message["role"][0] for message in sent(model, turns=turns)["messages"]) == roles


@pytest.mark.parametrize("silence", [(), (Thinking("hm"),), (Text(""),)], ids=["nothing", "a thought", "no text"])
def test_an_answer_that_says_nothing_is_left_out_where_it_is_refused(silence: tuple[Any, ...]) -> None:
    """AstrBotDevs/AstrBot#7200, NousResearch/hermes-agent#90614, michelle-avery/openai-compatible-conversation#26."""
    for model, roles in (
        ("kimi-k2.6", "uuau"),
        ("moonshot-v1-8k", "uuau"),
        ("mistral-small-latest", "uuau"),
        ("gpt-6-luna", "uauau"),
    ):
        messages = sent(model, silence, (Text("4"),))["messages"]
        assert "".join(message["role"][0] for message in messages) == roles


@pytest.mark.parametrize("model", ["qwen3.6-27b", "Qwen/Qwen3.5-397B-A17B", "qwen4-plus", "google/gemma-3-27b-it"])
def test_a_model_whose_template_takes_one_system_message_gets_all_instructions_in_it(model: str) -> None:
    """vllm-project/vllm#41114, BerriAI/litellm#26879, suitenumerique/conversations#197, raullenchai/Rapid-MLX#1543."""
    said = [("system", "A"), ("system", "B"), ("user", "hi"), ("assistant", "Hello."), ("system", "C"), ("user", "go on")]
    turns = tuple(Message(role, (Text(text),)) for role, text in said)  # type: ignore[arg-type]
    messages = sent(model, turns=turns)["messages"]
    assert [(m["role"], m["content"]) for m in messages] == [
        ("system", "A\n\nB\n\nC"),
        *(one for one in said if one[0] != "system"),
    ]
    for other in ("gpt-6-luna", "qwen3-coder-plus", "mistral-small-latest"):
        assert [(m["role"], m["content"]) for m in sent(other, turns=turns)["messages"]] == said
    assert [m["role"] for m in sent(model, turns=turns[2:4])["messages"]] == ["user", "assistant"]


def test_an_empty_text_beside_a_picture_is_left_out_where_it_is_refused() -> None:
    """BerriAI/litellm#42186."""
    turns = (Message("user", (Text(""), Image(url="https://x.org/a.png"))),)
    for model, kinds in (("kimi-k3", ["image_url"]), ("gpt-6-luna", ["text", "image_url"])):
        assert [part["type"] for part in sent(model, turns=turns)["messages"][0]["content"]] == kinds


def test_a_call_without_words_is_no_answer_that_says_nothing() -> None:
    for model in ("kimi-k2.6", "mistral-small-latest"):
        assert [message["role"] for message in sent(model, (PLAIN,))["messages"]] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("model", THINKING)
def test_a_model_that_wants_its_reasoning_back_gets_it_with_each_answer(model: str) -> None:
    own, other = Thinking("hm "), Thinking("Claude's", signature="s")
    messages = sent(
        model,
        (own, own, PLAIN),
        (
            other,
            Text("4"),
        ),
    )["messages"]
    assert [m["reasoning_content"] for m in messages if m["role"] == "assistant"] == ["hm hm ", NOT_KEPT]


@pytest.mark.parametrize("model", [*NOTHING_WANTED, "gemini-3-pro-preview"])
def test_other_models_get_no_reasoning(model: str) -> None:
    assert "hm" not in json.dumps(sent(model, (Thinking("hm"), PLAIN)))
    assert "reasoning_content" not in json.dumps(sent(model, (Thinking("hm"), PLAIN)))


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("tool", "f")])
def test_a_model_that_takes_no_forced_call_is_asked_for_it_in_words(choice: ToolChoice) -> None:
    sentence = forced_calls.MUST_CALL_THIS.format(name="f") if choice.name else forced_calls.MUST_CALL
    for model in UNFORCED:
        body = sent(model, choice=choice)
        assert "tool_choice" not in body
        assert body["messages"][0] == {"role": "system", "content": sentence}
    for model in FORCED:
        body = sent(model, choice=choice)
        assert body["tool_choice"]
        assert body["messages"][0]["role"] == "user"


@pytest.mark.parametrize("choice", [ToolChoice(), ToolChoice("none")])
def test_a_choice_that_forces_nothing_is_sent_as_it_is(choice: ToolChoice) -> None:
    assert sent(THINKING[0], choice=choice).get("tool_choice") == (None if choice.mode == "auto" else "none")
