"""A large body is read, and sent on, beside the event loop (V3): other calls of the worker are not held up by its parts."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import Scope

from app.api.chat import anthropic_request, openai_request
from app.api.embeddings import request as embeddings_request
from app.api.responses import request as responses_request
from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest, ProviderError
from app.domain.messages import Message, Sampling, Text
from app.domain.money import MicroUSD
from app.domain.waiting import LARGE
from app.edge.limits import read_body
from app.edge.requests import CallContext
from app.gateway.providers import anthropic_wire, http, openai_wire
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.base import ModelRequest, Timeouts
from app.gateway.providers.openai import OpenAIProvider

CONTEXT = CallContext("r", Identity(Tenant("t", "T", MicroUSD(1), MicroUSD(1)), "k", ""), Deadline.after(60))
UNREACHABLE = "http://127.0.0.1:9"


class _Parts:
    max_json_depth = 190


def _request(body: bytes) -> Request:
    app = FastAPI()
    app.state.edge = _Parts()
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "app": app}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


@pytest.mark.parametrize(("size", "beside"), [(LARGE, False), (LARGE + 1, True)])
async def test_only_a_large_body_is_read_beside_the_loop(size: int, beside: bool) -> None:
    reader = await read_body(_request(b" " * size), lambda _: threading.get_ident())
    assert (reader != threading.get_ident()) is beside


@pytest.mark.parametrize("size", [4, LARGE + 1])
async def test_a_body_over_a_limit_is_refused_before_it_is_read(size: int) -> None:
    with pytest.raises(InvalidRequest, match="nested more than 190 deep"):
        await read_body(_request(b"[" * 191 + b" " * size), lambda body: pytest.fail(f"read {len(body)}"))


CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "a"}]}'
MESSAGES = CHAT.replace(b"{", b'{"max_tokens": 9, ', 1)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (openai_request.read, CHAT),
        (anthropic_request.read, MESSAGES),
        (responses_request.read, b'{"model": "m", "input": "a"}'),
        (embeddings_request.read, b'{"model": "m", "input": "a"}'),
    ],
)
def test_a_call_knows_the_size_of_its_body(read: Callable[[bytes, CallContext], tuple[object, Call]], body: bytes) -> None:
    assert read(body, CONTEXT)[1].size == len(body)


def _asked(size: int) -> ModelRequest:
    return ModelRequest(
        model="m",
        system=(),
        messages=(Message("user", (Text("hello"),)),),
        sampling=Sampling(max_output_tokens=9),
        timeouts=Timeouts(1, 1, 1, 1),
        size=size,
    )


@pytest.mark.parametrize(("size", "beside"), [(0, False), (LARGE + 1, True)])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", [OpenAIProvider, AnthropicProvider])
async def test_what_goes_to_a_provider_is_written_beside_the_loop_if_it_is_large(
    kind: type[OpenAIProvider | AnthropicProvider],
    streamed: bool,
    size: int,
    beside: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writers: list[int] = []

    def noted(write: Any) -> Any:  # noqa: ANN401 - any function
        def writing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any function's
            writers.append(threading.get_ident())
            return write(*arguments, **named)

        return writing

    monkeypatch.setattr(openai_wire, "body", noted(openai_wire.body))
    monkeypatch.setattr(anthropic_wire, "body", noted(anthropic_wire.body))
    monkeypatch.setattr(http, "encoded", noted(http.encoded))
    provider = kind("p", base_url=UNREACHABLE, api_key="none")
    with pytest.raises(ProviderError):
        await (anext(provider.stream(_asked(size))) if streamed else provider.complete(_asked(size)))
    await provider.aclose()
    assert [writer != threading.get_ident() for writer in writers] == [beside, beside]
