"""Waiting for what others wait for too, at a third of the cost of asyncio's own ways; and work that others must not wait for."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
LARGE = 64 * 1024  # characters: the slowest check of so much takes some 15 ms
TURN_SECONDS = 0.005
GONE_SECONDS = 1.0
_ASIDE = ThreadPoolExecutor(2, "aside")  # few: they share one interpreter, and hold up no one who waits for a name or a file


async def one_of(waited: Sequence[asyncio.Future[Any]], seconds: float | None = None) -> None:
    """Wait until one is done, ``seconds`` at most; None: as long as it takes. As `asyncio.wait`, it ends none of them.

    A caller that is cancelled leaves them as they are, so of one alone it is `asyncio.shield` without its result.
    Where one is done already, others get no turn: on a busy loop 200 answers that were there took as many turns to be read.
    """
    if any(one.done() for one in waited):
        return
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiting.done():
            waiting.set_result(None)

    timer = None if seconds is None else loop.call_later(seconds, wake)
    for one in waited:
        one.add_done_callback(wake)
    try:
        await waiting
    finally:
        if timer:
            timer.cancel()
        for one in waited:
            one.remove_done_callback(wake)


async def aside(size: int, work: Callable[[], T], *, large: int = LARGE) -> T:
    """Do work on a text: on a large one in a thread, where it holds up other calls for the interpreter's 5 ms at a time.

    A single call into C, such as the reading of JSON, still holds them up until its end. The work of a caller that is cancelled
    goes on; it is waited for, so that what it notes is not noted behind its caller's back.
    """
    if size <= large:
        return work()
    running = asyncio.get_running_loop().run_in_executor(_ASIDE, contextvars.copy_context().run, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running], timeout=GONE_SECONDS)
        raise


class Turn:
    """What a task does without a wait, so that it can let others go on.

    asyncio goes on with a task for as long as what it awaits is there already: with a stream whose server is faster than we are.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        """It begins."""
        self._since = time.perf_counter()

    def begin(self) -> None:
        """The task has waited: a new turn begins."""
        self._since = time.perf_counter()

    def over(self) -> bool:
        """Whether it has lasted long enough."""
        return time.perf_counter() - self._since > TURN_SECONDS

    async def end(self) -> None:
        """Let all others that can go on have their turn."""
        await asyncio.sleep(0)
        self._since = time.perf_counter()
