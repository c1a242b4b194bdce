"""The one order in which things are tried: retries at one target, inside fallback over targets, under one deadline.

::

    for each target of the route that no operator has stopped
        for each attempt, while the error is Retryable and the deadline leaves room
            send; spend what it used; check the output against its schema
            where it is not valid: ask the same model once more, telling it what is wrong
    else: one error that says what the caller can do

A stream falls back until its first chunk. After that there is nothing to fall back to: the caller has seen output.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from app.domain.calls import Chunk, Done, Reply, TextDelta, ThinkingDelta, ToolUseDelta
from app.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    OctantError,
    OutputInvalid,
    ProviderError,
    ProviderGarbled,
    ProviderOutputInvalid,
    ProviderRateLimited,
    ProviderRejected,
    ProvidersRateLimited,
    ProvidersUnavailable,
    Retryable,
    Stopped,
)
from app.domain.messages import Message
from app.domain.routes import Target
from app.gateway.passage import AttemptInProgress, Passage
from app.gateway.providers.base import Provider
from app.gateway.recovery import repair
from app.gateway.recovery.output import violations

T = TypeVar("T")

BACKOFF_FIRST, BACKOFF_MOST = 0.2, 5.0
LONGEST_RETRY_AFTER = 2.0
RETRY_LATER = 5.0
REPAIRED = "repaired"  # in octant-degraded: the answer took a second asking


class Recovery:
    """AXIS 3. Holds no state of a call; `Passage` does."""

    def __init__(self, providers: Mapping[str, Provider], *, stopped: Callable[[str], bool]) -> None:
        """``stopped`` says whether an operator has stopped a provider, from memory."""
        self._providers = providers
        self._stopped = stopped

    async def complete(self, passage: Passage) -> Reply:
        """Return the first valid reply. Raises Wait, InvalidRequest, OutputInvalid or BudgetExceeded."""

        async def once(target: Target) -> Reply:
            try:
                return await self._ask(passage, target, ())
            except ProviderOutputInvalid as error:
                if error.reply is None:
                    raise
                reply = await self._ask(passage, target, repair.turns(error.reply, error.violations))
                passage.degraded.append(REPAIRED)
                return reply

        return await self._first_success(passage, once)

    async def _ask(self, passage: Passage, target: Target, further: tuple[Message, ...]) -> Reply:
        async with passage.attempt(target, further) as attempt:
            attempt.reply = await self._providers[target.provider].complete(passage.request_for(target, further))
            return _checked(attempt.reply, passage, target)

    async def open(self, passage: Passage) -> AsyncGenerator[Chunk, None]:
        """Return a stream whose first chunk has arrived. Raises as `complete`; later failures come from the stream."""

        async def once(target: Target) -> AsyncGenerator[Chunk, None]:
            async with AsyncExitStack() as stack:
                attempt = await stack.enter_async_context(passage.attempt(target))
                chunks = self._providers[target.provider].stream(passage.request_for(target))
                await stack.enter_async_context(aclosing(chunks))
                try:
                    first = await anext(chunks)
                except StopAsyncIteration:
                    raise ProviderGarbled("An empty stream.", provider=target.provider, model=target.model) from None
                return _relay(stack.pop_all(), attempt, first, chunks, passage, target)

        return await self._first_success(passage, once)

    async def _first_success(self, passage: Passage, once: Callable[[Target], Awaitable[T]]) -> T:
        failures: list[ProviderError] = []
        try:
            async with asyncio.timeout(passage.call.deadline.remaining()):
                for target in passage.pin.route.targets:
                    if self._stopped(target.provider):
                        continue
                    try:
                        return await _retrying(passage)(once, target)
                    except ProviderRejected as error:
                        raise InvalidRequest("The model provider refused the request as invalid.") from error
                    except ProviderError as error:
                        failures.append(error)
        except TimeoutError as error:
            raise DeadlineExceeded(f"No answer within {passage.call.deadline.total:g} seconds.", retry_after=1.0) from error
        raise verdict(failures)


def verdict(failures: Sequence[ProviderError]) -> OctantError:
    """Sum up why no target answered, as what the caller can do about it."""
    if not failures:
        return Stopped("Every provider of this model is stopped by an operator.")
    for failure in failures:
        if isinstance(failure, ProviderOutputInvalid):
            return OutputInvalid("No model gave output that satisfies the schema.", violations=failure.violations)
    hints = [f.retry_after for f in failures if isinstance(f, ProviderRateLimited) and f.retry_after is not None]
    if all(isinstance(f, ProviderRateLimited) for f in failures):
        return ProvidersRateLimited("Every model provider is limiting our rate.", retry_after=min(hints, default=RETRY_LATER))
    return ProvidersUnavailable("No model provider could answer.", retry_after=RETRY_LATER)


def _retrying(passage: Passage) -> AsyncRetrying:
    """Back off with full jitter, as long as attempts and deadline allow (Brooker, "Exponential Backoff And Jitter", AWS 2015)."""

    async def pause(seconds: float) -> None:
        passage.waited_ms += seconds * 1000
        await asyncio.sleep(seconds)

    def exhausted(state: RetryCallState) -> bool:
        if state.attempt_number >= passage.pin.route.attempts_per_target:
            return True
        return passage.call.deadline.remaining() <= state.upcoming_sleep

    return AsyncRetrying(retry=retry_if_exception(_worth_retrying), wait=_wait, stop=exhausted, sleep=pause, reraise=True)


def _worth_retrying(error: BaseException) -> bool:
    """A type decides; a provider that asks for a longer wait than we grant is left for the next one instead."""
    return isinstance(error, Retryable) and (_retry_after(error) or 0.0) <= LONGEST_RETRY_AFTER


def _wait(state: RetryCallState) -> float:
    """What the provider asked for, if it did, else jittered back-off. Seconds."""
    asked = _retry_after(state.outcome.exception() if state.outcome else None)
    return _backoff(state) if asked is None else asked


def _retry_after(error: BaseException | None) -> float | None:
    hint: float | None = getattr(error, "retry_after", None)
    return hint


_backoff = wait_random_exponential(multiplier=BACKOFF_FIRST, max=BACKOFF_MOST)


def _checked(reply: Reply, passage: Passage, target: Target) -> Reply:
    """Pass on a reply that satisfies the call's schema. Raises ProviderOutputInvalid: never a guess passed on as valid (R4)."""
    found = violations(reply, passage.request.output)
    if found:
        error = ProviderOutputInvalid("Output is not valid under the schema.", provider=target.provider, model=target.model)
        error.violations, error.reply = found, reply
        raise error
    return reply


async def _relay(
    stack: AsyncExitStack,
    attempt: AttemptInProgress,
    first: Chunk,
    chunks: AsyncGenerator[Chunk, None],
    passage: Passage,
    target: Target,
) -> AsyncGenerator[Chunk, None]:
    """Pass the chunks on and keep the attempt's books. Raises ProvidersUnavailable or OutputInvalid where it breaks."""
    try:
        async with stack:
            _note(attempt, first)
            yield first
            async for chunk in chunks:
                _note(attempt, chunk)
                if isinstance(chunk, Done):
                    _checked(chunk.reply, passage, target)
                yield chunk
    except ProviderError as error:
        if isinstance(error, ProviderOutputInvalid):
            raise verdict([error]) from error
        raise ProvidersUnavailable("The model provider broke off in the middle of its answer.", retry_after=1.0) from error


def _note(attempt: AttemptInProgress, chunk: Chunk) -> None:
    match chunk:
        case Done(reply=reply):
            attempt.reply = reply
        case TextDelta(text=text) | ThinkingDelta(text=text) | ToolUseDelta(arguments=text):
            attempt.chunk(len(text.encode()))
        case _:
            attempt.chunk(0)
