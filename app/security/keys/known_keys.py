"""Keys that Postgres found good: looked up again behind the caller's back, and believed for a while when it is away.

A call waits for a look-up of its key for `PATIENCE` at most: with Postgres frozen, calls of known keys take that much longer, and
once it is known to be away, no longer than usual. The other workers of a machine read what one knows in its file within seconds.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable
from app.domain.periodic import Periodic, end
from app.security.remembered import Remembered

PATIENCE = 0.25
ASK_AGAIN = 1.0
WRITE_EVERY = 5.0
MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Cached:
    """The result of a look-up at ``at`` (Unix time), negative ones included; fresh until ``until`` on the monotonic clock.

    ``revoked``: the key is right, and an operator has revoked it; ``tenant`` is then whose it was.
    """

    identity: Identity | None
    expires_at: datetime | None
    until: float
    at: float = field(default_factory=time.time)
    revoked: bool = False
    tenant: str = ""


class KnownKeys:
    """Good keys by digest."""

    def __init__(
        self, look_up: Callable[[str, bytes], Awaitable[Cached]], *, stale: float, remembered: Remembered | None = None
    ) -> None:
        """``look_up`` raises DependencyUnavailable. ``stale``: seconds that a key stays good without Postgres."""
        self.kept: dict[bytes, Cached] = {}
        self.denied: dict[bytes, Cached] = {}  # were good: no other worker's file may bring them back
        self._look_up = look_up
        self._stale = stale
        self._remembered = remembered
        self._written: frozenset[str] = frozenset()
        self._others: dict[bytes, Cached] = {}
        self._others_read = -ASK_AGAIN
        self._reading = asyncio.Lock()
        self._look_ups: dict[bytes, tuple[float, asyncio.Task[Cached]]] = {}
        self._quiet_until = 0.0
        self._writing = Periodic("known API keys", self._write, every=WRITE_EVERY, at_once=False)

    def deny(self, digest: bytes, found: Cached) -> None:
        """Note that a key is no longer good: stored too, so that no file brings it back."""
        self.denied[digest] = found
        self._written = frozenset()

    async def start(self) -> None:
        """Take over the known keys of this machine's workers, and begin to store ours."""
        if self._remembered:
            self.kept |= await asyncio.to_thread(_read, self._remembered)
            self._writing.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._writing.stop()
        await end(*(task for _, task in self._look_ups.values()))

    @property
    def some_good(self) -> bool:
        """Return whether one key, the newest, would be believed without Postgres."""
        return bool(self.kept) and self._good(self.kept[next(reversed(self.kept))])

    async def first(self, key_id: str, digest: bytes) -> Cached:
        """Look up a key that is new to this worker. Raises DependencyUnavailable where no worker knows it either."""
        try:
            return await self._look_up(key_id, digest)
        except DependencyUnavailable:
            found, denied = (await self._known_to_others()).get(digest), self.denied.get(digest)
            if found is None or not self._good(found):
                raise
            return denied if denied and denied.at >= found.at else found

    async def _known_to_others(self) -> dict[bytes, Cached]:
        """The file of this machine's workers; read once a second at most, however many keys are guessed."""
        async with self._reading:  # calls that come together wait for one reading
            if self._remembered and time.monotonic() >= self._others_read + ASK_AGAIN:
                self._others = await asyncio.to_thread(_read, self._remembered)
                self._others_read = time.monotonic()
        return self._others

    async def refreshed(self, key_id: str, digest: bytes, cached: Cached) -> Cached:
        """Look up a key with an old look-up again, or return ``cached``. Raises DependencyUnavailable."""
        started, look_up = self._look_ups.get(digest) or (0.0, None)
        if look_up is None:
            if time.monotonic() < self._quiet_until and self._good(cached):
                return cached
            started, look_up = time.monotonic(), asyncio.create_task(self._looked_up(key_id, digest))
            look_up.add_done_callback(lambda task: task.cancelled() or task.exception())  # maybe no call waits any more
            self._look_ups[digest] = started, look_up
        patience = max(0.0, started + PATIENCE - time.monotonic()) if self._good(cached) else None
        await asyncio.wait([look_up], timeout=patience)
        if not look_up.done():
            return cached
        if isinstance(look_up.exception(), DependencyUnavailable) and self._good(cached):
            return cached
        return look_up.result()

    def _good(self, cached: Cached) -> bool:
        return 0 <= time.time() - cached.at <= self._stale

    async def _looked_up(self, key_id: str, digest: bytes) -> Cached:
        try:
            return await self._look_up(key_id, digest)
        except DependencyUnavailable:
            self._quiet_until = time.monotonic() + ASK_AGAIN
            raise
        finally:
            del self._look_ups[digest]

    async def _write(self) -> None:
        good = {digest.hex(): cached for digest, cached in list(self.kept.items())[-MOST_REMEMBERED:]}
        good |= {digest.hex(): cached for digest, cached in self.denied.items()}
        if self._remembered and good and (not good.keys() <= self._written or self._remembered.due):
            self._written = frozenset(good)
            with contextlib.suppress(ValueError):  # another worker's file may be of another release
                await asyncio.to_thread(_write, self._remembered, good)


def _read(remembered: Remembered) -> dict[bytes, Cached]:
    """The good keys of the file; a file of another release is as good as none."""
    try:
        found = msgspec.convert(remembered.read() or {}, dict[str, Cached])
    except msgspec.ValidationError:
        return {}
    return {bytes.fromhex(digest): cached for digest, cached in found.items() if cached.identity}


def _write(remembered: Remembered, good: dict[str, Cached]) -> None:
    """Write our keys beside those of other workers. One worker writes at a time, so that no denial is lost."""
    with remembered.locked():
        others: dict[str, Any] = remembered.read() or {}
        ours = msgspec.to_builtins(good)
        both = {
            d: max((c for c in (others.get(d), ours.get(d)) if c), key=lambda c: float(c["at"]))
            for d in others.keys() | ours.keys()
        }
        newest = sorted(both.items(), key=lambda item: float(item[1]["at"]))[-MOST_REMEMBERED:]
        remembered.write({digest: {**cached, "until": 0.0} for digest, cached in newest})
