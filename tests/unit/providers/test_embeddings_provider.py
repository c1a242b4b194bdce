"""Embeddings through the OpenAI adapter against a scripted server, over real HTTP."""

import asyncio
import base64
import threading
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from app.domain import errors
from app.domain.calls import Reply, Usage
from app.domain.embeddings import Inputs, VectorSpace, floats
from app.domain.messages import Sampling
from app.gateway.providers import openai_embeddings
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai import OpenAIProvider

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SIZE = 1536


class Upstream:
    """A server whose answer is set by the test; remembers the last request."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.body: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.body, self.headers = await request.json(), dict(request.headers)
        assert self.handler
        return await self.handler(request)


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/embeddings", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@pytest_asyncio.fixture
async def provider(upstream: Upstream) -> AsyncIterator[OpenAIProvider]:
    adapter = OpenAIProvider("openai", base_url=upstream.url, api_key="made-up")
    yield adapter
    await adapter.aclose()


def request(number: int = 1, seconds: float = 20.0, size: int = SIZE) -> ModelRequest:
    return ModelRequest(
        model="m",
        system=(),
        messages=(),
        sampling=Sampling(max_output_tokens=1),
        timeouts=Timeouts(connect=5, first_token=seconds, idle=seconds, total=seconds),
        headers={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
        embed=Inputs(texts=tuple(f"text {n}" for n in range(number))),
        space=VectorSpace("m", size),
    )


def vector(first: float, size: int = SIZE) -> str:
    return base64.b64encode(array("f", [first, *[0.0] * (size - 1)]).tobytes()).decode()


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ("base64 encoding is not currently supported", ["base64", "float", "float"]),
        ("does not support parameters: {'encoding_format': 'base64'}", ["base64", "float", "float"]),
        ("The input is too long.", ["base64"]),
    ],
)
async def test_a_server_that_refuses_base64_gives_numbers(
    upstream: Upstream, provider: OpenAIProvider, status: int, message: str, asked: list[str]
) -> None:
    seen: list[str] = []

    async def handler(_: web.Request) -> web.StreamResponse:
        seen.append(upstream.body["encoding_format"])
        if seen[-1] == "base64":
            return web.json_response({"error": {"message": message}}, status=status)
        return web.json_response({"data": [{"index": 0, "embedding": [0.5] * SIZE}], "usage": {"prompt_tokens": 1}})

    upstream.handler = handler
    if len(asked) == 1:
        with pytest.raises(errors.ProviderRejected):
            await provider.embed(request())
    else:
        for _ in range(2):
            assert floats((await provider.embed(request())).vectors[0])[0] == 0.5
    assert seen == asked


@pytest.mark.parametrize(
    "data", [[], [{"index": 0, "embedding": []}], [{"index": 0, "embedding": None}], [{"index": 0}]], ids=str
)
async def test_a_server_that_lists_no_vectors_as_base64_is_asked_for_numbers(
    upstream: Upstream, provider: OpenAIProvider, data: list[object]
) -> None:
    """In an attempt of its own, since what it answered first may be billed."""

    async def handler(_: web.Request) -> web.StreamResponse:
        given = [{"index": 0, "embedding": [0.5] * SIZE}] if upstream.body["encoding_format"] == "float" else data
        return web.json_response({"data": given, "usage": {"prompt_tokens": 1}})

    upstream.handler = handler
    with pytest.raises(errors.ProviderGarbled) as failure:
        await provider.embed(request())
    assert failure.value.usage == Usage(input=1)
    assert floats((await provider.embed(request())).vectors[0])[0] == 0.5


def embeddings(number: int = 1, size: int = SIZE, **fields: object) -> dict[str, object]:
    data = [{"object": "embedding", "index": n, "embedding": vector(n + 1, size)} for n in range(number)]
    return {"object": "list", "data": data, "model": "m-2026", "usage": {"prompt_tokens": 4, "total_tokens": 4}, **fields}


def answering(body: object, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


async def test_vectors_come_with_the_answering_model_and_its_request_id(upstream: Upstream, provider: OpenAIProvider) -> None:
    upstream.handler = answering(embeddings(2), x_request_id="up-1")
    reply = await provider.embed(request(2))
    assert [floats(v)[0] for v in reply.vectors] == [1.0, 2.0]
    assert (reply.model, reply.provider_request_id, reply.usage) == ("m-2026", "up-1", Usage(input=4))
    assert upstream.body == {"model": "m", "input": ["text 0", "text 1"], "encoding_format": "base64"}
    assert upstream.headers["Authorization"] == "Bearer made-up"
    assert upstream.headers["traceparent"].startswith("00-1111")


@pytest.mark.parametrize(("number", "beside"), [(1, False), (2048, True)])
async def test_a_large_answer_is_read_beside_the_loop(
    upstream: Upstream, provider: OpenAIProvider, monkeypatch: pytest.MonkeyPatch, number: int, *, beside: bool
) -> None:
    """V3: it would hold every other call of the process."""
    threads: list[int] = []
    read = openai_embeddings.read

    def noting(*arguments: Any) -> Reply:  # noqa: ANN401 - as `read`
        threads.append(threading.get_ident())
        return read(*arguments)

    monkeypatch.setattr(openai_embeddings, "read", noting)
    upstream.handler = answering(embeddings(number))
    reply = await provider.embed(request(number))
    assert len(reply.vectors) == number
    assert (threads != [threading.get_ident()]) == beside


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (embeddings(1), Usage(input=4)),
        (embeddings(2, size=8), Usage(input=4)),
        (embeddings(2, usage=None, data=None), Usage()),
        ({"error": {"message": "no"}}, Usage()),
        ([], Usage()),
    ],
    ids=["too few", "too short", "no data", "an error with status 200", "a list"],
)
async def test_a_useless_answer_is_garbled_and_its_usage_billed(
    upstream: Upstream, provider: OpenAIProvider, body: object, usage: Usage
) -> None:
    """C6."""
    upstream.handler = answering(body)
    with pytest.raises(errors.ProviderGarbled) as garbled:
        await provider.embed(request(2))
    assert garbled.value.usage == usage


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "key sk-1", "code": "invalid_api_key"}}, errors.ProviderDenied),
        (404, {"error": {"message": "no model"}}, errors.ProviderDenied),
        (400, {"error": {"message": "too long"}}, errors.ProviderRejected),
        (413, {"error": "batch size 64 > 32", "error_type": "Validation"}, errors.ProviderRejected),
        (424, {"error": "Inference failed", "error_type": "Backend"}, errors.ProviderFailed),
        (429, {"error": "Model is overloaded", "error_type": "Overloaded"}, errors.ProviderRateLimited),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, errors.ProviderDenied),
        (500, "oops", errors.ProviderFailed),
        (503, {"error": {"message": "loading"}}, errors.ProviderOverloaded),
    ],
)
async def test_a_refusal_is_named_by_its_kind_and_quotes_nothing(
    upstream: Upstream, provider: OpenAIProvider, status: int, body: object, kind: type[errors.ProviderError]
) -> None:
    upstream.handler = answering(body, status, retry_after="3")
    with pytest.raises(kind) as failed:
        await provider.embed(request())
    assert "sk-1" not in failed.value.message
    assert failed.value.usage is None


async def test_silence_is_a_timeout(upstream: Upstream, provider: OpenAIProvider) -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    upstream.handler = silent
    with pytest.raises(errors.ProviderTimeout):
        await provider.embed(request(seconds=0.2))


async def test_anthropic_says_before_it_is_asked_that_it_has_none() -> None:
    adapter = AnthropicProvider("anthropic", base_url="http://127.0.0.1:9", api_key="x")
    assert adapter.lacks(ModelRequest(**{**_fields(request()), "requested": frozenset({"embeddings"})})) == {"embeddings"}
    with pytest.raises(errors.ProviderDenied):
        await adapter.embed(request())
    await adapter.aclose()


def _fields(of: ModelRequest) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}
