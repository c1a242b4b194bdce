"""Gauges that are sampled every few seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from app.domain.periodic import Periodic
from app.domain.store_errors import why

EVERY = 15.0
SAMPLE_SECONDS = 10.0

log = logging.getLogger(__name__)

Sample = Callable[[], Awaitable[None]]


class GaugeSampler:
    """Takes each of ``samples`` every so often. A gauge that cannot be sampled keeps its last value, and is counted."""

    def __init__(self, samples: Mapping[str, Sample], *, on_failure: Callable[[str], None], every: float = EVERY) -> None:
        """``on_failure`` gets the name of a gauge that could not be sampled; ``every`` in seconds."""
        self._samples = samples
        self._on_failure = on_failure
        self._sampling = Periodic("gauges", self.sample, every=every)

    async def start(self) -> None:
        """Begin to sample."""
        self._sampling.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._sampling.stop()

    async def sample(self) -> None:
        """Sample every gauge once."""
        for name, sample in self._samples.items():
            try:
                async with asyncio.timeout(SAMPLE_SECONDS):
                    await sample()
            except Exception as error:  # noqa: BLE001 - any store may be away in its own way; counted, and alerted on
                self._on_failure(name)
                log.warning("gauge not sampled, the last value stays", extra={"gauge": name, **why(error)})
