"""How late a worker is: the time between the moment at which work is due and the moment at which its event loop begins it.

Everything in a worker waits for its one loop. A long synchronous step, the garbage collector or a lack of CPU delays every call
of the worker alike, and shows here first.
"""

import asyncio
import time
from collections.abc import Callable

EVERY = 0.1  # seconds: a hundred thousand requests are seen by it as often as one


class LoopLag:
    """Looks at the clock every so often; ``observe`` gets the seconds that each look was late."""

    def __init__(self, observe: Callable[[float], None], *, every: float = EVERY) -> None:
        """Looks at nothing yet."""
        self._observe = observe
        self._every = every
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._arm()

    async def aclose(self) -> None:
        """Stop."""
        if self._timer:
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = time.monotonic() + self._every
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def _look(self) -> None:
        self._observe(max(0.0, time.monotonic() - self._due))
        self._arm()
