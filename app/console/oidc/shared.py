"""An answer of the provider that all sign-ins share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from app.domain.errors import DependencyUnavailable

FAILED_FOR = 1.0  # seconds that a failure counts, so that a provider which is away is not called for every click

T = TypeVar("T")


class Shared(Generic[T]):
    """Reads one thing, once at a time for all that wait: any page of the web can make us want it."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        """``read`` limits its own time, and raises DependencyUnavailable."""
        self._read = read
        self._found: tuple[T, float] | None = None
        self._failed: tuple[DependencyUnavailable, float] | None = None
        self._reading: asyncio.Task[T | DependencyUnavailable] | None = None

    async def get(self, at_most: float) -> T:
        """The answer of the last ``at_most`` seconds, else a new one. Raises DependencyUnavailable."""
        if self._found and time.monotonic() < self._found[1] + at_most:
            return self._found[0]
        if self._reading is None or self._reading.done():
            if self._failed and time.monotonic() < self._failed[1] + FAILED_FOR:
                raise _again(self._failed[0])
            self._reading = asyncio.create_task(self._read_once(), name="an answer of the provider of sign-ins")
        found = await asyncio.shield(self._reading)  # who leaves does not end it for the others
        if isinstance(found, DependencyUnavailable):
            raise _again(found)
        return found

    async def _read_once(self) -> T | DependencyUnavailable:
        try:
            found = await self._read()
        except DependencyUnavailable as error:
            self._failed = error, time.monotonic()
            return error
        self._found, self._failed = (found, time.monotonic()), None
        return found


def _again(error: DependencyUnavailable) -> DependencyUnavailable:
    """The same, made anew: one that many raise would gather their tracebacks."""
    return DependencyUnavailable(error.message, retry_after=error.retry_after)
