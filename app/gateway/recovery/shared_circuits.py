"""Replicas share the state of circuits: one Valkey hash, written when a circuit changes, read twice a second.

The lag is at most `POLL` plus one round trip; a worker's own findings hold for it at once. While Valkey is away, every worker
uses its own findings (each then sends a probe of its own), and shares them when Valkey is back.
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
from redis.exceptions import InvalidResponse, RedisError

from app.domain.periodic import Periodic
from app.domain.routes import Target
from app.domain.store_errors import why
from app.gateway.recovery.breaker import Circuit, Circuits, State

KEY = "octant:circuits"
POLL = 0.5
CLAIM_SECONDS = 0.25
READ_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """One open circuit as all replicas see it. ``rest`` and ``claimed`` in seconds from now, negative if past.

    ``answered``: the share of its attempts that were, when it opened.
    """

    target: Target
    trips: int
    rest: float
    claimed: float
    cause: str
    by: str
    answered: float = 0.0


class SharedCircuits:
    """See the module. `breaker.Sharing` for the circuits it is started with."""

    def __init__(
        self,
        valkey: Redis,
        *,
        on_state: Callable[[Target, State], None] = lambda *_: None,
        poll: float = POLL,
        claim_seconds: float = CLAIM_SECONDS,
    ) -> None:
        """``on_state`` gets the state of each known circuit, once a poll. ``poll`` in seconds.

        A claim that has no answer after ``claim_seconds`` counts as granted: a probe too many does less harm than none.
        """
        folder = Path(__file__).parent
        self._valkey = valkey
        self._open = valkey.register_script((folder / "open.lua").read_text())
        self._claim = valkey.register_script((folder / "claim.lua").read_text())
        self._on_state = on_state
        self._poll = poll
        self._claim_seconds = claim_seconds
        self._by = f"{socket.gethostname()}:{os.getpid()}"
        self._unwritten: dict[Target, Circuit | None] = {}  # None: closed
        self._written: set[Target] = set()
        self._away = False
        self._sharing: Periodic | None = None

    def start(self, circuits: Circuits) -> None:
        """Begin to keep ``circuits`` and the hash in step."""
        circuits.sharing = self
        self._sharing = Periodic("circuits", lambda: self._keep_in_step(circuits), every=self._poll)
        self._sharing.start()

    async def aclose(self) -> None:
        """Stop, after a round under way has ended."""
        if self._sharing:
            await self._sharing.stop(grace=2 * READ_SECONDS)

    def opened(self, target: Target, circuit: Circuit) -> None:
        """See `breaker.Sharing`."""
        self._unwritten[target] = circuit
        self._wake()

    def closed(self, target: Target) -> None:
        """See `breaker.Sharing`."""
        self._unwritten[target] = None
        self._wake()

    async def claim(self, target: Target, seconds: float) -> bool:
        """See `breaker.Sharing`."""
        try:
            async with asyncio.timeout(min(self._claim_seconds, seconds)):
                return bool(await self._claim(keys=[KEY], args=[_field(target), str(round(seconds * 1000))]))
        except (RedisError, OSError):
            return True

    def _wake(self) -> None:
        if self._sharing:
            self._sharing.wake()

    async def _keep_in_step(self, circuits: Circuits) -> None:
        try:
            await self._write_changes()
            await self._read_changes(circuits)
            self._note(None)
        except (RedisError, OSError) as error:
            self._note(error)
        for target in circuits.known:
            self._on_state(target, circuits.state(target))

    async def _write_changes(self) -> None:
        """Write local changes. One that cannot be written now is written when Valkey is back, if it still holds."""
        while self._unwritten:
            target, circuit = self._unwritten.popitem()
            try:
                await self._write(target, circuit)
            except (RedisError, OSError):
                self._unwritten.setdefault(target, circuit)  # unless it changed again meanwhile
                raise

    async def _write(self, target: Target, circuit: Circuit | None) -> None:
        if circuit is None:
            await self._valkey.hdel(KEY, _field(target))
            self._written.discard(target)
        elif circuit.trips:
            rest_ms = max(0, round((circuit.until - time.monotonic()) * 1000))
            await self._open(
                keys=[KEY], args=[_field(target), rest_ms, circuit.trips, circuit.cause, self._by, f"{circuit.answered:.3f}"]
            )
            self._written.add(target)

    async def _read_changes(self, circuits: Circuits) -> None:
        """Apply the changes of other replicas, closed circuits included."""
        async with asyncio.timeout(READ_SECONDS):
            found = await read(self._valkey)
        now = time.monotonic()
        for shared in found:
            if shared.target not in self._unwritten:
                self._written.add(shared.target)
                until, claimed = now + shared.rest, now + shared.claimed
                circuits.open_until(shared.target, until, shared.trips, claimed, shared.answered, shared.cause)
        for target in self._written - {shared.target for shared in found} - self._unwritten.keys():
            self._written.discard(target)
            circuits.close(target)

    def _note(self, error: BaseException | None) -> None:
        if error and not self._away:
            log.warning("circuits are not shared: Valkey is away", extra=why(error))
        elif self._away and not error:
            log.warning("circuits are shared again")
        self._away = error is not None


async def read(valkey: Redis) -> list[Shared]:
    """All circuits that are not closed. Raises RedisError or OSError."""
    async with valkey.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(KEY)
        (seconds, micros), entries = await pipeline.execute()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    try:
        return [_shared(field, json.loads(value), now_ms) for field, value in sorted(entries.items())]
    except (TypeError, ValueError, LookupError) as error:
        raise InvalidResponse("An entry is no circuit.") from error


async def forget(valkey: Redis, target: Target) -> bool:
    """Close a circuit on all replicas, whatever was found. Returns whether it was open. Raises RedisError or OSError."""
    return bool(await valkey.hdel(KEY, _field(target)))


def _shared(field: str, entry: Mapping[str, Any], now_ms: int) -> Shared:
    provider, _, model = field.partition("/")
    rest, claimed = (entry["until"] - now_ms) / 1000, (entry["claimed"] - now_ms) / 1000
    answered = float(entry.get("answered", 0.0))  # code of before does not write it
    return Shared(Target(provider, model), int(entry["trips"]), rest, claimed, str(entry["cause"]), str(entry["by"]), answered)


def _field(target: Target) -> str:
    return f"{target.provider}/{target.model}"
