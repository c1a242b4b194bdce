"""A stream after its first chunk: chunks pass through, its attempt is counted, and a break is handled (R6).

Breaking in the middle is an error in the stream, never a clean end. Where the route says ``continue_streams`` and only text has
been seen, another model goes on after what was said; the caller sees one stream, the record says `continued` (ADR 0014).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from functools import partial

from app.domain.calls import Chunk, Done, TextDelta, ThinkingDelta, ToolUseDelta, Usage
from app.domain.errors import (
    DeadlineExceeded,
    FixRequest,
    Ours,
    ProviderError,
    ProviderGarbled,
    ProviderOutputInvalid,
    ProvidersUnavailable,
    ProviderTimeout,
    Wait,
)
from app.domain.messages import Part, Text
from app.domain.routes import Target
from app.domain.waiting import aside
from app.gateway.attempt_in_progress import AttemptInProgress
from app.gateway.call_state import CallState
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.final_error import final_error
from app.gateway.recovery.output import OutputCheck, violations

CONTINUED = "continued"


@dataclass(slots=True)
class Opened:
    """One attempt at a stream whose first chunk has arrived. ``stack`` ends the attempt and closes its connection."""

    target: Target
    attempt: AttemptInProgress
    first: Chunk
    chunks: AsyncGenerator[Chunk, None]
    stack: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A text that was delivered. ``index``: the part that text goes to."""

    text: str
    index: int


async def relay(
    opened: Opened, state: CallState, circuits: Circuits, go_on: Callable[[str], Awaitable[Opened]]
) -> AsyncGenerator[Chunk, None]:
    """Pass the chunks on. ``go_on`` opens a stream that continues a text. Raises ProvidersUnavailable or OutputInvalid."""
    passing = _Passing(opened, state, circuits)
    try:
        async with opened.stack:  # as `_passed`, without a generator more between: a stream has a hundred chunks
            with passing:
                yield passing.take(opened.first) if type(opened.first) is not Done else await passing.end(opened.first)
                async for chunk in opened.chunks:
                    yield passing.take(chunk) if type(chunk) is not Done else await passing.end(chunk)
    except ProviderOutputInvalid as error:
        raise final_error([error]) from error
    except ProviderError as error:
        before = state.spending.attempts[-1].usage  # the broken one's: it has just ended
        delivered = _Delivered("".join(opened.attempt.pieces), passing.index)
        continued = await _continuation(error, delivered if passing.only_text else None, state, go_on)
    else:
        return
    async with aclosing(_continued(continued, delivered, before, state, circuits)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _continuation(
    error: ProviderError, delivered: _Delivered | None, state: CallState, go_on: Callable[[str], Awaitable[Opened]]
) -> Opened:
    """Open the stream that goes on, where the route allows it. Raises ProvidersUnavailable or DeadlineExceeded.

    ``delivered``: the text so far; None where more than text was delivered, which no other model can go on with.
    """
    if state.remaining() <= 0:
        message = f"The answer was not complete within {state.longest.total:g} seconds."
        raise DeadlineExceeded(message, retry_after=1.0) from error
    broken = ProvidersUnavailable("The model provider broke off in the middle of its answer.", retry_after=1.0)
    if not (state.pin.route.continue_streams and delivered and state.request.output is None):
        raise broken from error
    try:
        continued = await go_on(delivered.text)
    except (Wait, FixRequest, Ours) as none_left:
        raise broken from none_left
    state.degraded.append(CONTINUED)
    return continued


class _Passing:
    """One attempt's chunks as they pass; ``with`` it judges the target by how they end. ``index``: the part of the last text."""

    def __init__(self, opened: Opened, state: CallState, circuits: Circuits) -> None:
        self._opened, self._attempt, self._state, self._circuits = opened, opened.attempt, state, circuits
        self.index, self.only_text = 0, True

    def __enter__(self) -> None:
        """Nothing begins: the attempt is under way."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        circuits, target = self._circuits, self._opened.target
        match error:
            case None | ProviderOutputInvalid():
                pass
            case ProviderTimeout(phase="total") if self._state.remaining() <= 0:
                circuits.abandoned(target)  # it answered all the time, longer than this call may take
            case ProviderError():
                circuits.failed(target, error.code, silent=isinstance(error, ProviderTimeout))
            case _:
                circuits.abandoned(target)

    def take(self, chunk: Chunk) -> Chunk:
        """Count a chunk, and return it. Raises ProviderGarbled where the stream seems to have no end."""
        attempt = self._attempt
        match chunk:
            case TextDelta(index=index, text=text):
                self.index = index
                if not attempt.chunk(text):
                    raise self._endless()
            case ThinkingDelta(text=text) | ToolUseDelta(arguments=text):
                self.only_text = False
                if not attempt.chunk(text):
                    raise self._endless()
            case _:
                self.only_text = False
                attempt.chunk("")
        return chunk

    async def end(self, done: Done) -> Done:
        """End the attempt, and return the whole as the caller may see it. Raises ProviderOutputInvalid where it is not valid."""
        reply = self._attempt.end(done.reply)
        self._circuits.succeeded(self._opened.target)
        request = self._state.request
        found = await aside(reply.size, partial(violations, reply, request.output, request.tools))
        if found:  # it is delivered already, so the stream ends in an error
            self._state.metrics.repairs.inc(step="gave_up")
            raise OutputCheck(reply, found).error(self._opened.target)
        return Done(reply)

    def _endless(self) -> ProviderGarbled:
        message = "The stream is too large for an answer."
        return ProviderGarbled(message, provider=self._opened.target.provider, model=self._opened.target.model)


async def _continued(
    opened: Opened, delivered: _Delivered, before: Usage, state: CallState, circuits: Circuits
) -> AsyncGenerator[Chunk, None]:
    """Pass the second model's text on as the first's; the final reply and usage are of both."""
    try:
        async with aclosing(_passed(opened, _Passing(opened, state, circuits))) as chunks:
            async for chunk in chunks:
                match chunk:
                    case TextDelta(text=text):
                        yield TextDelta(delivered.index, text)
                    case Done(reply=reply):
                        parts: tuple[Part, ...] = (Text(delivered.text + reply.text), *reply.tool_uses)
                        yield Done(replace(reply, parts=parts, usage=before + reply.usage))
                    case ThinkingDelta():
                        pass  # the second model's, about continuing: nothing the caller could use
                    case _:
                        yield chunk
    except ProviderError as error:
        raise ProvidersUnavailable("Two model providers broke off in the middle of the answer.", retry_after=1.0) from error


async def _passed(opened: Opened, passing: _Passing) -> AsyncGenerator[Chunk, None]:
    """One attempt's chunks. Raises ProviderError where they break or the whole is not valid."""
    async with opened.stack:
        with passing:
            yield passing.take(opened.first) if type(opened.first) is not Done else await passing.end(opened.first)
            async for chunk in opened.chunks:
                yield passing.take(chunk) if type(chunk) is not Done else await passing.end(chunk)
