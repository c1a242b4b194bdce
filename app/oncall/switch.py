"""The kill switch: everything, one provider or one tenant, on all workers within two seconds (P5).

The truth is one Valkey hash that every worker reads twice a second; a call is checked against memory. With Valkey away the
last known state holds: an outage of the store neither stops the service nor releases what an operator has stopped. The
out-of-band way is a file: while it exists everything is stopped, whatever Valkey says.
"""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.errors import InvalidRequest, NotFound, Stopped

Scope = Literal["all", "provider", "tenant"]
KEY = "octant:kill"
READ_SECONDS = 1.0  # with a poll of half a second, two seconds are kept even when Valkey hangs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that is stopped: ``scope`` and ``name`` (empty for everything), by whom, why and since when."""

    scope: str
    name: str
    by: str
    reason: str
    at: str


class KillSwitch:
    """See the module."""

    def __init__(
        self,
        valkey: Redis,
        *,
        file: Path | None,
        poll: float = 0.5,
        on_state: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        """``poll`` in seconds; ``file`` stops everything while it exists; ``on_state`` is told how much is stopped, by scope."""
        self._valkey = valkey
        self._file = file
        self._poll = poll
        self._on_state = on_state
        self._stopped: frozenset[tuple[str, str]] = frozenset()
        self._file_exists = False
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the state once, then keep reading. A worker that cannot read it yet knows of nothing stopped."""
        await self._refresh()
        self._task = asyncio.create_task(self._refresh_forever())

    async def aclose(self) -> None:
        """Stop reading: asked, not cancelled, for redis-py 8.1 can lose a cancellation."""
        self._closing.set()
        if self._task:
            await self._task

    def check(self, *, tenant: str) -> None:
        """Raise Stopped if this tenant's calls are stopped. From memory."""
        if self._file_exists or ("all", "") in self._stopped:
            raise Stopped("The service is stopped by an operator.")
        if ("tenant", tenant) in self._stopped:
            raise Stopped("Calls of this tenant are stopped by an operator.")

    def provider_stopped(self, name: str) -> bool:
        """Whether a provider may not be used now. From memory."""
        return ("provider", name) in self._stopped

    async def stop(self, scope: str, name: str, *, by: str, reason: str) -> None:
        """Stop something. Raises InvalidRequest for a scope that does not exist or a name that is missing."""
        field = _field(scope, name)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        await self._valkey.hset(KEY, field, json.dumps({"by": by, "reason": reason, "at": at}))

    async def resume(self, scope: str, name: str) -> None:
        """Release something. Raises NotFound if it is not stopped."""
        if not await self._valkey.hdel(KEY, _field(scope, name)):
            raise NotFound(f"{name or scope} is not stopped.")

    async def status(self) -> list[Stop]:
        """All that is stopped."""
        entries = await self._valkey.hgetall(KEY)
        stops = []
        for field, value in sorted(entries.items()):
            scope, _, name = str(field).partition(":")
            stops.append(Stop(scope=scope, name=name, **json.loads(value)))
        if self._file and self._file.exists():
            stops.append(Stop("all", "", "file", str(self._file), ""))
        return stops

    async def _refresh_forever(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._closing.wait()
                    return
            await self._refresh()

    async def _refresh(self) -> None:
        self._look_for_file()
        await self._read()
        counts = Counter(scope for scope, _ in self._stopped)
        counts["all"] = max(counts["all"], int(self._file_exists))
        self._on_state({scope: counts[scope] for scope in get_args(Scope)})

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                fields = await self._valkey.hkeys(KEY)
        except (RedisError, OSError) as error:
            log.warning("kill switch not readable, last known state holds", extra={"error_type": type(error).__name__})
            return
        stopped = frozenset(_split(str(field)) for field in fields)
        if stopped != self._stopped:
            log.warning("kill switch changed", extra={"stopped": sorted(":".join(pair) for pair in stopped)})
            self._stopped = stopped

    def _look_for_file(self) -> None:
        """Note whether the file is there. A folder that cannot be read tells nothing: what was known holds."""
        try:
            exists = self._file is not None and self._file.exists()
        except OSError as error:
            log.warning("kill file not readable, last known state holds", extra={"error_type": type(error).__name__})
            return
        if exists != self._file_exists:
            log.warning("kill file appeared" if exists else "kill file removed", extra={"file": str(self._file)})
            self._file_exists = exists


def _field(scope: str, name: str) -> str:
    if scope not in get_args(Scope):
        raise InvalidRequest(f"Unknown scope {scope!r}: one of {', '.join(get_args(Scope))}.", param="scope")
    if (scope == "all") == bool(name):
        raise InvalidRequest("`all` takes no name; every other scope needs one.", param="name")
    return f"{scope}:{name}"


def _split(field: str) -> tuple[str, str]:
    scope, _, name = field.partition(":")
    return scope, name
