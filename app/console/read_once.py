"""One reading that all open pages of a worker share."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

EVERY = 5.0  # seconds

T = TypeVar("T")


class ReadOnce(Generic[T]):
    """Reads one thing for all that want it: ten open pages cost the stores as much as one."""

    def __init__(self, reading: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Nothing is read yet. ``reading`` limits its own time."""
        self._reading = reading
        self._task: asyncio.Task[T] | None = None
        self._began = 0.0

    async def read(self) -> T:
        """The thing, at most `EVERY` seconds old and what it takes to read it. Raises what ``reading`` raises."""
        if self._task is None or (self._task.done() and time.monotonic() - self._began > EVERY):
            self._began, self._task = time.monotonic(), asyncio.create_task(self._reading())
        return await asyncio.shield(self._task)  # a page that is left does not end it for the others
