"""The SDKs' parameters are honoured by either vendor's model or refused (G1)."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from conftest import Simulator
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
NAMES = ("get_weather", "get_time")
BOTH = "Use get_weather and get_time for Paris."


class Number(BaseModel):
    number: int


@pytest.fixture(params=["anthropic", "openai"])
def answered_by(request: pytest.FixtureRequest, simulator: Simulator) -> str:
    """The vendor whose model answers: the other one is away."""
    other = {"anthropic": "openai", "openai": "anthropic"}[request.param]
    simulator.put_faults({"kind": "refuse", "provider": other})
    return str(request.param)


@pytest.fixture
def chat(service_url: str, api_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(service_url: str, api_key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=service_url, api_key=api_key, max_retries=0) as client:
        yield client


def openai_tools() -> list[ChatCompletionToolParam]:
    return [{"type": "function", "function": {"name": n, "description": n, "parameters": dict(PLACE)}} for n in NAMES]


def anthropic_tools() -> list[ToolParam]:
    return [{"name": n, "description": n, "input_schema": {"type": "object", **PLACE}} for n in NAMES]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls_and_their_results_in_openai_s_form(chat: openai.OpenAI, answered_by: str, stream: bool) -> None:
    question: list[Any] = [{"role": "user", "content": BOTH}]
    if stream:
        with chat.chat.completions.stream(model="smart", messages=question, tools=openai_tools()) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = chat.chat.completions.create(model="smart", messages=question, tools=openai_tools()).choices[0].message  # type: ignore[assignment]
    calls = message.tool_calls or []
    assert [call.function.name for call in calls] == list(NAMES)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in calls]
    turns = [*question, message.model_dump(exclude_none=True, exclude={"parsed", "annotations"}), *results]
    for call in turns[1]["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    final = chat.chat.completions.create(model="smart", messages=turns, tools=openai_tools())
    assert final.choices[0].finish_reason == "stop"
    assert final.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls_and_their_results_in_anthropic_s_form(
    claude: anthropic.Anthropic, answered_by: str, stream: bool
) -> None:
    question: list[MessageParam] = [{"role": "user", "content": BOTH}]
    about: Any = {"model": "smart", "max_tokens": 200, "tools": anthropic_tools()}
    if stream:
        with claude.messages.stream(messages=question, **about) as events:
            message = events.get_final_message()
    else:
        message = claude.messages.create(messages=question, **about)
    uses = [block for block in message.content if block.type == "tool_use"]
    assert ([use.name for use in uses], message.stop_reason) == (list(NAMES), "tool_use")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    results: list[Any] = [{"type": "tool_result", "tool_use_id": use.id, "content": [image]} for use in uses]
    results[1] |= {"content": "no such place", "is_error": True}
    calls: list[Any] = [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input} for use in uses]
    turns: list[MessageParam] = [*question, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    assert claude.messages.create(messages=turns, **about).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("choice", "called"),
    [("none", []), ("required", ["get_weather"]), ({"type": "function", "function": {"name": "get_time"}}, ["get_time"])],
    ids=["none", "required", "named"],
)
def test_every_tool_choice(chat: openai.OpenAI, answered_by: str, choice: Any, called: list[str]) -> None:  # noqa: ANN401
    answer = chat.chat.completions.create(model="smart", messages=HELLO, tools=openai_tools(), tool_choice=choice)
    assert [c.function.name for c in answer.choices[0].message.tool_calls or [] if c.type == "function"] == called


def test_structured_output_is_parsed_by_both_sdks(chat: openai.OpenAI, claude: anthropic.Anthropic, answered_by: str) -> None:
    parsed = chat.chat.completions.parse(model="smart", messages=HELLO, response_format=Number)
    assert isinstance(parsed.choices[0].message.parsed, Number)
    message = claude.messages.parse(model="smart", max_tokens=100, messages=HELLO, output_format=Number)
    assert isinstance(message.parsed_output, Number)


@pytest.mark.parametrize("url", ["https://example.com/cat.png", f"data:image/png;base64,{PIXEL}"], ids=["url", "base64"])
def test_images(chat: openai.OpenAI, answered_by: str, url: str) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    assert chat.chat.completions.create(model="smart", messages=[{"role": "user", "content": parts}]).choices[0].message.content


def test_stop_sequences_and_limits_have_each_vendor_s_reasons(
    chat: openai.OpenAI, claude: anthropic.Anthropic, answered_by: str
) -> None:
    count: list[Any] = [{"role": "user", "content": "count to 50"}]
    assert chat.chat.completions.create(model="smart", messages=count, max_tokens=5).choices[0].finish_reason == "length"
    assert chat.chat.completions.create(model="smart", messages=count, stop=["7"]).choices[0].finish_reason == "stop"
    assert claude.messages.create(model="smart", messages=count, max_tokens=5).stop_reason == "max_tokens"
    stopped = claude.messages.create(model="smart", messages=count, max_tokens=100, stop_sequences=["7"])
    assert stopped.content[0].type == "text"
    assert stopped.content[0].text.split() == ["1", "2", "3", "4", "5", "6"]


def test_developer_and_system_messages_may_stand_first_and_later(chat: openai.OpenAI, answered_by: str) -> None:
    first: list[Any] = [{"role": "developer", "content": "Be brief."}, {"role": "system", "content": "Be kind."}, *HELLO]
    later: list[Any] = [*HELLO, {"role": "system", "content": "Be kind."}]
    for messages in (first, later):
        assert chat.chat.completions.create(model="smart", messages=messages).choices[0].message.content


def test_thinking_comes_back_signed_streams_and_can_be_sent_back(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    about: Any = {"model": "smart", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    message = claude.messages.create(messages=HELLO, **about)
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.signature
    with claude.messages.stream(messages=HELLO, **about) as events:
        assert events.get_final_message().content[0] == thought
    turns: list[Any] = [*HELLO, {"role": "assistant", "content": message.model_dump()["content"]}, *HELLO]
    for block in turns[1]["content"]:
        block.pop("citations", None)
    assert claude.messages.create(messages=turns, **about).stop_reason == "end_turn"
    for kind in ({"type": "adaptive"}, {"type": "disabled"}, {"type": "between_tools"}):
        assert claude.messages.create(messages=HELLO, **{**about, "thinking": kind}).stop_reason == "end_turn"


def test_a_parameter_that_a_vendor_lacks_is_answered_by_one_that_has_it(chat: openai.OpenAI, simulator: Simulator) -> None:
    """Never dropped in silence: Claude has no seed, so Claude is not called."""
    chosen = {"seed": 7, "frequency_penalty": 0.5, "logprobs": True, "logit_bias": {"50256": 1}, "verbosity": "low"}
    for name, value in chosen.items():
        parameter: Any = {name: value}
        raw = chat.chat.completions.with_raw_response.create(model="smart", messages=HELLO, **parameter)
        assert (raw.headers["octant-provider"], raw.headers["octant-degraded"]) == ("openai", "narrowed"), name
    assert simulator.stats()["anthropic"]["requests"] == 0


def test_what_claude_has_lost_costs_no_caller_claude_or_its_fallback(chat: openai.OpenAI, simulator: Simulator) -> None:
    """The shipped routes ignore it there, and say so; OpenAI gets it."""
    for value, degraded in ((0, "ignored_temperature"), (1, "")):
        raw = chat.chat.completions.with_raw_response.create(model="smart", messages=HELLO, temperature=value)
        assert (raw.headers["octant-provider"], raw.headers["octant-degraded"]) == ("anthropic", degraded)
    simulator.put_faults({"kind": "refuse", "provider": "anthropic"})
    raw = chat.chat.completions.with_raw_response.create(model="smart", messages=HELLO, temperature=0, top_p=0.5)
    assert (raw.headers["octant-provider"], raw.headers["octant-degraded"]) == ("openai", "")


def test_a_model_without_thinking_is_passed_over_whatever_a_route_ignores(
    claude: anthropic.Anthropic, simulator: Simulator
) -> None:
    parameters = {"top_k": 5, "thinking": {"type": "adaptive"}}
    raw = claude.messages.with_raw_response.create(model="smart", max_tokens=50, messages=HELLO, extra_body=parameters)
    assert (raw.headers["octant-provider"], raw.headers["octant-degraded"]) == ("anthropic", "narrowed,ignored_top_k")
    assert simulator.stats()["openai"]["requests"] == 0


@pytest.mark.parametrize("effort", ["low", "high"])
def test_effort_is_one_thing_in_both_forms(
    chat: openai.OpenAI,
    claude: anthropic.Anthropic,
    answered_by: str,
    effort: Any,  # noqa: ANN401 - a literal
) -> None:
    assert chat.chat.completions.create(model="smart", messages=HELLO, reasoning_effort=effort).choices
    assert claude.messages.create(model="smart", max_tokens=50, messages=HELLO, output_config={"effort": effort}).content


REFUSED: list[dict[str, Any]] = [
    {"n": 2}, {"modalities": ["text", "audio"]}, {"web_search_options": {}}, {"service_tier": "priority"}, {"moderation": {}},
]  # fmt: skip


@pytest.mark.parametrize("parameter", REFUSED, ids=lambda a: next(iter(a)))
def test_what_is_not_honoured_is_refused_by_name(chat: openai.OpenAI, parameter: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model="smart", messages=HELLO, **parameter)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", next(iter(parameter)))


def test_tokens_are_counted_by_the_vendor_or_bounded_and_said_so(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    raw = claude.messages.with_raw_response.count_tokens(model="smart", messages=HELLO, tools=anthropic_tools())
    counted = raw.parse().input_tokens
    assert counted > 0
    assert "octant-estimated" not in raw.headers
    simulator.put_faults({"kind": "refuse", "provider": "anthropic"})
    raw = claude.messages.with_raw_response.count_tokens(model="smart", messages=HELLO, tools=anthropic_tools())
    assert raw.headers["octant-estimated"] == "true"
    assert raw.parse().input_tokens > counted


def test_what_a_route_s_limit_takes_from_a_request_is_reported(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    """G10: nothing is lowered in silence."""
    raw = chat.chat.completions.with_raw_response.create(model="smart", messages=HELLO, max_completion_tokens=90_000)
    assert raw.headers["octant-degraded"] == "output_shortened"
    thinking: Any = {"type": "enabled", "budget_tokens": 2048}
    whole = claude.messages.with_raw_response.create(model="fast", messages=HELLO, max_tokens=4096, thinking=thinking)
    assert whole.headers["octant-degraded"].split(",") == ["output_shortened", "thinking_dropped"]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}}}),
    ("schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "http://a/b"}}}}),
    ("schema", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"pattern": "("}}}]}),
]


@pytest.mark.parametrize(("param", "parameters"), BAD)
def test_schemas_that_cannot_be_checked_are_refused_before_anything_is_paid(
    chat: openai.OpenAI, simulator: Simulator, param: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model="smart", messages=HELLO, **parameters)
    assert refused.value.param == param
    assert simulator.stats()["anthropic"]["requests"] == 0


def cost_of(event: Any) -> float:  # noqa: ANN401 - either SDK's event
    """Cost of a stream from one of its events.

    Either SDK hands on a field that is not the vendor's.
    """
    return float((event.model_extra or {}).get("octant", {}).get("cost_usd", "nan"))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["plain", "with usage"])
def test_the_last_chunk_of_openai_s_form_says_what_the_stream_cost(
    chat: openai.OpenAI, answered_by: str, options: dict[str, Any]
) -> None:
    """G10: a stream's cost comes after its headers were sent.

    The SDK hands it on, and its accumulating helper is not disturbed.
    """
    chunks = list(chat.chat.completions.create(model="smart", messages=HELLO, stream=True, **options))
    whole = chat.chat.completions.with_raw_response.create(model="smart", messages=HELLO)
    assert cost_of(chunks[-1]) == float(whole.headers["octant-cost-usd"]) > 0
    assert not [chunk for chunk in chunks[:-1] if cost_of(chunk) > 0]
    with chat.chat.completions.stream(model="smart", messages=HELLO, **options) as events:
        assert events.get_final_completion().choices[0].message.content


def test_the_last_event_of_anthropic_s_form_says_what_the_stream_cost(claude: anthropic.Anthropic, answered_by: str) -> None:
    """G10."""
    about: Any = {"model": "smart", "max_tokens": 200, "messages": HELLO}
    events = list(claude.messages.create(stream=True, **about))
    whole = claude.messages.with_raw_response.create(**about)
    assert [event.type for event in events if cost_of(event) > 0] == ["message_delta"]
    assert cost_of(events[-2]) == float(whole.headers["octant-cost-usd"])
    with claude.messages.stream(**about) as helped:
        assert [cost_of(event) for event in helped if event.type == "message_delta"] == [cost_of(events[-2])]
        assert helped.get_final_message().usage.output_tokens > 0


def test_a_stream_that_breaks_off_says_what_was_paid_in_its_error_event(
    chat: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "cut_stream", "after_tokens": 3})
    with pytest.raises(openai.APIError) as broken:
        list(chat.chat.completions.create(model="smart", messages=HELLO, stream=True))
    assert isinstance(broken.value.body, dict)
    assert float(broken.value.body["octant"]["cost_usd"]) > 0
    with pytest.raises(anthropic.APIError) as cut:
        list(claude.messages.create(model="smart", max_tokens=200, messages=HELLO, stream=True))
    assert isinstance(cut.value.body, dict)
    assert float(cut.value.body["error"]["octant"]["cost_usd"]) > 0
