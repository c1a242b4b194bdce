"""G1: the vendors' own SDKs, unchanged but for base URL and key, against the running service."""

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
import pytest_asyncio

TOOL: dict[str, object] = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}


@pytest_asyncio.fixture
async def openai_client(service_url: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key=api_key, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def anthropic_client(service_url: str, api_key: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=service_url, api_key=api_key, max_retries=0) as client:
        yield client


async def test_openai_answers_whole(openai_client: openai.AsyncOpenAI) -> None:
    """G1, G3."""
    answer = await openai_client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Say hello."}])
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "fast")
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_openai_streams_and_tells_usage_where_asked(openai_client: openai.AsyncOpenAI) -> None:
    """G1."""
    stream = await openai_client.chat.completions.create(
        model="fast",
        messages=[{"role": "user", "content": "Say hello."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage
    assert not chunks[-1].choices


async def test_openai_calls_a_tool_that_it_must_call(openai_client: openai.AsyncOpenAI) -> None:
    """G1."""
    answer = await openai_client.chat.completions.create(
        model="fast",
        messages=[{"role": "user", "content": "Where is my order NW-10001?"}],
        tools=[{"type": "function", "function": {"name": "look_up_order", "parameters": TOOL}}],
        tool_choice="required",
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "look_up_order"
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_anthropic_answers_whole(anthropic_client: anthropic.AsyncAnthropic) -> None:
    """G1, G3."""
    answer = await anthropic_client.messages.create(
        model="smart", max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": "Say hello."}]
    )
    assert answer.id.startswith("msg_")
    assert (answer.type, answer.role, answer.model, answer.stop_reason) == ("message", "assistant", "smart", "end_turn")
    assert answer.content[0].type == "text"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


async def test_anthropic_streams_to_the_same_message(anthropic_client: anthropic.AsyncAnthropic) -> None:
    """G1."""
    async with anthropic_client.messages.stream(
        model="smart", max_tokens=100, messages=[{"role": "user", "content": "Say hello."}]
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text
    assert final.content[0].type == "text"
    assert final.content[0].text == text
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 0


async def test_each_sdk_lists_the_aliases(openai_client: openai.AsyncOpenAI, anthropic_client: anthropic.AsyncAnthropic) -> None:
    """G3."""
    assert {"smart", "fast"} <= {model.id async for model in openai_client.models.list()}
    assert {"smart", "fast"} <= {model.id async for model in anthropic_client.models.list()}


async def test_an_unknown_alias_is_not_found_in_each_dialect(
    openai_client: openai.AsyncOpenAI, anthropic_client: anthropic.AsyncAnthropic
) -> None:
    """G1."""
    with pytest.raises(openai.NotFoundError) as refused:
        await openai_client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    assert refused.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as refusal:
        await anthropic_client.messages.create(model="no-such", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    assert refusal.value.type == "not_found_error"


async def test_a_wrong_key_is_refused_in_each_dialect(service_url: str) -> None:
    """S6."""
    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key="oct_made_up", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    async with anthropic.AsyncAnthropic(base_url=service_url, api_key="oct_made_up", max_retries=0) as other:
        with pytest.raises(anthropic.AuthenticationError):
            await other.messages.create(model="smart", max_tokens=5, messages=[{"role": "user", "content": "x"}])


async def test_a_field_whose_meaning_would_be_lost_is_refused_by_name(openai_client: openai.AsyncOpenAI) -> None:
    """G1."""
    with pytest.raises(openai.BadRequestError) as refused:
        await openai_client.chat.completions.create(model="fast", n=2, messages=[{"role": "user", "content": "x"}])
    assert refused.value.param == "n"
