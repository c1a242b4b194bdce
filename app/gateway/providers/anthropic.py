"""Anthropic's messages."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

from app.domain.calls import Chunk, Done, Reply
from app.domain.errors import (
    ProviderDenied,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
)
from app.domain.waiting import aside
from app.gateway.providers import anthropic_wire, dialect
from app.gateway.providers.anthropic_events import documents
from app.gateway.providers.anthropic_models import BINDING_BETA
from app.gateway.providers.anthropic_reading import Reading
from app.gateway.providers.base import NOTHING, ModelRequest, says_text_alone
from app.gateway.providers.errors import (
    FOREIGN,
    Blame,
    error_within,
    from_transport,
    kind_of_body,
    kind_of_report,
    kind_of_status,
    machine_words,
    with_retry_after,
)
from app.gateway.providers.http import LARGE, NO_HEADERS, OK, Events, Http, StatusError
from app.gateway.providers.refusals import refusal
from app.gateway.providers.timeouts import AttemptTimeouts, in_time

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
REQUEST_ID = "request-id"
BETA = "anthropic-beta"
VERSION = "2026-10-21"  # of the API, as the official SDK 2.12 sends it
DRAIN_TIMEOUT = 0.1
LAST_WORDS = 2.0  # seconds for `message_stop` after the stop reason: some servers never send it, and hold the connection

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

FAILURES: tuple[type[Exception], ...] = (StatusError, *FOREIGN)


class AnthropicProvider:
    """See `base.Provider`. Nothing connects before the first call."""

    def __init__(self, name: str, *, base_url: str, api_key: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """``base_url`` without ``/v1``, as the official SDK wants it; ``headers`` go with every request."""
        self.name = name
        self._http = Http(base_url, {"anthropic-version": VERSION, **headers})
        self.use_key(api_key)

    def use_key(self, key: str) -> None:
        """Send this key from the next request on."""
        self._http.use_key(key)

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        """See `base.Provider`."""
        if says_text_alone(request):
            return NOTHING
        return anthropic_wire.lacks(request) | dialect.unsayable(request, dialect.ANTHROPIC)

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """As the vendor counts them (docs.anthropic.com/en/api/messages-count-tokens)."""
        blame = Blame(self.name, request.model, own_form=request.form == "anthropic")
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=False)
        body = await aside(request.size, partial(anthropic_wire.counting, request))
        try:
            with limits:
                response = await self._http.post(
                    COUNT_PATH, body, _headers(request, body), connect=request.timeouts.connect, size=request.size
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
        body = await aside(request.size, partial(anthropic_wire.body, request, stream=False))
        try:
            with limits:
                response = await self._http.post(
                    PATH, body, _headers(request, body), connect=request.timeouts.connect, size=request.size
                )
            read = partial(reading.whole, response.content, response.headers.get(REQUEST_ID))
            return await aside(len(response.content), read, large=LARGE)
        except FAILURES as error:
            failure = _translate(error, blame)
            if reading.usage().total:
                failure.usage = reading.usage()  # an answer that cannot be used is billed as it says
            raise failure from None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Send and yield deltas as they arrive, then `Done`."""
        blame = Blame(self.name, request.model, own_form=request.form == "anthropic")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=True)
        body = await aside(request.size, partial(anthropic_wire.body, request, stream=True))
        answered = begun = False
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(limits.close)
            try:
                with limits:
                    events = await self._http.open(
                        PATH, body, _headers(request, body), connect=request.timeouts.connect, size=request.size
                    )
                answered = True
                stack.callback(events.close)
                events.known = reading.text_of
                found_documents = await stack.enter_async_context(contextlib.aclosing(documents(events, reading.document)))
                until: float | None = None  # set once the stop reason has come
                while not reading.complete:
                    try:
                        with limits:
                            event = await in_time(found_documents, until)
                    except FOREIGN:
                        if not reading.stopped:
                            raise
                        break  # all of the answer has come: what broke is only the wait for its last event
                    if event is None:
                        break
                    deltas = reading.deltas(event)
                    if not begun and request.on_input and reading.usage().total:
                        begun = True
                        request.on_input(reading.usage())
                    for delta in deltas:
                        yield delta
                        limits.token()
                    if reading.stopped and until is None:
                        until = asyncio.get_running_loop().time() + LAST_WORDS
                for delta in reading.close():
                    yield delta
                yield Done(reading.reply(events.headers.get(REQUEST_ID)))
                await _drain(events)
            except FAILURES as error:
                failure = _translate(error, blame)
                failure.usage = reading.usage() if answered else None  # after a 200 the input is billed, whatever follows
                raise failure from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def _drain(events: Events) -> None:
    """Read to the body's end, so that the connection can be reused. Errors here cannot fail the whole reply."""
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            await events.rest()


def _headers(request: ModelRequest, body: Mapping[str, Any]) -> dict[str, str]:
    """The headers to send: the given ones, the betas that the caller may use, and that of a field which we add."""
    betas = request.betas
    if "block_binding" in (body.get("thinking") or ()) and BINDING_BETA not in betas:
        betas = (*betas, BINDING_BETA)
    return {**request.headers, **({BETA: ",".join(betas)} if betas else {})}


def _translate(error: Exception, blame: Blame) -> ProviderError:
    """Raise every failure of an attempt as our own error."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, StatusError):
        reported = error.body.get("error") if isinstance(error.body, dict) else None
        reported = reported if isinstance(reported, dict) else {}
        details, type_ = reported.get("details"), reported.get("type")
        type_ = type_ if isinstance(type_, str) else None
        words = machine_words(type_, details.get("error_code") if isinstance(details, dict) else None)
        where = "Error event in the stream" if error.status in OK else f"HTTP {error.status}"
        message, answer_id = f"{where} {words}".strip(), error.headers.get(REQUEST_ID)
        if known := kind_of_body(error.body):
            return with_retry_after(blame.error(known, message, request_id=answer_id), error.headers, error.body)
        if refused := refusal(error.status, error.body):
            return blame.refused(refused, message, request_id=answer_id)
        if error.status in OK:
            kind = ERROR_EVENTS.get(type_) or kind_of_report(error_within(error.body))
        else:
            kind = kind_of_status(error.status, error.body)
        return with_retry_after(blame.error(kind, message, request_id=answer_id), error.headers, error.body)
    return from_transport(error, blame)
