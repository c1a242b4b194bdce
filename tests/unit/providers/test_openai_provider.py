"""The OpenAI adapter against a scripted server, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from app.domain import errors
from app.domain.calls import Done, TextDelta, ToolUseDelta, ToolUseStart
from app.domain.messages import Message, Sampling, Text, ToolUse
from app.gateway.providers import connections
from app.gateway.providers import openai as adapter
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai import OpenAIProvider

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WHOLE = {
    "model": "gpt-6-luna-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 3},
    },
}


class Upstream:
    """A server whose answer is set by the test; remembers the last request and whether its client left."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.body: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.left = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.body, self.headers = await request.json(), dict(request.headers)
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
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@pytest_asyncio.fixture
async def provider(upstream: Upstream) -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider("openai", base_url=upstream.url, api_key="made-up")
    yield made
    await made.aclose()


PATIENT = Timeouts(connect=60, first_token=60, idle=60, total=60)  # of a busy machine
HURRIED = Timeouts(connect=1, first_token=0.3, idle=0.2, total=1)


def request(*messages: Message, **changes: object) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": "gpt-6-luna",
        "system": (Text("Be brief."),),
        "messages": messages or (Message("user", (Text("hello"),)),),
        "sampling": Sampling(max_output_tokens=50),
        "timeouts": PATIENT,
    }
    return ModelRequest(**{**fields, **changes})


def answering(body: object, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


def streaming(*events: object, then: Callable[[web.StreamResponse, web.Request], Awaitable[None]] | None = None) -> Handler:
    async def handler(req: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(req)
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            await answer.write(f"data: {data}\n\n".encode())
        if then:
            await then(answer, req)
        return answer

    return handler


def delta(finish: str | None = None, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


async def test_a_whole_reply_carries_usage_with_each_token_once(upstream: Upstream, provider: OpenAIProvider) -> None:
    """C2."""
    upstream.handler = answering(WHOLE, x_request_id="up-1")
    reply = await provider.complete(request(headers={"traceparent": "00-a-b-01"}))
    assert (reply.text, reply.stop, reply.model, reply.provider_request_id) == ("hi", "end", "gpt-6-luna-2026", "up-1")
    assert (reply.usage.input, reply.usage.cached_input, reply.usage.output, reply.usage.reasoning) == (4, 6, 4, 3)
    assert not reply.usage.estimated
    assert upstream.headers["traceparent"] == "00-a-b-01"
    assert upstream.headers["Authorization"] == "Bearer made-up"


async def test_a_stream_ends_with_the_same_reply_that_its_deltas_spell(upstream: Upstream, provider: OpenAIProvider) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"a":1}'}}
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    upstream.handler = streaming(
        delta(content="He"),
        delta(content="y"),
        delta(tool_calls=[call]),
        delta(tool_calls=[more]),
        delta("tool_calls"),
        usage,
        "[DONE]",
    )
    chunks = [chunk async for chunk in provider.stream(request())]
    assert chunks[:4] == [
        TextDelta(0, "He"),
        TextDelta(0, "y"),
        ToolUseStart(1, "call_1", "look_up"),
        ToolUseDelta(1, '{"a":1}'),
    ]
    assert isinstance(chunks[-1], Done)
    reply = chunks[-1].reply
    assert reply.parts == (Text("Hey"), ToolUse("call_1", "look_up", '{"a":1}'))
    assert (reply.stop, reply.usage.input, reply.usage.output) == ("tool_use", 5, 3)
    assert upstream.body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ProviderRejected),
        (401, errors.ProviderDenied),
        (404, errors.ProviderDenied),
        (307, errors.ProviderDenied),
        (405, errors.ProviderDenied),
        (410, errors.ProviderDenied),
        (413, errors.ProviderRejected),
        (421, errors.ProviderDenied),
        (424, errors.ProviderFailed),
        (425, errors.ProviderFailed),
        (460, errors.ProviderFailed),
        (498, errors.ProviderOverloaded),
        (429, errors.ProviderRateLimited),
        (500, errors.ProviderFailed),
        (503, errors.ProviderOverloaded),
        (529, errors.ProviderOverloaded),
    ],
)
async def test_each_status_is_one_of_our_errors(
    upstream: Upstream, provider: OpenAIProvider, status: int, kind: type[errors.ProviderError]
) -> None:
    upstream.handler = answering({"error": {"message": "secret sk-abc", "type": "t", "code": "c"}}, status)
    with pytest.raises(kind) as caught:
        await provider.complete(request())
    assert type(caught.value) is kind
    assert "sk-abc" not in caught.value.message


async def test_a_spent_quota_is_not_a_rate_limit(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = answering({"error": {"message": "x", "code": "insufficient_quota"}}, 429)
    with pytest.raises(errors.ProviderDenied):
        await provider.complete(request())


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (answering({"error": {}}, 429, retry_after="3"), 3.0),
        (answering({"error": {"retry_after": 9}}, 429, retry_after_ms="250"), 0.25),
        (answering({"error": {"code": "rate_limit_exceeded", "message": "Try again in 7s."}}, 400), 7.0),
        (answering({"error": {"code": 429, "message": "Try again in 7s."}}), 7.0),
        (answering({"error": {}}, 503, retry_after="4"), 4.0),
    ],
)
async def test_a_limit_or_an_overload_says_how_long_to_wait(
    upstream: Upstream, provider: OpenAIProvider, answer: Handler, seconds: float
) -> None:
    """R3. `test_waits` has every form."""
    upstream.handler = answer
    with pytest.raises((errors.ProviderRateLimited, errors.ProviderOverloaded)) as caught:
        await provider.complete(request())
    assert getattr(caught.value, "retry_after", None) == seconds


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": None}, {"x": 1}, [1], {"choices": [{"message": {"content": 5}}]}])
async def test_an_answer_of_another_shape_is_garbled(upstream: Upstream, provider: OpenAIProvider, body: object) -> None:
    upstream.handler = answering(body)
    with pytest.raises(errors.ProviderGarbled):
        await provider.complete(request())


async def test_a_web_page_instead_of_json_is_garbled(upstream: Upstream, provider: OpenAIProvider) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    upstream.handler = page
    with pytest.raises(errors.ProviderGarbled):
        await provider.complete(request())
    with pytest.raises(errors.ProviderGarbled):
        _ = [chunk async for chunk in provider.stream(request())]


async def test_a_stream_that_ends_early_is_garbled_and_its_usage_is_not_known(
    upstream: Upstream, provider: OpenAIProvider
) -> None:
    """R6, C6."""
    upstream.handler = streaming(delta(content="four"))
    with pytest.raises(errors.ProviderGarbled) as caught:
        _ = [chunk async for chunk in provider.stream(request())]
    assert caught.value.usage
    assert (caught.value.usage.total, caught.value.usage.estimated) == (0, True)


@pytest.mark.parametrize("event", ['{"choi', {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {}}]}}]}, "7"])
async def test_garbage_in_a_stream_is_garbled(upstream: Upstream, provider: OpenAIProvider, event: object) -> None:
    upstream.handler = streaming(delta(content="a"), event)
    with pytest.raises(errors.ProviderGarbled):
        _ = [chunk async for chunk in provider.stream(request())]


async def test_a_chunk_without_choices_costs_neither_the_answer_nor_its_usage(
    upstream: Upstream, provider: OpenAIProvider
) -> None:
    """Some servers send null, or leave the field out where they report the usage."""
    usage = {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}
    upstream.handler = streaming(delta(content="he"), {"choices": None}, delta(content="llo"), delta("stop"), usage, "[DONE]")
    last = [chunk async for chunk in provider.stream(request())][-1]
    assert isinstance(last, Done)
    assert (last.reply.text, last.reply.usage.output, last.reply.usage.estimated) == ("hello", 3, False)


async def test_an_error_event_in_a_stream_is_a_failure(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = streaming(delta(content="a"), {"error": {"message": "x", "type": "server_error"}})
    with pytest.raises(errors.ProviderFailed):
        _ = [chunk async for chunk in provider.stream(request())]


async def _silent(answer: web.StreamResponse, _: web.Request) -> None:
    while True:  # comments keep the connection alive, and are no tokens
        await answer.write(b": ping\n\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("events", "phase"), [([], "first_token"), ([delta(content="a")], "idle")])
async def test_silence_in_a_stream_times_out_by_its_phase(
    upstream: Upstream, provider: OpenAIProvider, events: list[object], phase: str
) -> None:
    """R1."""
    upstream.handler = streaming(*events, then=_silent)
    with pytest.raises(errors.ProviderTimeout) as caught:
        _ = [chunk async for chunk in provider.stream(request(timeouts=HURRIED))]
    assert caught.value.phase == phase


async def test_a_whole_reply_is_bound_by_the_total_alone(upstream: Upstream, provider: OpenAIProvider) -> None:
    """R1."""

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    upstream.handler = hang
    with pytest.raises(errors.ProviderTimeout) as caught:
        await provider.complete(request(timeouts=Timeouts(connect=1, first_token=0.01, idle=0.01, total=0.2)))
    assert caught.value.phase == "total"


async def _endless(answer: web.StreamResponse, _: web.Request) -> None:
    while True:
        await answer.write(b"data: " + json.dumps(delta(content="a")).encode() + b"\n\n")
        await asyncio.sleep(0.01)


async def test_closing_the_stream_closes_the_connection(upstream: Upstream, provider: OpenAIProvider) -> None:
    """R7."""
    upstream.handler = streaming(then=_endless)
    chunks = provider.stream(request())
    await anext(chunks)
    await chunks.aclose()
    assert await asyncio.wait_for(upstream.left.wait(), 120)


async def test_cancelling_the_reader_closes_the_connection(upstream: Upstream, provider: OpenAIProvider) -> None:
    """R7."""
    upstream.handler = streaming(then=_endless)
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in provider.stream(request(timeouts=Timeouts(1, 5, 5, 30))):
            begun.set()

    reader = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), 120)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await asyncio.wait_for(upstream.left.wait(), 120)


async def test_a_refused_connection_is_unreachable_and_not_a_timeout() -> None:
    """The SDK's aiohttp transport reports it as a connect timeout; the cause decides."""
    made = OpenAIProvider("openai", base_url="http://127.0.0.1:9/v1", api_key="")
    with pytest.raises(errors.ProviderUnreachable):
        await made.complete(request())
    await made.aclose()


FINISHED = (delta(content="hello"), delta("stop"))
COUNTED = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}


def line(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode()


def raw(*pieces: bytes, content_type: str = "text/event-stream") -> Handler:
    """An answer of just these bytes."""

    async def handler(req: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": content_type})
        await answer.prepare(req)
        for piece in pieces:
            await answer.write(piece)
        return answer

    return handler


EVENTS = [line(event) for event in (*FINISHED, COUNTED)]
FRAMINGS: dict[str, list[bytes]] = {
    "as the vendor": [b"\n\n".join([*EVENTS, b"data: [DONE]\n\n"])],
    "CRLF": [b"\r\n\r\n".join([*EVENTS, b"data: [DONE]\r\n\r\n"])],
    "CR": [b"\r\r".join([*EVENTS, b"data: [DONE]\r\r"])],
    "no blank after the colon": [b"\n\n".join(EVENTS).replace(b"data: ", b"data:") + b"\n\ndata:[DONE]\n\n"],
    "a byte order mark": [b"\xef\xbb\xbf" + b"\n\n".join(EVENTS) + b"\n\n"],
    "a byte order mark in pieces": [b"\xef", b"\xbb", b"\xbfda", b"\n\n".join(EVENTS)[2:] + b"\n\n"],
    "no blank line at the end": [b"\n\n".join(EVENTS)],
    "no blank lines": [b"\n".join(EVENTS) + b"\ndata: [DONE]\n"],
    "comments": [b": OPENROUTER PROCESSING\n\n", b"\n\n:\n\n".join([*EVENTS, b": ping\n\n"])],
    "names of events": [b"\n\nevent: ping\n\n".join([b"event: message\n" + event for event in EVENTS]) + b"\n\n"],
    "empty data": [b"data:\n\ndata: \n\n", b"\n\ndata:\n\n".join(EVENTS) + b"\n\n"],
    "retry and id": [b"retry: 3000\nid: 1\n\n", b"\n\n: ping\n\n".join(b"id: 7\n" + event for event in EVENTS) + b"\n\n"],
    "words in the place of data": [b"data: ping\n\ndata: : keep-alive\n\n" + b"\n\n".join(EVENTS) + b"\n\n"],
    "byte by byte": [bytes([byte]) for byte in b"\n\n".join(EVENTS) + b"\n\n"],
    "more after the end": [b"\n\n".join([*EVENTS, b"data: [DONE]", b"data: {]\n\n"])],
}


@pytest.mark.parametrize("pieces", FRAMINGS.values(), ids=FRAMINGS)
async def test_a_stream_is_read_in_every_framing(upstream: Upstream, provider: OpenAIProvider, pieces: list[bytes]) -> None:
    upstream.handler = raw(*pieces)
    chunks = [chunk async for chunk in provider.stream(request())]
    last = chunks[-1]
    assert isinstance(last, Done)
    assert (last.reply.text, last.reply.stop, last.reply.usage.input, last.reply.usage.output) == ("hello", "end", 12, 3)
    assert chunks[0] == TextDelta(0, "hello")


PARTED = "a\u2028b\u2029c\x85d"  # line ends to `str.splitlines`, and neither to the protocol nor to JSON


@pytest.mark.parametrize("data", [b"data: ", b""], ids=["no blank lines", "a document a line"])
async def test_a_line_end_that_is_none_to_the_protocol_is_text(upstream: Upstream, provider: OpenAIProvider, data: bytes) -> None:
    documents = (json.dumps(event, ensure_ascii=False).encode() for event in (delta(content=PARTED), delta("stop"), COUNTED))
    upstream.handler = raw(b"".join(data + document + b"\n" for document in documents))
    last = [chunk async for chunk in provider.stream(request())][-1]
    assert isinstance(last, Done)
    assert last.reply.text == PARTED


STREAM = b"\n\n".join([*EVENTS, b"data: [DONE]\n\n"])
BODY = json.dumps({**WHOLE, "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}).encode()
MISLABELLED: dict[str, tuple[bytes, str]] = {
    "a stream called JSON": (STREAM, "application/json"),
    "a stream called text": (STREAM, "text/plain"),
    "a stream after blank lines, called JSON": (b"\n\n" + STREAM, "application/json"),
    "JSON called a stream": (BODY, "text/event-stream"),
    "JSON over several lines, called a stream": (json.dumps(json.loads(BODY), indent=1).encode(), "text/event-stream"),
    "JSON after blank lines": (b"\n\n\n" + BODY, "application/json"),
    "JSON with the end of a stream": (BODY + b"data: [DONE]\n\n", "text/event-stream"),
    "JSON with the end of a stream, parted": (BODY + b"\n\ndata: [DONE]\n\n", "application/json"),
    "a document a line": (b"\n".join(event.removeprefix(b"data: ") for event in EVENTS), "application/x-ndjson"),
    "data twice": (STREAM.replace(b"data: ", b"data: data: "), "text/event-stream"),
    "data twice, and empty lines of it": (STREAM.replace(b"data: ", b"data: data: ").replace(b"\n\n", b"\ndata:\ndata:\n\n"), ""),
}


@pytest.mark.parametrize(("body", "label"), MISLABELLED.values(), ids=MISLABELLED)
async def test_an_answer_is_read_by_what_it_is_and_not_by_its_label(
    upstream: Upstream, provider: OpenAIProvider, body: bytes, label: str
) -> None:
    upstream.handler = raw(*(bytes([byte]) for byte in body), content_type=label or "text/event-stream")
    last = (await _all(provider, request()))[-1]
    assert isinstance(last, Done)
    for reply in (last.reply, await provider.complete(request())):
        assert (reply.text, reply.stop) == ("hello", "end")
        assert reply.usage.output in (3, 4)


@pytest.mark.parametrize("indent", [None, 1])
async def test_an_error_that_is_called_a_stream_is_the_error_that_it_names(
    upstream: Upstream, provider: OpenAIProvider, indent: int | None
) -> None:
    body = json.dumps({"error": {"message": "x", "code": 429}}, indent=indent).encode()
    upstream.handler = raw(body, content_type="text/event-stream")
    with pytest.raises(errors.ProviderRateLimited):
        await _all(provider, request())


UNFRAMED = {
    "the field that llama.cpp had": b"error: %s\n\ndata: [DONE]\n\n",
    "no field at all": b"%s\n",
    "no field, between events": b": ping\n\n%s\n\ndata: [DONE]\n\n",
}


@pytest.mark.parametrize("before", [b"", b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n'], ids=["first", "later"])
@pytest.mark.parametrize("form", UNFRAMED.values(), ids=UNFRAMED)
@pytest.mark.parametrize("indent", [None, 2])  # vercel/ai#5217, diegosouzapw/OmniRoute#4177
async def test_an_error_outside_of_the_data_of_a_stream_is_the_error_that_it_names(
    upstream: Upstream, provider: OpenAIProvider, form: bytes, before: bytes, indent: int | None
) -> None:
    """Both SDKs pass over such lines: the answer seems to be cut, is asked for again, and counts at its upper bound."""
    error = {"code": 400, "message": "the request exceeds the available context size.", "type": "invalid_request_error"}
    said = json.dumps({"error": error}) if indent is None else json.dumps([{"error": error}], indent=indent)
    said = json.dumps(error) if form.startswith(b"error") else said
    upstream.handler = raw(before + form % said.encode(), content_type="text/event-stream")
    with pytest.raises(errors.ProviderRejected) as caught:
        await _all(provider, request())
    assert caught.value.reason == "context_length"


@pytest.mark.parametrize(
    "line", [b"error: no JSON", b'"error": 5', b"error", b': a\n{\n"note": {"error": 5}\n}', b': a\n[{"b": 1}]']
)
async def test_other_lines_outside_of_the_data_of_a_stream_say_nothing(
    upstream: Upstream, provider: OpenAIProvider, line: bytes
) -> None:
    upstream.handler = raw(line + b"\n\n" + STREAM, content_type="text/event-stream")
    last = (await _all(provider, request()))[-1]
    assert isinstance(last, Done)
    assert last.reply.text == "hello"


@pytest.mark.parametrize(("sent", "text"), [(b"\xe2\x82", "\ufffd"), (b"\xff", "\ufffd"), (b"\t", "\t"), (b"\xc2\x85", "\x85")])
async def test_bytes_that_json_does_not_know_cost_no_answer(
    upstream: Upstream, provider: OpenAIProvider, sent: bytes, text: str
) -> None:
    for body in (STREAM, BODY):
        upstream.handler = raw(body.replace(b"hello", b"he" + sent + b"llo"))
        last = (await _all(provider, request()))[-1]
        assert isinstance(last, Done)
        assert last.reply.text == f"he{text}llo"
        assert (await provider.complete(request())).text == f"he{text}llo"


async def test_a_connection_is_given_up_before_a_server_closes_it(
    upstream: Upstream, provider: OpenAIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7. A request on one that is closing would fail, and be counted as paid."""
    assert connections.KEPT < 5
    monkeypatch.setattr(connections, "KEPT", 0.3)
    used = []

    async def noting(req: web.Request) -> web.StreamResponse:
        used.append(req.transport)
        return web.json_response(WHOLE)

    upstream.handler = noting
    for pause in (0, 0.6, 0):
        await provider.complete(request())
        await asyncio.sleep(pause)
    assert used[0] is used[1] is not used[2]


async def test_a_header_of_a_proxy_may_be_long(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = answering(WHOLE, content_security_policy="x" * 60_000)
    assert (await provider.complete(request())).text == "hi"


async def test_a_whole_answer_in_the_place_of_a_stream_is_read(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = answering(WHOLE)
    chunks = [chunk async for chunk in provider.stream(request())]
    assert chunks[0] == TextDelta(0, "hi")
    assert isinstance(chunks[-1], Done)
    assert chunks[-1].reply.usage.output == 4


async def test_a_stream_in_the_place_of_a_whole_answer_is_read(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = raw(b"\n\n".join([*EVENTS, b"data: [DONE]\n\n"]))
    assert (await provider.complete(request())).text == "hello"


async def _held_open(answer: web.StreamResponse, _: web.Request) -> None:
    while True:
        await answer.write(b": ping\n\n")
        await answer.write(line({"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}) + b"\n\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "events",
    [FINISHED, (*FINISHED, COUNTED), (*FINISHED, COUNTED, "[DONE]"), (delta(content="hel"), delta("stop", content="lo"))],
    ids=["bare", "usage", "done", "with the last output"],
)
async def test_a_finished_stream_that_is_held_open_ends_cleanly(
    upstream: Upstream, provider: OpenAIProvider, events: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats go on, and neither the idle nor the total timeout may fail an answer that is whole."""
    monkeypatch.setattr(adapter, "LAST_WORDS", 0.3)
    upstream.handler = streaming(*events, then=_held_open)
    patient = request(timeouts=Timeouts(connect=5, first_token=600, idle=600, total=600))
    last = (await asyncio.wait_for(_all(provider, patient), 120))[-1]
    assert isinstance(last, Done)
    assert (last.reply.text, last.reply.usage.output) == ("hello", 3 if COUNTED in events else 0)


@pytest.mark.parametrize("first", [{"content": "hel"}, {"reasoning_content": "hm"}])
async def test_a_finish_reason_with_each_chunk_does_not_cut_the_answer(
    upstream: Upstream, provider: OpenAIProvider, first: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R6."""
    monkeypatch.setattr(adapter, "LAST_WORDS", 0.05)
    rest = [*map(line, (delta("stop", content="lo"), delta("stop", content="!"), COUNTED)), b"data: [DONE]"]

    async def later(answer: web.StreamResponse, _: web.Request) -> None:
        await asyncio.sleep(0.3)
        await answer.write(b"\n\n".join(rest) + b"\n\n")

    upstream.handler = streaming(delta("stop", **first), then=later)
    last = (await _all(provider, request()))[-1]
    assert isinstance(last, Done)
    assert (last.reply.text, last.reply.usage.output) == (first.get("content", "") + "lo!", 3)


async def test_a_stream_cut_after_a_finish_reason_of_each_chunk_is_no_answer(
    upstream: Upstream, provider: OpenAIProvider
) -> None:
    """R6."""

    async def broken(_: web.StreamResponse, req: web.Request) -> None:
        assert req.transport
        req.transport.abort()

    upstream.handler = streaming(delta("stop", content="a"), delta("stop", content="b"), then=broken)
    with pytest.raises(errors.ProviderError):
        await _all(provider, request())


async def _all(provider: OpenAIProvider, wanted: ModelRequest) -> list[object]:
    return [chunk async for chunk in provider.stream(wanted)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "x"}, errors.ProviderRateLimited),
        ({"code": "503"}, errors.ProviderOverloaded),
        ({"code": 502, "message": "x"}, errors.ProviderFailed),
        ({"code": 400, "type": "BadRequestError"}, errors.ProviderRejected),
        ({"code": "insufficient_quota"}, errors.ProviderDenied),
        ({"type": "rate_limit_error"}, errors.ProviderRateLimited),
        ({"type": "invalid_request_error"}, errors.ProviderRejected),
        ({"type": "overloaded_error"}, errors.ProviderOverloaded),
        ({"status": 429, "message": "x"}, errors.ProviderRateLimited),
        ({"code": "429 Too Many Requests"}, errors.ProviderRateLimited),
        ({"code": 502, "metadata": {"error_type": "provider_unavailable"}}, errors.ProviderFailed),
        ({"code": 1302, "message": "High concurrency usage of this API"}, errors.ProviderRateLimited),
        ({"message": "The model is currently at capacity due to high demand."}, errors.ProviderOverloaded),
        ({"message": "Insufficient balance"}, errors.ProviderDenied),
        ({"message": "sk-secret"}, errors.ProviderFailed),
        ("sk-secret", errors.ProviderFailed),
    ],
)
async def test_an_error_within_a_200_is_the_error_that_it_names(
    upstream: Upstream, provider: OpenAIProvider, error: object, kind: type[errors.ProviderError]
) -> None:
    for handler in (answering({"error": error}), answering([{"error": error}]), streaming({"error": error})):
        upstream.handler = handler
        with pytest.raises(kind) as whole:
            await provider.complete(request())
        with pytest.raises(kind) as streamed:
            await _all(provider, request())
        assert type(whole.value) is type(streamed.value) is kind
        assert "sk-secret" not in whole.value.message + streamed.value.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"status": "449", "msg": "You exceeded your current rate limit", "body": None}, errors.ProviderRateLimited),
        ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, errors.ProviderRateLimited),
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, errors.ProviderDenied),
        ({"success": False, "errors": [{"code": 3040, "message": "Capacity temporarily exceeded"}]}, errors.ProviderOverloaded),
        ({"detail": "sk-secret"}, errors.ProviderFailed),
        ({"error_msg": "sk-secret", "error_code": 336000}, errors.ProviderFailed),
    ],
)
async def test_an_error_in_any_envelope_is_one(
    upstream: Upstream, provider: OpenAIProvider, body: object, kind: type[errors.ProviderError]
) -> None:
    for handler in (answering(body), streaming(body)):
        upstream.handler = handler
        with pytest.raises(kind) as whole:
            await provider.complete(request())
        with pytest.raises(kind) as streamed:
            await _all(provider, request())
        assert type(whole.value) is type(streamed.value) is kind
        assert "sk-secret" not in whole.value.message + streamed.value.message


async def test_an_event_named_error_is_one(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = raw(line(delta(content="a")) + b'\n\nevent: error\ndata: {"message": "x", "code": 503}\n\n')
    with pytest.raises(errors.ProviderOverloaded):
        await _all(provider, request())


async def test_an_answer_that_cannot_be_used_costs_what_it_says(upstream: Upstream, provider: OpenAIProvider) -> None:
    """C6."""
    upstream.handler = answering({**WHOLE, "choices": [{"message": {"content": "half"}, "finish_reason": "abort"}]})
    with pytest.raises(errors.ProviderGarbled) as caught:
        await provider.complete(request())
    assert caught.value.usage
    assert (caught.value.usage.output, caught.value.usage.estimated) == (4, False)
