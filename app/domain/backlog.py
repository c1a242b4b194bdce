"""Work that waits for a task: put there without waiting, taken in batches, and over when its taker says so."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """As `asyncio.Queue` with ``join``, for whole batches: that one makes a dozen calls for each piece of work."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: deque[T] = deque()
        self._under_way = 0
        self._some, self._none = asyncio.Event(), asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        """How many pieces of work wait; those that were taken do not."""
        return len(self._waiting)

    def put(self, work: T) -> None:
        """Add work at the end."""
        if not self._waiting:
            self._some.set()
            self._none.clear()
        self._waiting.append(work)

    async def some(self) -> None:
        """Return once work waits."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()

    def take(self, most: int) -> list[T]:
        """Take the oldest, ``most`` pieces of work at most. They are under way until `done`."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._under_way += len(taken)
        return taken

    def done(self, number: int) -> None:
        """Note that as many pieces of the work under way are over."""
        self._under_way -= number
        if not self._under_way and not self._waiting:
            self._none.set()

    async def join(self) -> None:
        """Return once no work waits or is under way."""
        await self._none.wait()
