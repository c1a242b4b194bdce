"""What replicas tell each other of their circuits: one Valkey hash, written when a circuit changes, read twice a second.

The lag is at most `POLL` plus one round trip; a worker's own findings hold for it at once. With Valkey away every worker goes
by what it sees itself (each then sends a probe of its own), and tells the others when Valkey is back.
"""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.periodic import Periodic
from app.domain.routes import Target
from app.gateway.recovery.breaker import Circuit, Circuits, State

KEY = "octant:circuits"
POLL = 0.5
CLAIM_SECONDS = 0.25
READ_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """One open circuit as all replicas see it. ``rest`` and ``claimed`` in seconds from now, negative if past."""

    target: Target
    trips: int
    rest: float
    claimed: float
    cause: str
    by: str


class SharedCircuits:
    """See the module. `breaker.Sharing` for the circuits it is started with."""

    def __init__(self, valkey: Redis, *, on_state: Callable[[Target, State], None] = lambda *_: None, poll: float = POLL) -> None:
        """``on_state`` is told where each known circuit stands, once a poll. ``poll`` in seconds."""
        folder = Path(__file__).parent
        self._valkey = valkey
        self._open = valkey.register_script((folder / "open.lua").read_text())
        self._claim = valkey.register_script((folder / "claim.lua").read_text())
        self._on_state = on_state
        self._poll = poll
        self._by = f"{socket.gethostname()}:{os.getpid()}"
        self._untold: dict[Target, Circuit | None] = {}  # None: closed
        self._told: set[Target] = set()
        self._away = False
        self._sharing: Periodic | None = None

    def start(self, circuits: Circuits) -> None:
        """Begin to keep ``circuits`` and the hash in step."""
        circuits.sharing = self
        self._sharing = Periodic("circuits", lambda: self._keep_in_step(circuits), every=self._poll)
        self._sharing.start()

    async def aclose(self) -> None:
        """Stop. What is under way ends first."""
        if self._sharing:
            await self._sharing.stop(grace=2 * READ_SECONDS)

    def opened(self, target: Target, circuit: Circuit) -> None:
        """See `breaker.Sharing`."""
        self._untold[target] = circuit
        self._wake()

    def closed(self, target: Target) -> None:
        """See `breaker.Sharing`."""
        self._untold[target] = None
        self._wake()

    async def claim(self, target: Target, seconds: float) -> bool:
        """See `breaker.Sharing`."""
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                return bool(await self._claim(keys=[KEY], args=[_field(target), str(round(seconds * 1000))]))
        except (RedisError, OSError):
            return True

    def _wake(self) -> None:
        if self._sharing:
            self._sharing.wake()

    async def _keep_in_step(self, circuits: Circuits) -> None:
        try:
            await self._tell()
            await self._listen(circuits)
            self._note(away=False)
        except (RedisError, OSError) as error:
            self._note(away=True, error=error)
        for target in circuits.known:
            self._on_state(target, circuits.state(target))

    async def _tell(self) -> None:
        """Write what changed here. What cannot be written now is written when Valkey is back, if it still holds."""
        while self._untold:
            target, circuit = self._untold.popitem()
            try:
                await self._write(target, circuit)
            except (RedisError, OSError):
                self._untold.setdefault(target, circuit)  # unless it changed again meanwhile
                raise

    async def _write(self, target: Target, circuit: Circuit | None) -> None:
        if circuit is None:
            await self._valkey.hdel(KEY, _field(target))
            self._told.discard(target)
        elif circuit.trips:
            rest_ms = max(0, round((circuit.until - time.monotonic()) * 1000))
            await self._open(keys=[KEY], args=[_field(target), rest_ms, circuit.trips, circuit.cause, self._by])
            self._told.add(target)

    async def _listen(self, circuits: Circuits) -> None:
        """Take over what others wrote; what they closed is closed here."""
        async with asyncio.timeout(READ_SECONDS):
            found = await read(self._valkey)
        now = time.monotonic()
        for shared in found:
            if shared.target not in self._untold:
                self._told.add(shared.target)
                circuits.open_until(shared.target, now + shared.rest, shared.trips, now + shared.claimed)
        for target in self._told - {shared.target for shared in found} - self._untold.keys():
            self._told.discard(target)
            circuits.close(target)

    def _note(self, *, away: bool, error: BaseException | None = None) -> None:
        if away and not self._away:
            log.warning("circuits are not shared: Valkey is away", extra={"error_type": type(error).__name__})
        elif self._away and not away:
            log.warning("circuits are shared again")
        self._away = away


async def read(valkey: Redis) -> list[Shared]:
    """All circuits that are not closed. Raises RedisError or OSError."""
    async with valkey.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(KEY)
        (seconds, micros), entries = await pipeline.execute()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    return [_shared(str(field), json.loads(value), now_ms) for field, value in sorted(entries.items())]


async def forget(valkey: Redis, target: Target) -> bool:
    """Close a circuit on all replicas, whatever was found. Returns whether it was open. Raises RedisError or OSError."""
    return bool(await valkey.hdel(KEY, _field(target)))


def _shared(field: str, told: Mapping[str, Any], now_ms: int) -> Shared:
    provider, _, model = field.partition("/")
    rest, claimed = (told["until"] - now_ms) / 1000, (told["claimed"] - now_ms) / 1000
    return Shared(Target(provider, model), int(told["trips"]), rest, claimed, str(told["cause"]), str(told["by"]))


def _field(target: Target) -> str:
    return f"{target.provider}/{target.model}"
