"""A stream after its first chunk: chunks pass through, its attempt is counted, and a break is handled (R6).

Breaking in the middle is an error in the stream, never a clean end. Where the route says ``continue_streams`` and only text has
been seen, another model goes on after what was said; the caller sees one stream, the record says `continued` (ADR 0014).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace

from app.domain.calls import Chunk, Done, Reply, TextDelta, ThinkingDelta, ToolUseDelta, Usage
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
from app.gateway.attempt_in_progress import AttemptInProgress
from app.gateway.call_state import CallState
from app.gateway.metering import LONGEST_TOKEN
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.final_error import final_error
from app.gateway.recovery.output import OutputCheck, violations

CONTINUED = "continued"
LEAST_STREAMED = 2**20  # a server may count its reasoning beside the limit of the output
MOST_STREAMED = 16 * 2**20  # bytes of text, reasoning and arguments: twenty times the longest answer of any model


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
    index, only_text = 0, True
    try:
        async with aclosing(_kept(opened, state, circuits)) as chunks:
            async for chunk in chunks:
                if type(chunk) is TextDelta:
                    index = chunk.index
                elif type(chunk) is not Done:
                    only_text = False
                yield chunk
    except ProviderOutputInvalid as error:
        raise final_error([error]) from error
    except ProviderError as error:
        before = state.spending.attempts[-1].usage  # the broken one's: it has just ended
        delivered = _Delivered("".join(opened.attempt.pieces), index)
        continued = await _continuation(error, delivered if only_text else None, state, go_on)
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


async def _kept(opened: Opened, state: CallState, circuits: Circuits) -> AsyncGenerator[Chunk, None]:
    """One attempt's chunks, counted as they come. Raises ProviderError where they break or the whole is not valid."""
    async with opened.stack:
        try:
            yield _counted(opened, opened.first)
            async for arrived in opened.chunks:
                chunk = _counted(opened, arrived)
                if isinstance(chunk, Done):
                    circuits.succeeded(opened.target)
                    _check(chunk.reply, state, opened.target)
                yield chunk
        except ProviderOutputInvalid:
            raise
        except ProviderTimeout as error:
            if error.phase == "total" and state.remaining() <= 0:  # it answered all the time, longer than this call may take
                circuits.abandoned(opened.target)
            else:
                circuits.failed(opened.target, error.code, silent=True)
            raise
        except ProviderError as error:
            circuits.failed(opened.target, error.code)
            raise
        except BaseException:
            circuits.abandoned(opened.target)
            raise


async def _continued(
    opened: Opened, delivered: _Delivered, before: Usage, state: CallState, circuits: Circuits
) -> AsyncGenerator[Chunk, None]:
    """Pass the second model's text on as the first's; the final reply and usage are of both."""
    try:
        async with aclosing(_kept(opened, state, circuits)) as chunks:
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


def _check(reply: Reply, state: CallState, target: Target) -> None:
    """Check a stream's output: it is delivered already, so if invalid the stream ends in an error."""
    found = violations(reply, state.request.output, state.request.tools)
    if found:
        state.metrics.repairs.inc(step="gave_up")
        raise OutputCheck(reply, found).error(target)


def _counted(opened: Opened, chunk: Chunk) -> Chunk:
    """Count a chunk, and return it as the caller may see it. Raises ProviderGarbled where the stream seems to have no end."""
    attempt = opened.attempt
    match chunk:
        case TextDelta(text=text) | ThinkingDelta(text=text) | ToolUseDelta(arguments=text):
            allowed = min(MOST_STREAMED, max(LEAST_STREAMED, LONGEST_TOKEN * attempt.most.output))
            if attempt.received + len(text) > allowed:
                message = "The text of the stream is too large for an answer."
                raise ProviderGarbled(message, provider=opened.target.provider, model=opened.target.model)
            attempt.chunk(text)
        case Done(reply=reply):
            return Done(attempt.end(reply))
        case _:
            attempt.chunk("")
    return chunk
