"""Turns of the event loop during long work.

Everything in a process waits for its one loop, so background work that takes longer than a turn lets others go first.
"""

import asyncio
import time

TURN = 0.002  # seconds


class Turns:
    """Work in many steps: call `give` between them. The first turn begins at once."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        """Begin a turn."""
        self._ends = time.perf_counter() + TURN

    async def give(self) -> None:
        """Let others go first, if this turn is over.

        Not after each step: in a busy process a round of the loop takes longer than many steps, and the work would fall behind.
        """
        if time.perf_counter() > self._ends:
            await asyncio.sleep(0)
            self._ends = time.perf_counter() + TURN
