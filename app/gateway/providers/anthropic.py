"""Anthropic's messages, by the official SDK.

The SDK's generic ``post`` is used instead of ``messages.create``, for the reasons given in `openai.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

import httpx2
from anthropic import (
    AnthropicError,
    APIResponseValidationError,
    APIStatusError,
    AsyncAnthropic,
    AsyncStream,
    DefaultAioHttpClient,
)

from app.domain.calls import Chunk, Done, Reply
from app.domain.errors import (
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
)
from app.gateway.providers import anthropic_wire, dialect
from app.gateway.providers.anthropic_reading import Reading
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import FOREIGN, Blame, from_transport, kind_of_status, machine_words, with_retry_after
from app.gateway.providers.refusals import refusal
from app.gateway.providers.timeouts import AttemptTimeouts

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
REQUEST_ID = "request-id"
BETA = "anthropic-beta"
DRAIN_TIMEOUT = 0.1

# An error event in a stream comes after a 200: only its type says what it is.
ERROR_EVENTS: dict[str | None, type[ProviderError]] = {
    "overloaded_error": ProviderOverloaded,
    "rate_limit_error": ProviderRateLimited,
    "invalid_request_error": ProviderRejected,
    "request_too_large": ProviderRejected,
    "authentication_error": ProviderDenied,
    "permission_error": ProviderDenied,
    "billing_error": ProviderDenied,
    "not_found_error": ProviderDenied,
}

FAILURES: tuple[type[Exception], ...] = (AnthropicError, *FOREIGN)


class AnthropicProvider:
    """See `base.Provider`. Nothing connects before the first call."""

    def __init__(self, name: str, *, base_url: str, api_key: str) -> None:
        """``base_url`` without ``/v1``, as the SDK wants it."""
        self.name = name
        # the SDK logs whole requests at DEBUG, prompts included
        logging.getLogger("anthropic").setLevel(logging.WARNING)
        self._client = AsyncAnthropic(
            base_url=base_url,
            api_key=api_key or "none",  # an empty key would be refused by the SDK before it reaches the server
            max_retries=0,
            open_telemetry=False,  # its own spans would repeat ours and replace our traceparent
            http_client=DefaultAioHttpClient(follow_redirects=False),
        )

    def use_key(self, key: str) -> None:
        """Send this key from the next request on."""
        self._client.api_key = key or "none"

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        """See `base.Provider`."""
        return anthropic_wire.lacks(request) | dialect.unsayable(request, dialect.ANTHROPIC)

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """As the vendor counts them (docs.anthropic.com/en/api/messages-count-tokens)."""
        blame = Blame(self.name, request.model, own_form=request.form == "anthropic")
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=False)
        body = anthropic_wire.counting(request)
        try:
            async with limits.waiting():
                response = await self._client.post(
                    COUNT_PATH,
                    cast_to=httpx2.Response,
                    body=body,
                    options={"headers": _headers(request), "timeout": _transport_timeout(request)},
                )
            return anthropic_wire.counted(response.content)
        except FAILURES as error:
            raise _translate(error, blame) from None

    async def embed(self, request: ModelRequest) -> Reply:
        """Anthropic has no embeddings, so `lacks` sends none here."""
        raise ProviderDenied("No embeddings.", provider=self.name, model=request.model)

    async def complete(self, request: ModelRequest) -> Reply:
        """Send and wait for the whole reply."""
        blame = Blame(self.name, request.model, own_form=request.form == "anthropic")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=False)
        body = anthropic_wire.body(request, stream=False)
        try:
            async with limits.waiting():
                response = await self._client.post(
                    PATH,
                    cast_to=httpx2.Response,
                    body=body,
                    options={"headers": _headers(request), "timeout": _transport_timeout(request)},
                )
            return reading.whole(response.content, response.headers.get(REQUEST_ID))
        except FAILURES as error:
            raise _translate(error, blame) from None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Send and yield deltas as they arrive, then `Done`."""
        blame = Blame(self.name, request.model, own_form=request.form == "anthropic")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=True)
        body = anthropic_wire.body(request, stream=True)
        answered = begun = False
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with limits.waiting():
                    events = await self._client.post(
                        PATH,
                        cast_to=object,
                        body=body,
                        options={"headers": _headers(request), "timeout": _transport_timeout(request)},
                        stream=True,
                        stream_cls=AsyncStream[object],
                    )
                answered = True
                stack.push_async_callback(events.close)
                while not reading.complete:
                    async with limits.waiting():
                        event = await anext(events, None)
                    if event is None:
                        break
                    deltas = reading.deltas(event)
                    if not begun and request.on_input and reading.usage().total:
                        begun = True
                        request.on_input(reading.usage())
                    for delta in deltas:
                        limits.token()
                        yield delta
                        limits.resumed()
                yield Done(reading.reply(events.response.headers.get(REQUEST_ID)))
                await _drain(events)
            except FAILURES as error:
                failure = _translate(error, blame)
                failure.usage = reading.usage() if answered else None  # after a 200 the input is billed, whatever follows
                raise failure from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()


async def _drain(events: AsyncStream[object]) -> None:
    """Read to the body's end, so that the connection can be reused. Errors here cannot fail the whole reply."""
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            while await anext(events, None) is not None:
                pass


def _headers(request: ModelRequest) -> dict[str, str]:
    """The headers to send: the given ones, and the betas that the caller may use."""
    return {**request.headers, **({BETA: ",".join(request.betas)} if request.betas else {})}


def _transport_timeout(request: ModelRequest) -> httpx2.Timeout:
    """Only connecting is left to the transport; `AttemptTimeouts` has the rest. ``pool`` bounds a wait for a free connection."""
    connect = request.timeouts.connect
    return httpx2.Timeout(None, connect=connect, pool=connect)


def _translate(error: Exception, blame: Blame) -> ProviderError:
    """Raise every failure of the SDK, or under it, as our own error."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, APIResponseValidationError):
        return blame.error(ProviderGarbled, "The answer is not a message.")
    if isinstance(error, APIStatusError):
        words = machine_words(error.type, error.error_code)
        if refused := refusal(error.status_code, error.body):
            where = "Error event in the stream" if error.status_code < 300 else f"HTTP {error.status_code}"
            return blame.refused(refused, f"{where} {words}".strip(), request_id=error.request_id)
        if error.status_code < 300:
            kind = ERROR_EVENTS.get(error.type, ProviderFailed)
            return blame.error(kind, f"Error event in the stream {words}".strip(), request_id=error.request_id)
        kind = ProviderDenied if error.type == "billing_error" else kind_of_status(error.status_code)
        failure = blame.error(kind, f"HTTP {error.status_code} {words}".strip(), request_id=error.request_id)
        return with_retry_after(failure, error.response.headers)
    return from_transport(error, blame)
