"""Anthropic's SDK as agents use it, `messages` and `beta.messages`, against the running service (G1)."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from conftest import Simulator
from pydantic import BaseModel

pytestmark = pytest.mark.usefixtures("simulator")
Json = dict[str, Any]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
SHORT: Json = {"type": "ephemeral"}
TURNS = 10
PASSAGE = "The parcel left the depot, and the driver noted the street, the number and the hour of each stop. " * 12


class Number(BaseModel):
    number: int


@beta_tool
def get_weather(place: str) -> str:
    """The weather of a place.

    Args:
        place: a town

    """
    return f"Fine in {place}."


@pytest.fixture
def claude(service_url: str, api_key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=service_url, api_key=api_key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_tool_runner_goes_on_without_a_thread(claude: anthropic.Anthropic, stream: bool) -> None:
    """The runner keeps its conversation at the vendor; where that is refused as the vendor refuses it, it sends all of it."""
    options: Json = {"stream": True} if stream else {}
    runner = claude.beta.messages.tool_runner(
        model="smart", max_tokens=200, tools=[get_weather], messages=HELLO, tool_choice={"type": "any"}, **options
    )
    assert "Fine in" in str(runner.until_done().content)


def test_a_thread_by_itself_is_refused_by_name(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.beta.messages.create(model="smart", max_tokens=9, messages=HELLO, thread={"type": "create"})
    body: Any = refused.value.body
    assert (body["error"]["code"], body["error"]["details"]["error_code"]) == (
        "unsupported_parameter",
        "thread_unsupported_request",
    )


def test_structured_output_by_both_ways(claude: anthropic.Anthropic) -> None:
    for messages in (claude.messages, claude.beta.messages):
        parsed: Any = messages.parse(model="smart", max_tokens=100, messages=HELLO, output_format=Number)
        assert isinstance(parsed.parsed_output, Number)


@pytest.mark.parametrize("beta", [False, True], ids=["messages", "beta"])
def test_a_stream_tells_its_input_from_the_beginning(claude: anthropic.Anthropic, beta: bool) -> None:
    messages: Any = claude.beta.messages if beta else claude.messages
    with messages.stream(model="smart", max_tokens=50, messages=HELLO) as events:
        first = next(iter(events))
        final = events.get_final_message()
    assert first.type == "message_start"
    assert first.message.usage.input_tokens == final.usage.input_tokens > 0


def test_a_stream_of_another_vendor_begins_with_an_estimate(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    simulator.put_faults({"kind": "refuse", "provider": "anthropic"})
    with claude.messages.stream(model="smart", max_tokens=50, messages=HELLO) as events:
        first = next(iter(events))
        events.until_done()
    assert first.type == "message_start"
    assert first.message.usage.input_tokens > 0


def test_betas_that_do_not_go_on_are_named(claude: anthropic.Anthropic) -> None:
    names = ["context-1m-2025-08-07", "files-api-2025-04-14"]
    answer = claude.beta.messages.with_raw_response.create(model="smart", max_tokens=9, messages=HELLO, betas=names)
    assert answer.headers["octant-ignored-betas"] == "files-api-2025-04-14"
    with claude.beta.messages.with_streaming_response.create(
        model="smart", max_tokens=9, messages=HELLO, betas=names, stream=True
    ) as streamed:
        assert streamed.headers["octant-ignored-betas"] == "files-api-2025-04-14"
        streamed.read()
    count = claude.beta.messages.with_raw_response.count_tokens(model="smart", messages=HELLO, betas=names)
    assert count.headers["octant-ignored-betas"] == "files-api-2025-04-14"


def coding_agent(**fields: object) -> Json:
    """A request as a coding agent sends it."""
    user = json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "22222222-2222-2222-2222-222222222222"})
    tool = {"name": "Bash", "description": "Run", "input_schema": {"type": "object", "properties": {}}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
    return {
        "model": "smart",
        "max_tokens": 900,
        "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{**tool, "eager_input_streaming": True}],
        "metadata": {"user_id": user},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "list", "cache_control": None}]},
            {"role": "system", "content": "The date is today."},
            {"role": "assistant", "content": [use]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a", "cache_control": SHORT}],
            },
        ],
        **fields,
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_request_of_a_coding_agent_is_answered_by_claude(claude: anthropic.Anthropic, stream: bool) -> None:
    streams: Json = {"stream": True, "stream_cls": anthropic.Stream[object]} if stream else {}
    answer = claude.post("/v1/messages", body=coding_agent(stream=stream), cast_to=object, **streams)
    assert answer


def test_what_claude_alone_has_is_not_answered_by_another(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]}
    asked: list[Any] = [{"role": "user", "content": [found, {"type": "text", "text": "cite"}]}]
    answer = claude.messages.with_raw_response.create(model="fast", max_tokens=50, messages=asked)
    assert (answer.headers["octant-provider"], answer.headers["octant-degraded"]) == ("anthropic", "narrowed")
    simulator.put_faults({"kind": "refuse", "provider": "anthropic"})
    with pytest.raises(anthropic.APIStatusError) as away:
        claude.messages.create(model="fast", max_tokens=50, messages=asked)
    assert away.value.status_code == 503


def test_an_answer_is_sent_back_as_the_sdk_holds_it(claude: anthropic.Anthropic) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    first = claude.messages.create(model="smart", max_tokens=2000, messages=HELLO, thinking=thinking)
    assert [block.type for block in first.content] == ["thinking", "text"]
    history: list[Any] = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": "and?"}]
    assert claude.messages.create(model="smart", max_tokens=2000, messages=history, thinking=thinking).content


def agent_loop(claude: anthropic.Anthropic, name: str, *, ttl: str | None) -> tuple[float, Json]:
    """The dollars of a loop of ten turns with one tool, and the last usage. Each turn adds a call and its result."""
    mark: Json = {} if ttl is None else {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    tools: list[Any] = [{"name": "read", "description": name, "input_schema": {"type": "object", "properties": {}}}]
    system: list[Any] = [{"type": "text", "text": PASSAGE * 8, **mark}]
    messages: list[Any] = [{"role": "user", "content": f"{name}: read the notes"}]
    cost, usage = 0.0, {}
    for turn in range(TURNS):
        raw = claude.messages.with_raw_response.create(
            model="smart", max_tokens=100, system=system, tools=tools, messages=messages
        )
        assert raw.headers["octant-provider"] == "anthropic"
        cost, usage = cost + float(raw.headers["octant-cost-usd"]), raw.parse().usage.to_dict()
        for block in messages[-1]["content"] if turn else ():
            block.pop("cache_control", None)  # as agents do: the mark moves to the newest result
        use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "read", "input": {"page": turn}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": f"{turn} {PASSAGE}", **mark}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return cost, usage


def test_an_agent_loop_with_cache_marks_costs_a_fraction(claude: anthropic.Anthropic) -> None:
    """C2. The simulator reads and writes its cache by the marks that reach it, as the vendor does."""
    plain, without = agent_loop(claude, "plain", ttl=None)
    cached, short = agent_loop(claude, "short", ttl="5m")
    hourly, hour = agent_loop(claude, "hour", ttl="1h")
    assert cached < hourly < 0.5 * plain
    assert without["cache_read_input_tokens"] == 0
    assert short["cache_read_input_tokens"] > 10 * short["input_tokens"]
    assert hour["cache_creation"]["ephemeral_1h_input_tokens"] == hour["cache_creation_input_tokens"] > 0
