"""Gauges that nobody counts as it happens: every few seconds somebody goes and looks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

EVERY = 15.0
PATIENCE = 10.0

log = logging.getLogger(__name__)

Look = Callable[[], Awaitable[None]]


class GaugeSampler:
    """Looks at each of ``looks`` every so often. What cannot be looked at keeps its last figure, and is counted."""

    def __init__(self, looks: Mapping[str, Look], *, on_failure: Callable[[str], None], every: float = EVERY) -> None:
        """``on_failure`` is told the name of a look that failed; ``every`` in seconds."""
        self._looks = looks
        self._on_failure = on_failure
        self._every = every
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_forever())

    async def aclose(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=5)

    async def look(self) -> None:
        """Look at everything once."""
        for name, look in self._looks.items():
            try:
                async with asyncio.timeout(PATIENCE):
                    await look()
            except Exception as error:  # noqa: BLE001 - any store may be away in its own way; counted, and alerted on
                self._on_failure(name)
                log.warning("figure not looked up, the last one stands", extra={"look": name, "error_type": type(error).__name__})

    async def _look_forever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every)
