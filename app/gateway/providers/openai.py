"""OpenAI, and every server that speaks its chat completions (vLLM, Ollama, llama.cpp, Groq …), by the official SDK.

The SDK's generic ``post`` is used instead of ``chat.completions.create``: it keeps the SDK's authentication, headers,
timeouts and errors, and skips rewriting the request and building its reply models, which we would only take apart again.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from functools import partial

import httpx2
from openai import (
    APIResponseValidationError,
    APIStatusError,
    AsyncOpenAI,
    DefaultAioHttpClient,
    OpenAIError,
)

from app.domain.calls import Chunk, Done, Reply
from app.domain.errors import (
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderRateLimited,
    ProviderRejected,
)
from app.gateway.providers import dialect, openai_embeddings, openai_wire
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import FOREIGN, Blame, from_transport, kind_of_status, machine_words, with_retry_after
from app.gateway.providers.openai_events import Events
from app.gateway.providers.openai_reading import Reading, ReportedError
from app.gateway.providers.refusals import refusal
from app.gateway.providers.timeouts import AttemptTimeouts

PATH, EMBEDDINGS_PATH = "/chat/completions", "/embeddings"
REQUEST_ID = "x-request-id"
LAST_WORDS = 2.0  # seconds for the usage and [DONE] after the finish reason: some servers send neither, and hold the connection

FAILURES: tuple[type[Exception], ...] = (OpenAIError, *FOREIGN)


class OpenAIProvider:
    """See `base.Provider`. Nothing connects before the first call."""

    def __init__(self, name: str, *, base_url: str, api_key: str, legacy_max_tokens: bool = False) -> None:
        """``legacy_max_tokens`` for servers that know only ``max_tokens``; OpenAI's newer models refuse that name."""
        self.name = name
        self._legacy_max_tokens = legacy_max_tokens
        # the SDK logs whole requests at DEBUG, prompts included
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",  # local servers want no key, the SDK insists on one
            max_retries=0,
            http_client=DefaultAioHttpClient(follow_redirects=False),
        )

    def use_key(self, key: str) -> None:
        """Send this key from the next request on."""
        self._client.api_key = key or "none"

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        """See `base.Provider`."""
        return openai_wire.lacks(request) | dialect.unsayable(request, dialect.OPENAI)

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """Chat completions have no count."""
        del request
        return None

    async def complete(self, request: ModelRequest) -> Reply:
        """Send and wait for the whole reply."""
        blame = Blame(self.name, request.model, own_form=request.form == "openai")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=False)
        body = openai_wire.body(request, legacy_max_tokens=self._legacy_max_tokens, stream=False)
        try:
            async with limits.waiting():
                response = await self._client.post(
                    PATH,
                    cast_to=httpx2.Response,
                    body=body,
                    options={"headers": request.headers, "timeout": _transport_timeout(request)},
                )
            return reading.whole(response.content, response.headers.get(REQUEST_ID))
        except FAILURES as error:
            failure = _translate(error, blame)
            if reading.usage().total:
                failure.usage = reading.usage()  # an answer that cannot be used is billed as it says
            raise failure from None

    async def embed(self, request: ModelRequest) -> Reply:
        """Send and wait for all vectors. A large answer is read in a thread, so that other calls go on."""
        blame, content = Blame(self.name, request.model, own_form=request.form == "openai"), b""
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=False)
        try:
            async with limits.waiting():
                response = await self._client.post(
                    EMBEDDINGS_PATH,
                    cast_to=httpx2.Response,
                    body=openai_embeddings.body(request),
                    options={"headers": request.headers, "timeout": _transport_timeout(request)},
                )
            content, answer_id = response.content, response.headers.get(REQUEST_ID)
            read = partial(openai_embeddings.read, content, request, self.name, answer_id)
            return await asyncio.to_thread(read) if len(content) > openai_embeddings.LARGE else read()
        except FAILURES as error:
            failure = _translate(error, blame)
            failure.usage = openai_embeddings.usage(content) if content else None  # a useless answer is billed too
            raise failure from None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Send and yield deltas as they arrive, then `Done`."""
        blame = Blame(self.name, request.model, own_form=request.form == "openai")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=True)
        body = openai_wire.body(request, legacy_max_tokens=self._legacy_max_tokens, stream=True)
        answered = False
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with limits.waiting():
                    events = await self._client.post(
                        PATH,
                        cast_to=object,
                        body=body,
                        options={"headers": request.headers, "timeout": _transport_timeout(request)},
                        stream=True,
                        stream_cls=Events,
                    )
                answered = True
                stack.push_async_callback(events.close)
                until: float | None = None  # set once the finish reason has come
                while True:
                    try:
                        async with asyncio.timeout_at(until), limits.waiting():
                            event = await anext(events, None)
                    except FOREIGN:
                        if not reading.complete:
                            raise
                        break  # all of the answer has come: what broke is only the wait for usage and [DONE]
                    if event is None:
                        break
                    found = reading.deltas(event)
                    if reading.grew:
                        limits.token()
                    for delta in found:
                        limits.token()
                        yield delta
                        limits.resumed()
                    if reading.complete and until is None:
                        until = asyncio.get_running_loop().time() + LAST_WORDS
                yield Done(reading.reply(events.response.headers.get(REQUEST_ID)))
            except FAILURES as error:
                failure = _translate(error, blame)
                failure.usage = reading.usage() if answered else None  # after a 200 the input is billed, whatever follows
                raise failure from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()


def _transport_timeout(request: ModelRequest) -> httpx2.Timeout:
    """Only connecting is left to the transport; `AttemptTimeouts` has the rest. ``pool`` bounds a wait for a free connection."""
    connect = request.timeouts.connect
    return httpx2.Timeout(None, connect=connect, pool=connect)


def _translate(error: Exception, blame: Blame) -> ProviderError:
    """Raise every failure of the SDK, or under it, as our own error."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, APIResponseValidationError):
        return blame.error(ProviderGarbled, "The answer is not a completion.")
    if isinstance(error, APIStatusError):
        if refused := refusal(error.status_code, error.body):
            words = machine_words(error.type, error.code, error.param)
            return blame.refused(refused, f"HTTP {error.status_code} {words}".strip(), request_id=error.request_id)
        kind = ProviderDenied if error.code == "insufficient_quota" else kind_of_status(error.status_code)
        message = f"HTTP {error.status_code} {machine_words(error.type, error.code, error.param)}".strip()
        return with_retry_after(blame.error(kind, message, request_id=error.request_id), error.response.headers)
    if isinstance(error, ReportedError):
        words = machine_words(error.type, error.code, error.param)
        message = f"An error in an answer with the status 200 {words}".strip()
        refused = refusal(200, error.body)
        return blame.refused(refused, message) if refused else blame.error(_kind_of_event(error), message)
    return from_transport(error, blame)


def _kind_of_event(error: ReportedError) -> type[ProviderError]:
    status = error.code if error.code is not None else error.type
    if str(status).isdigit() and 400 <= int(str(status)) < 600:
        return kind_of_status(int(str(status)))
    if error.code == "insufficient_quota":
        return ProviderDenied
    if error.code == "rate_limit_exceeded" or error.type in ("rate_limit_error", "rate_limit_exceeded", "tokens", "requests"):
        return ProviderRateLimited
    return ProviderRejected if error.type == "invalid_request_error" else ProviderFailed
