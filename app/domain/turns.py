"""Turns of the event loop during long work.

Everything in a process waits for its one loop, so background work that takes longer than a turn lets others go first.
"""

import asyncio
import time

LEAST, MOST = 0.0003, 0.002  # seconds of a turn
SHARE = 0.5  # of the time that the others took: in a busy process longer turns, or the work would fall behind


class Turns:
    """Work in many steps: call `give` between them. The first turn begins at once."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        """Begin a turn."""
        self._ends = time.perf_counter() + LEAST

    async def give(self) -> None:
        """Let others go first, if this turn is over. Where they are quick, turns are short, so that none of them waits long."""
        now = time.perf_counter()
        if now > self._ends:
            await asyncio.sleep(0)
            back = time.perf_counter()
            self._ends = back + min(MOST, max(LEAST, SHARE * (back - now)))
