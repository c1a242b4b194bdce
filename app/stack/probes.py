"""Watches every worker of a service at once: one connection to each, kept open, so that the last worker is seen to follow.

A worker names itself in `/version` (outside production). A connection that has come to another worker is opened anew.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from app.domain.errors import DependencyUnavailable

TIMEOUT = aiohttp.ClientTimeout(10)
TRIES_PER_WORKER = 60  # connections until one has come to each
PAUSE = 0.05
STOPPED = 503


@dataclass(frozen=True, slots=True)
class Probe:
    """One connection, to one worker."""

    worker: str
    session: aiohttp.ClientSession


class Probes:
    """See the module. Use it as a context manager."""

    def __init__(self, url: str, key: str, model: str) -> None:
        """``key`` and ``model``: of the calls that show whether a worker answers."""
        self.url, self._model, self._key = url, model, key
        self._headers = {"authorization": f"Bearer {key}"}
        self._stack = AsyncExitStack()
        self._probes: dict[str, Probe] = {}

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every connection."""
        await self._stack.aclose()

    def at(self, url: str) -> "Probes":
        """The same calls to another address; nothing is open there."""
        return Probes(url, self._key, self._model)

    async def connect(self, workers: Iterable[str]) -> None:
        """Open a connection to each of these workers. Raises DependencyUnavailable for one that is not reached."""
        wanted = set(workers)
        for _ in range(TRIES_PER_WORKER * len(wanted)):
            if wanted <= set(self._probes):
                return
            session = await self._session()
            worker = (await self._version(session)).get("worker", "")
            if worker in wanted and worker not in self._probes:
                self._probes[worker] = Probe(worker, session)
        missing = ", ".join(sorted(wanted - set(self._probes)))
        raise DependencyUnavailable(f"No connection reached {missing}.", retry_after=1.0)

    async def serving(self, release_is: Callable[[str], bool]) -> bool:
        """Whether every worker serves such a release."""
        return await self._all(lambda probe: self._serves(probe, release_is))

    async def answering(self, status: int) -> bool:
        """Whether every worker answers a call with this status."""
        return await self._all(lambda probe: self._answers(probe, status))

    async def until(self, check: Callable[[], Awaitable[bool]], seconds: float) -> float | None:
        """Poll a check. Returns the moment (`time.monotonic`) when it held; None if it did not within ``seconds``."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if await check():
                return time.monotonic()
            await asyncio.sleep(PAUSE)
        return None

    async def call(self, session: aiohttp.ClientSession) -> int:
        """Make one call. Returns its status; 0: no answer."""
        body = {"model": self._model, "messages": [{"role": "user", "content": "Say hello."}], "user": "rehearsal"}
        try:
            async with session.post(f"{self.url}/v1/chat/completions", json=body, headers=self._headers) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _all(self, check: Callable[[Probe], Awaitable[bool]]) -> bool:
        return all(await asyncio.gather(*(check(probe) for probe in self._probes.values())))

    async def _serves(self, probe: Probe, release_is: Callable[[str], bool]) -> bool:
        version = await self._version(probe.session)
        if version.get("worker") != probe.worker:
            await self._reopen(probe)
            return False
        return release_is(version.get("release", ""))

    async def _answers(self, probe: Probe, status: int) -> bool:
        found = await self.call(probe.session)
        return await self._serves(probe, lambda _: found == status)

    async def _reopen(self, probe: Probe) -> None:
        del self._probes[probe.worker]
        await self.connect({*self._probes, probe.worker})

    async def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=600)
        return await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=TIMEOUT))

    async def _version(self, session: aiohttp.ClientSession) -> dict[str, str]:
        try:
            async with session.get(f"{self.url}/version") as answer:
                found: dict[str, str] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}
