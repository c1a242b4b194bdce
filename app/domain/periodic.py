"""Periodic background work, and the one way to stop background tasks.

No stop relies on a single cancellation, because a task can lose it. redis-py 8.1 does: where a cancellation meets a timeout of
the client's own, the client answers it with an error or a result, and the task goes on. So a `Periodic` also ends by a flag that
it reads after each round, and `end` repeats the cancellation until the task has ended, up to a limit.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from app.domain.store_errors import why

STOP_SECONDS = 5.0
BUG_PAUSE = 5.0
FIELDS = "octant_fields"  # the key of a log line's fields in what the loop's exception handler gets
CANCEL_EVERY = 0.5  # long enough for the code that answers a cancellation: a second one interrupts it

log = logging.getLogger(__name__)


class Periodic:
    """Runs ``body`` every so often in a task of its own, from `start` to `stop`."""

    def __init__(
        self,
        name: str,
        body: Callable[[], Awaitable[object]],
        *,
        every: float,
        at_once: bool = True,
        survives: tuple[type[Exception], ...] = (),
        complaint: str = "",
        on_failure: Callable[[], None] = lambda: None,
        jitter: float = 0.0,
        ends_on_bug: bool = False,
    ) -> None:
        """``every``: seconds between the end of one round and the begin of the next, up to the share ``jitter`` longer.

        The first round runs ``at_once``, or after the first pause. A round that raises one of ``survives`` is a failure: it is
        passed to ``on_failure``, logged with ``complaint`` unless that is empty, and the next round tries again. Any other error
        is a bug: a failure too, handed to `report`, and the next round tries again after `BUG_PAUSE`, even if it is woken.
        Otherwise one value that no one expected would end the kill switch or the ledger of every worker until its restart. With
        ``ends_on_bug`` it ends the loop: where the process is to end with it, and another one takes over.
        """
        self._name = name
        self._body = body
        self._every = every
        self._at_once = at_once
        self._survives = survives
        self._complaint = complaint
        self._on_failure = on_failure
        self._jitter = jitter
        self._ends_on_bug = ends_on_bug
        self._next: float | None = None
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.stopping = False

    def start(self) -> asyncio.Task[None]:
        """Begin. Returns the task. Raises RuntimeError where it runs already."""
        if self._task and not self._task.done():
            raise RuntimeError(f"{self._name} runs already")
        self.stopping = False
        self._woken.clear()
        self._task = spawn(self._name, self._run())
        return self._task

    async def stop(self, *, grace: float = 0.0) -> None:
        """Stop for good. A round under way has ``grace`` seconds before it is cancelled.

        A stop before the start, or a second one, does nothing.
        """
        self.stopping = True
        self._woken.set()
        if self._task:
            await asyncio.wait([self._task], timeout=grace)
            await end(self._task)

    def wake(self) -> None:
        """Begin the next round now; after the one under way, if there is one."""
        self._woken.set()

    def retry_in(self, seconds: float) -> None:
        """For ``body``: begin the next round in ``seconds``, this once."""
        self._next = seconds

    async def _run(self) -> None:
        if not self._at_once:
            await self._sleep()
        while not self.stopping:
            self._woken.clear()
            try:
                await self._body()
            except self._survives as error:
                self._on_failure()
                if self._complaint:
                    log.warning(self._complaint, extra={"task": self._name, **why(error)})
            except Exception as error:
                self._on_failure()
                if self._ends_on_bug:
                    raise
                report("background task failed by a bug, will retry", self._name, error)
                await self._until_stopped(max(self._every, BUG_PAUSE))
                continue
            await self._sleep()

    async def _until_stopped(self, seconds: float) -> None:
        """Wait, also where it is woken: each call may wake what fails by a bug."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.stopping:
                    self._woken.clear()
                    await self._woken.wait()

    async def _sleep(self) -> None:
        seconds, self._next = self._next, None
        if seconds is None:
            seconds = self._every * random.uniform(1, 1 + self._jitter)  # noqa: S311 - jitter, not security
        if not self.stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()


def spawn(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run ``work`` in a task with a name. An error that ends it is reported to the loop."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report_end)
    return task


def report(message: str, name: str, error: BaseException | None = None, **fields: object) -> None:
    """Hand a bug of the background task ``name`` to the loop's exception handler, with more ``fields`` for the log.

    No caller gets an error for it. A service logs and counts it there (`app.telemetry.bugs`), beside the bugs that asyncio
    itself reports there; without a handler asyncio logs it.
    """
    context = {"message": message, FIELDS: {"task": name, **fields}} | ({"exception": error} if error else {})
    asyncio.get_running_loop().call_exception_handler(context)


async def end(*tasks: asyncio.Task[Any], within: float = STOP_SECONDS) -> set[asyncio.Task[Any]]:
    """Cancel tasks repeatedly until they end, for at most ``within`` seconds. Returns those still running."""
    clock = asyncio.get_running_loop().time
    ends = clock() + within
    left = {task for task in tasks if not task.done()}
    while left and (seconds := ends - clock()) > 0:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=min(CANCEL_EVERY, seconds))
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # `spawn` has reported it; asyncio would complain that it was not read
    for task in left:
        log.error("background task does not end", extra={"task": task.get_name()})
    return left


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        report("background task ended by an error", task.get_name(), error)
