"""G1: OpenAI's Responses API through its own SDK, which validates every answer strictly, against the running service."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from client import post
from conftest import Simulator
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseStreamEvent
from pydantic import BaseModel

TOOL = {
    "type": "function",
    "name": "look_up_order",
    "description": "Look up an order.",
    "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    "strict": False,
}
OTHER = {**TOOL, "name": "look_up_customer"}
TWO_CALLS = "Use look_up_order and look_up_customer for NW-10001."
MODELS = ("fast", "smart")  # the first target of one is OpenAI's, of the other Anthropic's


class Ticket(BaseModel):
    """What is read out of a text."""

    order_id: str
    summary: str


@pytest_asyncio.fixture
async def client(service_url: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{service_url}/v1", api_key=api_key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
async def test_it_answers_whole(client: openai.AsyncOpenAI, simulator: Simulator, model: str) -> None:
    answer = await client.responses.with_raw_response.create(
        model=model,
        instructions="Be brief.",
        input=[{"role": "developer", "content": "In English."}, {"role": "user", "content": "Say hello."}],
        metadata={"kind": "greeting"},
        store=True,
    )
    response = answer.parse()
    assert isinstance(response, Response)
    assert (response.id.startswith("resp_"), response.model, response.status) == (True, model, "completed")
    assert response.output_text.startswith("Hello!")
    assert (response.metadata, response.instructions) == ({"kind": "greeting"}, "Be brief.")
    assert response.usage
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    assert float(answer.headers["octant-cost-usd"]) > 0
    assert answer.headers["octant-release"]


@pytest.mark.parametrize("model", MODELS)
async def test_it_streams_to_the_same_response(client: openai.AsyncOpenAI, simulator: Simulator, model: str) -> None:
    whole = await client.responses.create(model=model, input="Say hello.")
    async with client.responses.stream(model=model, input="Say hello.") as stream:
        seen = [event async for event in stream]
        final = await stream.get_final_response()
    assert (final.status, final.output_text) == ("completed", whole.output_text)
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == whole.output_text
    assert (seen[0].type, seen[-1].type) == ("response.created", "response.completed")
    assert final.model_extra
    assert float(final.model_extra["octant"]["cost_usd"]) > 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_tool_loop_runs_to_its_end(
    client: openai.AsyncOpenAI, simulator: Simulator, model: str, *, streamed: bool
) -> None:
    """The client sends the whole conversation: the response's own items, and the results."""
    conversation: list[Any] = [{"role": "user", "content": TWO_CALLS}]
    first = await answered(client, model, conversation, streamed=streamed)
    calls = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert [call.name for call in calls] == ["look_up_order", "look_up_customer"]
    conversation += [
        *first.output,
        *({"type": "function_call_output", "call_id": c.call_id, "output": "Shipped."} for c in calls),
    ]
    second = await answered(client, model, conversation, streamed=streamed)
    assert second.output_text == "Shipped. Shipped."


async def answered(client: openai.AsyncOpenAI, model: str, conversation: Sequence[Any], *, streamed: bool) -> Response:
    asked: Any = {"model": model, "input": conversation, "tools": [TOOL, OTHER]}
    if not streamed:
        return await client.responses.create(**asked)  # type: ignore[no-any-return]
    async with client.responses.stream(**asked) as stream:
        return await stream.get_final_response()


@pytest.mark.parametrize("model", MODELS)
async def test_structured_output_is_parsed(client: openai.AsyncOpenAI, simulator: Simulator, model: str) -> None:
    answer = await client.responses.parse(model=model, input="My order NW-10001 is late.", text_format=Ticket)
    assert answer.output_parsed
    assert answer.output_parsed.order_id == "NW-10001"


async def test_a_tool_that_must_be_called_is_called(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    tools: Any = [{"type": "custom", "name": "note", "description": "Take a note."}, {"type": "web_search"}]
    asked = await client.responses.with_raw_response.create(
        model="fast", input="Note it.", tools=tools, tool_choice={"type": "custom", "name": "note"}
    )
    (call,) = asked.parse().output
    assert (call.type, getattr(call, "name", None), getattr(call, "input", None)) == ("custom_tool_call", "note", "Note it.")
    assert asked.headers["octant-degraded"] == "without_web_search"


async def test_input_tokens_are_counted(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    counted = await client.responses.input_tokens.count(model="smart", input="How many tokens are these?")
    assert 0 < counted.input_tokens < 100


async def test_what_is_stored_at_the_vendor_is_refused_by_name(client: openai.AsyncOpenAI) -> None:
    """ADR 0030."""
    for call in (
        client.responses.retrieve("resp_1"),
        client.responses.delete("resp_1"),
        client.responses.cancel("resp_1"),
        client.responses.input_items.list("resp_1"),
    ):
        with pytest.raises(openai.NotFoundError, match="not stored"):
            await call
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="fast", input="x", previous_response_id="resp_1")
    assert (refused.value.param, refused.value.code) == ("previous_response_id", "previous_response_not_found")


async def test_a_stream_that_breaks_ends_as_a_failed_response(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    """R6."""
    simulator.put_faults({"kind": "cut_stream", "after_tokens": 3})
    stream = await client.responses.create(model="fast", input="Count to 20.", stream=True)
    seen: list[ResponseStreamEvent] = [event async for event in stream]
    last = seen[-1]
    assert last.type == "response.failed"
    assert last.response.error
    assert last.response.error.code == "server_error"
    assert "response.completed" not in [event.type for event in seen]


async def test_a_cut_answer_is_incomplete(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    answer = await client.responses.create(model="fast", input="Count to 100.", max_output_tokens=5)
    assert answer.status == "incomplete"
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_a_repeated_request_under_one_key_is_answered_once(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    """G8."""
    body = {"model": "fast", "input": "Say hello.", "stream": True}
    first, again = [await post(http, "/v1/responses", body, idempotency_key="responses-once") for _ in range(2)]
    assert (first.status, first.body) == (200, again.body)
    assert again.headers["idempotency-replayed"] == "true"
