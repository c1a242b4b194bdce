"""OpenAI, and every server that speaks its chat completions (vLLM, Ollama, llama.cpp, Groq …)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from functools import partial

from app.domain.calls import Chunk, Done, Reply
from app.domain.errors import ProviderError
from app.domain.waiting import aside
from app.gateway.providers import dialect, openai_embeddings, openai_wire
from app.gateway.providers.base import NOTHING, ModelRequest, says_text_alone
from app.gateway.providers.errors import (
    FOREIGN,
    Blame,
    ReportedError,
    from_transport,
    kind_of_body,
    kind_of_report,
    kind_of_status,
    machine_words,
    with_retry_after,
)
from app.gateway.providers.http import LARGE, NO_HEADERS, Http, StatusError, Whole
from app.gateway.providers.openai_events import documents
from app.gateway.providers.openai_reading import Reading
from app.gateway.providers.refusals import refusal
from app.gateway.providers.timeouts import AttemptTimeouts, in_time

PATH, EMBEDDINGS_PATH = "/chat/completions", "/embeddings"
REQUEST_ID = "x-request-id"
REFUSALS = (400, 422)
LAST_WORDS = 2.0  # seconds for the usage and [DONE] after the finish reason: some servers send neither, and hold the connection

FAILURES: tuple[type[Exception], ...] = (StatusError, *FOREIGN)


class OpenAIProvider:
    """See `base.Provider`. Nothing connects before the first call."""

    def __init__(
        self, name: str, *, base_url: str, api_key: str, headers: Mapping[str, str] = NO_HEADERS, legacy_max_tokens: bool = False
    ) -> None:
        """``headers`` go with every request.

        ``legacy_max_tokens`` for servers that know only ``max_tokens``; OpenAI's newer models refuse that name.
        """
        self.name = name
        self._legacy_max_tokens = legacy_max_tokens
        self._numbers = False  # whether this server has refused vectors as base64
        self._http = Http(base_url, headers)
        self.use_key(api_key)

    def use_key(self, key: str) -> None:
        """Send this key from the next request on."""
        self._http.use_key(key)

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        """See `base.Provider`."""
        if says_text_alone(request):
            return NOTHING
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
        write = partial(openai_wire.body, request, legacy_max_tokens=self._legacy_max_tokens, stream=False)
        body = await aside(request.size, write)
        try:
            with limits:
                response = await self._http.post(PATH, body, request.headers, connect=request.timeouts.connect, size=request.size)
            read = partial(reading.whole, response.content, response.headers.get(REQUEST_ID))
            return await aside(len(response.content), read, large=LARGE)
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
            with limits:
                response = await self._vectors(request)
            content, answer_id = response.content, response.headers.get(REQUEST_ID)
            read = partial(openai_embeddings.read, content, request, self.name, answer_id)
            return await aside(len(content), read, large=openai_embeddings.LARGE)
        except FAILURES as error:
            failure = _translate(error, blame)
            failure.usage = openai_embeddings.usage(content) if content else None  # a useless answer is billed too
            self._numbers = self._numbers or openai_embeddings.holds_none(content)  # the next attempt asks for numbers
            raise failure from None

    async def _vectors(self, request: ModelRequest) -> Whole:
        """Send. A refusal of base64 costs nothing, so it is the same attempt that is sent again, once in a server's life."""
        numbers, connect = self._numbers, request.timeouts.connect
        try:
            return await self._http.post(
                EMBEDDINGS_PATH,
                openai_embeddings.body(request, numbers=numbers),
                request.headers,
                connect=connect,
                most=openai_embeddings.MOST,
                size=request.size,
            )
        except StatusError as error:
            if numbers or error.status not in REFUSALS or not openai_embeddings.refuses_base64(error.body):
                raise
        self._numbers = True
        return await self._http.post(
            EMBEDDINGS_PATH,
            openai_embeddings.body(request, numbers=True),
            request.headers,
            connect=connect,
            most=openai_embeddings.MOST,
            size=request.size,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Send and yield deltas as they arrive, then `Done`."""
        blame = Blame(self.name, request.model, own_form=request.form == "openai")
        reading = Reading(request, self.name)
        limits = AttemptTimeouts(request.timeouts, provider=self.name, model=request.model, streamed=True)
        write = partial(openai_wire.body, request, legacy_max_tokens=self._legacy_max_tokens, stream=True)
        body = await aside(request.size, write)
        answered = False
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(limits.close)
            try:
                with limits:
                    events = await self._http.open(
                        PATH, body, request.headers, connect=request.timeouts.connect, size=request.size
                    )
                answered = True
                stack.callback(events.close)
                events.known = reading.text_of
                found_documents = await stack.enter_async_context(
                    contextlib.aclosing(documents(events, reading.document, reading.done))
                )
                until: float | None = None  # set once the finish reason has come
                while True:
                    try:
                        with limits:
                            event = await in_time(found_documents, until)
                    except FOREIGN:
                        if not reading.complete:
                            raise
                        break  # all of the answer has come: what broke is only the wait for usage and [DONE]
                    if event is None:
                        break
                    found = reading.deltas(event)
                    for delta in found:
                        yield delta
                    if reading.grew or found:
                        limits.token()
                    until = _patience(reading, until) if reading.complete else None
                for delta in reading.close():
                    yield delta
                yield Done(reading.reply(events.headers.get(REQUEST_ID)))
            except FAILURES as error:
                failure = _translate(error, blame)
                failure.usage = reading.usage() if answered else None  # after a 200 the input is billed, whatever follows
                raise failure from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def _patience(reading: Reading, until: float | None) -> float | None:
    """When to wait no longer for what follows the finish reason, which has come; None as long as more of the answer may."""
    return asyncio.get_running_loop().time() + LAST_WORDS if until is None and reading.ended else until


def _translate(error: Exception, blame: Blame) -> ProviderError:
    """Raise every failure of an attempt as our own error."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, StatusError):
        code = error.error.get("code")
        words = machine_words(error.error.get("type"), str(code) if isinstance(code, int) else code, error.error.get("param"))
        message, answer_id = f"HTTP {error.status} {words}".strip(), error.headers.get(REQUEST_ID)
        known = kind_of_body(error.body)
        refused = None if known else refusal(error.status, error.error or error.body)
        if refused:
            return blame.refused(refused, message, request_id=answer_id)
        failure = blame.error(known or kind_of_status(error.status, error.body), message, request_id=answer_id)
        return with_retry_after(failure, error.headers, error.body)
    if isinstance(error, ReportedError):
        words = machine_words(error.type, error.code, error.param)
        message = f"An error in an answer with the status 200 {words}".strip()
        known = kind_of_body(error.body)
        refused = None if known else refusal(200, error.body)
        if refused:
            return blame.refused(refused, message)
        return with_retry_after(blame.error(known or kind_of_report(error.body), message), {}, error.body)
    return from_transport(error, blame)
