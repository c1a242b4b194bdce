"""G1: what OpenAI's SDK does beside a plain call, unchanged, against the running service."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

USER: Any = {"role": "user", "content": "Say hello."}
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
FUNCTION: Any = {"name": "look_up_order", "description": "Look an order up.", "parameters": SCHEMA}
TOOL: Any = {"type": "function", "function": FUNCTION}
WHERE: Any = {"role": "user", "content": "Where is my order NW-10001?"}


class Greeting(BaseModel):
    title: str
    stars: int


@pytest_asyncio.fixture
async def client(service_url: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=0) as made:
        yield made


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the SDK's own, for its own object
async def test_a_parsed_message_can_be_sent_back_as_it_is(client: openai.AsyncOpenAI) -> None:
    parsed = await client.chat.completions.parse(model="fast", messages=[USER], response_format=Greeting)
    message = parsed.choices[0].message
    assert isinstance(message.parsed, Greeting)
    history: Any = [USER, message, USER]
    assert (await client.chat.completions.create(model="fast", messages=history)).choices[0].message.content


async def test_the_stream_helpers_message_can_be_sent_back_as_it_is(client: openai.AsyncOpenAI) -> None:
    tools: Any = [openai.pydantic_function_tool(Greeting, name="greet")]
    async with client.chat.completions.stream(
        model="fast", messages=[USER], tools=tools, tool_choice="required", stream_options={"include_usage": True}
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    message = final.choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    assert message.tool_calls
    assert isinstance(message.tool_calls[0].function.parsed_arguments, Greeting)
    assert final.usage
    history: Any = [USER, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "name": "greet", "content": "done"}]
    assert (await client.chat.completions.create(model="fast", messages=history, tools=tools)).choices


async def test_accumulated_deltas_can_be_sent_back_as_they_are(client: openai.AsyncOpenAI) -> None:
    """A client that adds up a stream's deltas keeps the index of each call."""
    stream = await client.chat.completions.create(
        model="fast", messages=[WHERE], tools=[TOOL], tool_choice="required", stream=True
    )
    calls: dict[int, Any] = {}
    async for chunk in stream:
        for call in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
            if call.index in calls:
                calls[call.index]["function"]["arguments"] += call.function.arguments  # type: ignore[union-attr]
            else:
                calls[call.index] = call.model_dump()
    assert [*calls] == [*range(len(calls))]
    history: Any = [WHERE, {"role": "assistant", "content": "", "tool_calls": [*calls.values()]}]
    history += [{"role": "tool", "tool_call_id": call["id"], "content": "shipped"} for call in calls.values()]
    assert (await client.chat.completions.create(model="fast", messages=history, tools=[TOOL])).choices[0].message.content


async def test_functions_of_the_time_before_tools_work_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    about: Any = {"model": "fast", "messages": [WHERE], "functions": [FUNCTION], "function_call": {"name": "look_up_order"}}
    answer = await client.chat.completions.create(**about)
    choice = answer.choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call
    assert choice.message.function_call.name == "look_up_order"
    assert choice.message.tool_calls is None
    chunks = [chunk.choices[0] async for chunk in await client.chat.completions.create(**about, stream=True)]
    pieces = [chunk.delta.function_call for chunk in chunks if chunk.delta.function_call]
    assert "".join(piece.name or "" for piece in pieces) == "look_up_order"
    assert "".join(piece.arguments or "" for piece in pieces) == choice.message.function_call.arguments
    assert chunks[-1].finish_reason == "function_call"
    history: Any = [WHERE, choice.message, {"role": "function", "name": "look_up_order", "content": "shipped"}]
    about = {**about, "messages": history, "function_call": "auto"}
    assert (await client.chat.completions.create(**about)).choices[0].message.content


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "developer", "content": "Say hello."}],
        [{"role": "system", "content": "Be brief."}, USER, {"role": "system", "content": "In French."}, USER],
        [USER, {"role": "assistant", "content": None}, USER],
        [{**USER, "name": "ada"}],
    ],
    ids=["alone", "in the middle", "an empty answer", "a name"],
)
async def test_instructions_and_turns_are_taken_in_every_place(client: openai.AsyncOpenAI, messages: Any) -> None:  # noqa: ANN401
    answer = await client.chat.completions.create(model="fast", messages=messages)
    assert answer.choices[0].message.content


async def test_every_default_at_once_asks_for_nothing(client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="fast",
        messages=[USER],
        n=1,
        logprobs=False,
        logit_bias={},
        verbosity="medium",
        functions=[],
        function_call="none",
        max_completion_tokens=0,
        modalities=["text"],
        stop=None,
        service_tier="auto",
        metadata={"team": "a"},
        prediction={"type": "content", "content": "Hello."},
        store=False,
    )
    assert raw.parse().choices[0].message.content
    assert "narrowed" not in raw.headers.get("octant-degraded", "")


async def test_a_field_of_openais_models_alone_narrows_the_route_to_them(client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model="smart", messages=[USER], verbosity="low", logprobs=True)
    assert raw.headers["octant-provider"] == "openai"
    assert "narrowed" in raw.headers["octant-degraded"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].custom"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
async def test_a_refused_field_is_named_to_the_sdk(client: openai.AsyncOpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(model="fast", messages=[USER], **fields)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")


async def test_options_of_one_call_and_the_client_without_asyncio_work(service_url: str, api_key: str) -> None:
    def plain() -> str | None:
        with openai.OpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=0) as client:
            patient = client.with_options(timeout=60, max_retries=1)
            answer = patient.chat.completions.create(model="fast", messages=[USER], max_tokens=50)
            streamed = "".join(
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(model="fast", messages=[USER], stream=True)
            )
            return answer.choices[0].message.content if streamed else None

    assert await asyncio.to_thread(plain)
