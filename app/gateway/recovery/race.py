"""A race of targets for one call: each has a head start, the first success wins (R5a).

::

    A ─── silent for its head start ───────────────► cancelled when B answers (or answers first: then B is)
          B tried as well ─────────► the answer

A failure needs no head start: the next target is tried at once. Every attempt is held for and counted like any other (C6).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from app.domain.errors import OctantError, ProviderError, Stopped
from app.domain.routes import Target
from app.domain.waiting import one_of
from app.gateway.call_state import CallState
from app.gateway.recovery.breaker import Circuits

T = TypeVar("T")

MARGIN = 0.05  # seconds: the attempt's own timeout ends it, named and priced; this is for what outlives it
GONE_SECONDS = 1.0  # a cancelled attempt only closes its connection and counts its money


@dataclass(slots=True)
class Won(Generic[T]):
    """The success and whose it is."""

    target: Target
    result: T


@dataclass(slots=True)
class Race(Generic[T]):
    """An asynchronous context: at its end, running attempts are cancelled and awaited, so that their money is counted.

    ``discard`` closes a success that came too late. ``on_overtaken`` gets each target that was silent when another one won.
    """

    state: CallState
    circuits: Circuits
    discard: Callable[[T], Awaitable[None]]
    on_overtaken: Callable[[Target], None]
    failures: list[ProviderError] = field(default_factory=list)
    started: list[Target] = field(default_factory=list)
    _running: dict[Target, asyncio.Task[T]] = field(default_factory=dict)
    _refusal: OctantError | None = None
    _stopped: Stopped | None = None
    _fatal: Exception | None = None
    _won: Won[T] | None = None

    async def __aenter__(self) -> Self:
        """Begin with nothing running."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel what runs; where the caller leaves meanwhile, the success is discarded too."""
        taken = False
        try:
            await self._end()
            taken = kind is None
        finally:
            if self._won and not taken:
                await self._let_go(self._won.result)

    async def _let_go(self, result: T) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GONE_SECONDS):
                await self.discard(result)

    async def _end(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=GONE_SECONDS)
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception() is None:
                await self._let_go(task.result())

    def start(self, target: Target, attempts: Coroutine[Any, Any, T]) -> None:
        """Let a target run."""
        self.started.append(target)
        self._running[target] = asyncio.create_task(attempts)

    async def until_silent(self, target: Target, head_start: float, latest: float) -> Won[T] | None:
        """Wait for a success while ``target`` is not silent. None: it failed, was silent, or its circuit has opened meanwhile.

        ``head_start``: seconds of silence counted from its running attempt's start (a repair or a retry starts again), but not
        later than ``latest`` seconds from now. Raises as `until_over`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + latest
        with self.circuits.opening(target) as opened:
            while target in self._running and not opened.done():
                left = min(head_start - self.state.silent_for(target), end - loop.time())
                if left <= 0:
                    return None
                if won := await self._step(left, opened):
                    return won
        return None

    async def until_over(self) -> Won[T] | None:
        """Wait for a success. None: all failed. Raises BudgetExceeded, Stopped, or TimeoutError with no time left."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.state.remaining() + MARGIN
        while self._running:
            left = end - loop.time()
            if won := await self._step(max(0.0, left)):  # what is there counts, however late we look
                return won
            if left <= 0 and self._running:
                raise TimeoutError
        if refusal := self._refusal or self._stopped:
            raise refusal
        return None

    async def _step(self, seconds: float, *others: asyncio.Future[None]) -> Won[T] | None:
        """Wait until something ends, ``seconds`` at most, and judge what ended."""
        waited: list[asyncio.Future[Any]] = [*self._running.values(), *others]
        await one_of(waited, seconds)
        won: Won[T] | None = None
        for target, task in [(target, task) for target, task in self._running.items() if task.done()]:
            del self._running[target]
            won = self._won = await self._ended(target, task, won)
        if self._fatal and won is None:
            raise self._fatal
        if self._refusal and not self._running and won is None:
            raise self._refusal
        if won:
            self._overtake(won.target)
        return won

    async def _ended(self, target: Target, task: asyncio.Task[T], won: Won[T] | None) -> Won[T] | None:
        """Judge a target that has ended. Raises as `until_over`."""
        try:
            return await self._succeeded(target, task.result(), won)
        except ProviderError as error:
            self.failures.append(error)
            if self.state.remaining() <= 0:
                self._fatal = self._fatal or TimeoutError()
        except OctantError as error:  # no money for this one: what runs already is paid for
            self._refusal = error
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            self._stopped = Stopped("The provider was stopped by an operator.")  # the attempt alone: `CallState.leave`
        return won

    async def _succeeded(self, target: Target, result: T, before: Won[T] | None) -> Won[T]:
        """The first in the route's order wins where two succeed at the same moment."""
        if before is None:
            return Won(target, result)
        await self._let_go(result)
        return before

    def _overtake(self, winner: Target) -> None:
        """Report targets that started before the winner and are still silent."""
        for target in self._running:
            if self.started.index(target) < self.started.index(winner) and target in self.state.spending.running:
                self.on_overtaken(target)
