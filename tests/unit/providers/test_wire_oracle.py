"""The vendors' SDKs are the oracle of our HTTP: the same requests byte for byte, the same events, the same words of an error."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from aiohttp import web
from anthropic._streaming import SSEDecoder as AnthropicDecoder
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder as OpenAIDecoder

from app.domain.errors import ProviderError
from app.gateway.providers import anthropic as anthropic_adapter
from app.gateway.providers import openai as openai_adapter
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.errors import Blame, ProtocolError
from app.gateway.providers.http import Http, StatusError
from app.gateway.providers.openai import OpenAIProvider
from app.gateway.providers.sse import MOST_EVENT, Decoder, Event
from app.settings import ProviderSettings, load
from app.wiring import build_provider

Request = tuple[str, str, Mapping[str, str], bytes]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(TEXTS, VALUES, max_size=5)
OWN = frozenset({"user-agent", "host", "content-length", "accept-encoding", "connection"})


class Server:
    """Keeps each request; answers with what the test says."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 200
        self.body: bytes = b"{}"
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path_qs, headers, await request.read()))
        return web.Response(status=self.status, body=self.body, content_type="application/json")


def with_server(test: Callable[[Server], Awaitable[None]]) -> None:
    async def run() -> None:
        server = Server()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{rest:.*}", server.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            await test(server)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def sent(request: Request) -> tuple[str, str, dict[str, str], bytes]:
    """A request without the headers that name its client or belong to the connection."""
    method, path, headers, body = request
    kept = {name: value for name, value in headers.items() if name not in OWN and not name.startswith("x-stainless")}
    return method, path, kept, body


@given(bodies=st.lists(BODIES, min_size=1, max_size=30))
@settings(max_examples=8, deadline=None)
def test_openai_s_sdk_sends_the_same_request(bodies: list[dict[str, Any]]) -> None:
    async def both(server: Server) -> None:
        ours = OpenAIProvider("openai", base_url=server.url + "/v1", api_key="made-up")
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="made-up", max_retries=0) as sdk:
            for body in bodies:
                await sdk.post("/chat/completions", cast_to=httpx2.Response, body=body)
                await ours._http.post("/chat/completions", body, {}, connect=5)
        await ours.aclose()
        for theirs, own in zip(server.requests[::2], server.requests[1::2], strict=True):
            assert sent(own) == sent(theirs)

    with_server(both)


@given(bodies=st.lists(BODIES, min_size=1, max_size=30))
@settings(max_examples=8, deadline=None)
def test_anthropic_s_sdk_sends_the_same_request(bodies: list[dict[str, Any]]) -> None:
    async def both(server: Server) -> None:
        ours = AnthropicProvider("anthropic", base_url=server.url, api_key="made-up")
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="made-up", max_retries=0) as sdk:
            for body in bodies:
                options: Any = {"headers": {"anthropic-beta": "a,b"}}
                await sdk.post("/v1/messages", cast_to=httpx2.Response, body=body, options=options)
                await ours._http.post("/v1/messages", body, {"anthropic-beta": "a,b"}, connect=5)
        await ours.aclose()
        for theirs, own in zip(server.requests[::2], server.requests[1::2], strict=True):
            assert sent(own) == sent(theirs)

    with_server(both)


def test_the_account_of_openai_s_environment_is_sent_as_its_sdk_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-made-up")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-made-up")
    monkeypatch.setenv("OCTANT_OPENAI__HEADERS", '{"x-own": "1"}')

    async def both(server: Server) -> None:
        vendor = load().vendor("openai")
        ours = build_provider("openai", ProviderSettings(kind="openai", base_url=server.url, headers=vendor.headers), "made-up")
        assert isinstance(ours, OpenAIProvider)
        options: Any = {"headers": {"x-own": "1"}}
        async with openai.AsyncOpenAI(base_url=server.url, api_key="made-up", max_retries=0) as sdk:
            await sdk.post("/chat/completions", cast_to=httpx2.Response, body={}, options=options)
        await ours._http.post("/chat/completions", {}, {}, connect=5)
        await ours.aclose()
        theirs, own = server.requests
        assert sent(own) == sent(theirs)
        assert (own[2]["openai-organization"], own[2]["x-own"]) == ("org-made-up", "1")

    with_server(both)


ERRORS: tuple[object, ...] = (
    {"error": {"type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages", "message": "too long"}},
    {"error": {"type": "rate_limit_error", "message": "slow down", "details": {"error_code": "tokens"}}},
    {"error": {"code": 404, "message": "no model"}},
    {"error": "a text"},
    {"error": None},
    {"error": {"type": ["a"], "code": {"b": 1}, "details": "x"}},
    {"message": "no envelope", "type": "server_error", "code": "x"},
    ["a list"],
    "a string",
    7,
    None,
)


@pytest.mark.parametrize("status", [300, 400, 401, 404, 413, 429, 500, 503, 529])
def test_an_error_has_the_words_that_the_sdks_read(status: int) -> None:
    async def all_of_them(server: Server) -> None:
        server.status = status
        blame = Blame("p", "m")
        gpt = openai.AsyncOpenAI(base_url=server.url, api_key="made-up", max_retries=0)
        claude = anthropic.AsyncAnthropic(base_url=server.url, api_key="made-up", max_retries=0)
        http = Http(server.url, {})
        for body in (*(json.dumps(error).encode() for error in ERRORS), b"<html>", b"", b"\xff"):
            server.body = body
            with pytest.raises(StatusError) as ours:
                await http.post("/x", {}, {}, connect=5)
            with pytest.raises(openai.APIStatusError) as theirs:
                await gpt.post("/x", cast_to=httpx2.Response, body={})
            error = openai_adapter._translate(ours.value, blame)
            assert type(error) is type(openai_adapter._translate(as_read(theirs.value), blame))
            for word in (theirs.value.type, theirs.value.code, theirs.value.param):
                assert not isinstance(word, str) or word in (error.message, *error.message.split()) or " " in word, (body, word)
            with pytest.raises(anthropic.APIStatusError) as other:
                await claude.post("/x", cast_to=httpx2.Response, body={})
            error = anthropic_adapter._translate(ours.value, blame)
            assert isinstance(error, ProviderError)
            for word in (other.value.type, other.value.error_code):
                assert not isinstance(word, str) or word in error.message, (body, word)
        await http.aclose()
        await gpt.close()
        await claude.close()

    with_server(all_of_them)


def as_read(error: openai.APIStatusError) -> StatusError:
    """The SDK's error as ours; its body is the envelope's inside."""
    return StatusError(error.status_code, error.response.headers, error.body)


LINES = st.sampled_from(
    [
        b"data: {}", b"data:{}", b"data: a\xc3\xa9", b"data", b"data:", b"data:  two", b"event: message_stop", b"event:ping",
        b"event: error", b": comment", b"id: 7", b"retry: 5", b"", b"", b"nonsense", b"data: a:b",
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in pieces that end anywhere."""
    end = draw(ENDS)
    whole = b"".join(line + end for line in draw(st.lists(LINES, max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


async def _pieces(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _ours(pieces: list[bytes], *, end: bool = False) -> list[Event]:
    decoder = Decoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + (decoder.end() if end else [])


@given(pieces=streams())
@settings(max_examples=300, deadline=None)
def test_events_are_those_that_both_sdks_read(pieces: list[bytes]) -> None:
    ours = [(event.name, event.data) for event in _ours(pieces) if event.data]
    for decoder in (OpenAIDecoder(), AnthropicDecoder()):
        theirs = asyncio.run(_all(decoder, pieces))
        assert ours == [(event.event or "", event.data) for event in theirs if event.data]


async def _all(decoder: OpenAIDecoder | AnthropicDecoder, pieces: list[bytes]) -> list[Any]:
    return [event async for event in decoder.aiter_bytes(_pieces(pieces))]


@given(pieces=streams())
@settings(max_examples=100, deadline=None)
def test_where_the_pieces_of_a_stream_end_changes_nothing(pieces: list[bytes]) -> None:
    assert _ours(pieces, end=True) == _ours([b"".join(pieces)], end=True)
    assert _ours([bytes([byte]) for piece in pieces for byte in piece], end=True) == _ours(pieces, end=True)
    assert _ours([b"\xef\xbb\xbf", *pieces], end=True) == _ours(pieces, end=True)


def test_an_event_that_never_ends_is_refused_before_memory_is() -> None:
    decoder, piece = Decoder(), b"x" * 2**20
    for _ in range(MOST_EVENT // len(piece)):
        decoder.feed(piece)
    with pytest.raises(ProtocolError):
        decoder.feed(piece)


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("http://h", "http://h/chat/completions"),
        ("http://h/openai/deployments/d?api-version=1", "http://h/openai/deployments/d/chat/completions?api-version=1"),
    ],
)
def test_a_path_is_appended_to_the_base_url_before_its_query(base: str, address: str) -> None:
    assert Http(base, {})._url("/chat/completions") == address


def test_the_environment_s_proxy_is_used_but_for_the_hosts_that_it_excepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert Http("https://api.example/v1", {})._proxy == "http://proxy.example:3128"
    assert Http("https://inside.example/v1", {})._proxy is None
