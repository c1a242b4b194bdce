"""The Anthropic adapter against a scripted server, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from app.domain import errors
from app.domain.calls import Done, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.messages import Message, OutputSchema, Sampling, Text, Thinking, ToolChoice, ToolResult, ToolSpec, ToolUse
from app.gateway.providers import anthropic as adapter
from app.gateway.providers import anthropic_wire
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.base import ModelRequest, Timeouts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
START = {
    "type": "message_start",
    "message": {"type": "message", "model": "claude-x", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


class Upstream:
    """A server whose answer is set by the test."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.body: dict[str, Any] = {}
        self.connections: set[object] = set()
        self.left = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.body = await request.json()
        self.connections.add(request.transport)
        assert self.handler
        try:
            return await self.handler(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application()
    app.router.add_post("/v1/messages", server.handle)
    app.router.add_post("/v1/messages/count_tokens", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest_asyncio.fixture
async def provider(upstream: Upstream) -> AsyncIterator[AnthropicProvider]:
    made = AnthropicProvider("anthropic", base_url=upstream.url, api_key="made-up")
    yield made
    await made.aclose()


PATIENT = Timeouts(connect=60, first_token=60, idle=60, total=60)  # of a busy machine
HURRIED = Timeouts(connect=1, first_token=0.3, idle=0.2, total=1)


def request(*messages: Message, **changes: object) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "system": (Text("Be brief.", cache="5m"),),
        "messages": messages or (Message("user", (Text("hello"),)),),
        "sampling": Sampling(max_output_tokens=50, temperature=0.2),
        "timeouts": PATIENT,
    }
    return ModelRequest(**{**fields, **changes})


def answering(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return handler


def streaming(*events: dict[str, Any], forever: bool = False) -> Handler:
    async def handler(req: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(req)
        for event in events:
            await answer.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        while forever:
            await answer.write(b"event: ping\ndata: {}\n\n")
            await asyncio.sleep(0.02)
        return answer

    return handler


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def ending(reason: str, output_tokens: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": output_tokens}}


@pytest.mark.parametrize("count", [0, -4, 10**30, None, "many", 1.5])
async def test_a_count_that_can_be_none_is_not_believed(upstream: Upstream, provider: AnthropicProvider, count: object) -> None:
    """Servers without a count send zero. Our upper bound takes its place (`Gateway.count_tokens`)."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"input_tokens": count})

    upstream.handler = handler
    with pytest.raises(errors.ProviderGarbled):
        await provider.count_tokens(request())


async def test_a_whole_reply_keeps_every_part_and_counts_each_token_once(upstream: Upstream, provider: AnthropicProvider) -> None:
    """C2."""
    upstream.handler = answering(
        {
            "type": "message",
            "model": "claude-x",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "sealed"},
                {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            ],
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 4,
                "output_tokens": 9,
                "cache_read_input_tokens": 6,
                "cache_creation_input_tokens": None,
                "output_tokens_details": {"thinking_tokens": 5},
            },
        },
        headers={"request-id": "up-1"},
    )
    reply = await provider.complete(request())
    assert reply.parts == (Thinking("hm", "sig"), Thinking("", redacted="sealed"), Text("hi"), ToolUse("t1", "f", "{}"))
    assert (reply.stop, reply.model, reply.provider_request_id) == ("tool_use", "claude-x", "up-1")
    used = reply.usage
    assert (used.input, used.cached_input, used.cache_write, used.output, used.reasoning) == (4, 6, 0, 9, 5)


async def test_a_stream_gives_deltas_then_the_whole(upstream: Upstream, provider: AnthropicProvider) -> None:
    sign = {"type": "signature_delta", "signature": "sig"}
    think = {"type": "thinking_delta", "thinking": "hm"}
    upstream.handler = streaming(
        START,
        *block(0, {"type": "thinking", "thinking": ""}, think, sign),
        *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hey"}),
        *block(2, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
        ending("tool_use", 12),
        STOP,
    )
    chunks = [chunk async for chunk in provider.stream(request())]
    assert TextDelta(1, "Hey") in chunks
    assert ThinkingDelta(0, signature="sig") in chunks
    assert chunks[-3:-1] == [ToolUseStart(2, "t1", "f"), ToolUseDelta(2, "{}")]
    assert isinstance(chunks[-1], Done)
    reply = chunks[-1].reply
    assert reply.parts == (Thinking("hm", "sig"), Text("Hey"), ToolUse("t1", "f", "{}"))
    assert (reply.usage.input, reply.usage.output, reply.usage.estimated) == (7, 12, False)


async def test_streams_that_end_well_share_a_connection(upstream: Upstream, provider: AnthropicProvider) -> None:
    upstream.handler = streaming(
        START, *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}), ending("end_turn", 1), STOP
    )
    for _ in range(3):
        _ = [chunk async for chunk in provider.stream(request())]
    assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", errors.ProviderOverloaded),
        ("rate_limit_error", errors.ProviderRateLimited),
        ("api_error", errors.ProviderFailed),
        ("invalid_request_error", errors.ProviderRejected),
        ("authentication_error", errors.ProviderDenied),
    ],
)
async def test_an_error_event_is_known_by_its_type(
    upstream: Upstream, provider: AnthropicProvider, kind: str, expected: type[errors.ProviderError]
) -> None:
    """R6."""
    upstream.handler = streaming(START, {"type": "error", "error": {"type": kind, "message": "quotes the prompt"}})
    with pytest.raises(expected) as caught:
        _ = [chunk async for chunk in provider.stream(request())]
    assert type(caught.value) is expected
    assert "prompt" not in caught.value.message
    assert caught.value.usage
    assert caught.value.usage.input == 7


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ProviderRejected),
        (402, errors.ProviderDenied),
        (413, errors.ProviderRejected),
        (429, errors.ProviderRateLimited),
        (500, errors.ProviderFailed),
        (529, errors.ProviderOverloaded),
    ],
)
async def test_each_status_is_one_of_our_errors(
    upstream: Upstream, provider: AnthropicProvider, status: int, kind: type[errors.ProviderError]
) -> None:
    upstream.handler = answering({"type": "error", "error": {"type": "t", "message": "sk-abc"}}, status, {"retry-after": "2"})
    with pytest.raises(kind) as caught:
        await provider.complete(request())
    assert type(caught.value) is kind
    assert "sk-abc" not in caught.value.message
    if isinstance(caught.value, errors.ProviderRateLimited | errors.ProviderOverloaded):
        assert caught.value.retry_after == 2.0


async def test_a_stream_without_its_stop_is_garbled_and_its_output_is_not_known(
    upstream: Upstream, provider: AnthropicProvider
) -> None:
    """R6, C6."""
    upstream.handler = streaming(START, *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "four"}))
    with pytest.raises(errors.ProviderGarbled) as caught:
        _ = [chunk async for chunk in provider.stream(request())]
    assert caught.value.usage
    assert (caught.value.usage.input, caught.value.usage.output, caught.value.usage.estimated) == (7, 0, True)


@pytest.mark.parametrize(
    ("events", "phase"), [([START], "first_token"), ([START, *block(0, {"type": "text", "text": "a"})], "idle")]
)
async def test_a_stream_that_only_pings_times_out(
    upstream: Upstream, provider: AnthropicProvider, events: list[dict[str, Any]], phase: str
) -> None:
    """R1."""
    upstream.handler = streaming(*events, forever=True)
    with pytest.raises(errors.ProviderTimeout) as caught:
        _ = [chunk async for chunk in provider.stream(request(timeouts=HURRIED))]
    assert caught.value.phase == phase
    await asyncio.wait_for(upstream.left.wait(), 120)


async def test_closing_the_stream_closes_the_connection(upstream: Upstream, provider: AnthropicProvider) -> None:
    """R7."""
    upstream.handler = streaming(START, *block(0, {"type": "text", "text": "a"}), forever=True)
    chunks = provider.stream(request())
    await anext(chunks)
    await chunks.aclose()
    assert await asyncio.wait_for(upstream.left.wait(), 120)


async def test_a_web_page_instead_of_json_is_garbled(upstream: Upstream, provider: AnthropicProvider) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    upstream.handler = page
    with pytest.raises(errors.ProviderGarbled):
        await provider.complete(request())
    with pytest.raises(errors.ProviderGarbled):
        _ = [chunk async for chunk in provider.stream(request())]


@pytest.mark.parametrize("arguments", ["[1]", "{", '{"a": NaN}', '{"a": "\\ud800"}', '{"a": ' + "[" * 900 + "]" * 900 + "}"])
def test_arguments_that_are_no_object_to_be_written_are_shown_as_what_they_are(arguments: str) -> None:
    """A caller may send back anything as an earlier call: that must not count as a fault of the provider and open its circuit."""
    body = anthropic_wire.body(request(Message("assistant", (ToolUse("c1", "f", arguments),))), stream=False)
    assert body["messages"][0]["content"][0]["input"] == {"INVALID_JSON": arguments}


@pytest.mark.parametrize("none", ["", " \n", "null"])
def test_arguments_that_are_none_are_an_empty_object(none: str) -> None:
    body = anthropic_wire.body(request(Message("assistant", (ToolUse("c1", "f", none),))), stream=False)
    assert body["messages"][0]["content"][0]["input"] == {}


def test_a_tool_loop_becomes_anthropic_messages() -> None:
    conversation = (
        Message("assistant", (Thinking("hm", signature="s"), Thinking("unsigned"), Text(""), ToolUse("c1", "f", "not json"))),
        Message("user", (Text("and?"), ToolResult("c1", (Text("gone"),), is_error=True))),
    )
    tool = ToolSpec("f", "does f", {"type": "object"}, strict=True)
    choice = ToolChoice("any", parallel=False)
    wanted = request(*conversation, model="claude-haiku-5-5", tools=(tool,), tool_choice=choice)
    body = anthropic_wire.body(wanted, stream=False)
    assistant, user = (m["content"] for m in body["messages"])
    assert [b["type"] for b in assistant] == ["thinking", "tool_use"]
    assert assistant[1]["input"] == {"INVALID_JSON": "not json"}
    assert [b["type"] for b in user] == ["tool_result", "text"]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_sampling_that_the_api_refuses_is_left_out() -> None:
    """API version 2026-10-21 answers 400 to temperature, whatever its value."""
    assert not {"temperature", "top_p", "top_k"} & anthropic_wire.body(request(), stream=False).keys()


def test_structured_output_goes_by_schema_and_any_object_by_instruction() -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": False}
    body = anthropic_wire.body(request(output=OutputSchema("ticket", schema)), stream=False)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    body = anthropic_wire.body(request(output=OutputSchema("any", {})), stream=False)
    assert body["system"][-1]["text"] == anthropic_wire.ANY_OBJECT


TEXT_EVENTS = [
    START,
    *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "hel"}, {"type": "text_delta", "text": "lo"}),
    ending("end_turn", 5),
]
MESSAGE = {
    "type": "message",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 5},
}


def framed(*events: dict[str, Any], name: str | None = None) -> bytes:
    """The events as bytes; ``name``: the name that all have, empty for none."""
    names = [event["type"] if name is None else name for event in events]
    lines = [f"event: {each}\n".encode() if each else b"" for each in names]
    return b"".join(line + b"data: " + json.dumps(event).encode() + b"\n\n" for line, event in zip(lines, events, strict=True))


NAMED = framed(*TEXT_EVENTS, STOP)
FRAMINGS: dict[str, tuple[bytes, str]] = {
    "as the vendor": (NAMED, "text/event-stream"),
    "no names": (framed(*TEXT_EVENTS, STOP, name=""), "text/event-stream"),
    "no names, and the end of another protocol": (framed(*TEXT_EVENTS, STOP, name="") + b"data: [DONE]\n\n", "text/event-stream"),
    "one name": (framed(*TEXT_EVENTS, STOP, name="message"), "text/event-stream"),
    "an event of another kind": (framed({"type": "vertex_event", "usage": {}}) + NAMED, "text/event-stream"),
    "an event of another kind, without a type": (b'event: vertex_event\ndata: {"usage": {}}\n\n' + NAMED, "text/event-stream"),
    "an event of nothing": (b"event: message_start\ndata: \n\n" + NAMED, "text/event-stream"),
    "no last event": (framed(*TEXT_EVENTS), "text/event-stream"),
    "the end of another protocol": (framed(*TEXT_EVENTS) + b"data: [DONE]\n\n", "text/event-stream"),
    "a stream called JSON": (NAMED, "application/json"),
    "a message": (json.dumps(MESSAGE).encode(), "application/json"),
    "a message called a stream": (json.dumps(MESSAGE, indent=1).encode(), "text/event-stream"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(MESSAGE).encode(), "application/json"),
}


def raw(*pieces: bytes, content_type: str = "text/event-stream", held: float = 0.0) -> Handler:
    async def handler(req: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": content_type})
        await answer.prepare(req)
        for piece in pieces:
            await answer.write(piece)
        await asyncio.sleep(held)
        return answer

    return handler


@pytest.mark.parametrize(("body", "label"), FRAMINGS.values(), ids=FRAMINGS)
async def test_an_answer_is_read_in_every_framing(
    upstream: Upstream, provider: AnthropicProvider, body: bytes, label: str
) -> None:
    upstream.handler = raw(*(bytes([byte]) for byte in body), content_type=label)
    chunks = [chunk async for chunk in provider.stream(request())]
    last = chunks[-1]
    assert isinstance(last, Done)
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == "hello"
    for reply in (last.reply, await provider.complete(request())):
        assert (reply.text, reply.stop) == ("hello", "end")
        assert (reply.usage.input, reply.usage.output, reply.usage.estimated) == (7, 5, False)


async def test_a_stopped_stream_that_is_held_open_ends_cleanly(
    upstream: Upstream, provider: AnthropicProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LAST_WORDS", 0.1)
    upstream.handler = raw(framed(*TEXT_EVENTS), held=60)
    last = [chunk async for chunk in provider.stream(request())][-1]
    assert isinstance(last, Done)
    assert (last.reply.text, last.reply.usage.output) == ("hello", 5)


BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "quotes the prompt"}}
ERRORS: list[tuple[bytes, type[errors.ProviderError]]] = [
    (framed(BUSY, name=""), errors.ProviderOverloaded),
    (framed(BUSY, name="message"), errors.ProviderOverloaded),
    (json.dumps(BUSY).encode(), errors.ProviderOverloaded),
    (framed({"error": {"message": "quotes the prompt", "code": 429}}, name=""), errors.ProviderRateLimited),
    (json.dumps({"code": 1302, "msg": "High concurrency usage", "success": False}).encode(), errors.ProviderRateLimited),
    (b"event: error\ndata: quotes the prompt\n\n", errors.ProviderFailed),
]


@pytest.mark.parametrize(("body", "kind"), ERRORS)
async def test_an_error_in_the_place_of_an_answer_is_the_one_that_it_names(
    upstream: Upstream, provider: AnthropicProvider, body: bytes, kind: type[errors.ProviderError]
) -> None:
    upstream.handler = raw(body)
    with pytest.raises(kind) as streamed:
        _ = [chunk async for chunk in provider.stream(request())]
    with pytest.raises(kind) as whole:
        await provider.complete(request())
    assert type(streamed.value) is type(whole.value) is kind
    assert "prompt" not in streamed.value.message + whole.value.message


async def test_an_answer_that_cannot_be_used_costs_what_it_says(upstream: Upstream, provider: AnthropicProvider) -> None:
    """C6."""
    upstream.handler = answering({**MESSAGE, "stop_reason": "abort"})
    with pytest.raises(errors.ProviderGarbled) as caught:
        await provider.complete(request())
    assert caught.value.usage
    assert (caught.value.usage.input, caught.value.usage.output) == (7, 5)
