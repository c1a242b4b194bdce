"""The live release, changed on every worker within five seconds, without a restart (B2).

The pointer is the newest row of ``activations`` in Postgres. A change is announced over Valkey; each worker also looks every
two seconds, so a lost announcement costs two seconds and a dead Valkey costs nothing more. A worker swaps one immutable
`Release` for another; calls in flight keep theirs. If the new release cannot be loaded, what is live stays live, and the
worker tries again at each look: an index that is still being copied to its machine may be there by then. A worker that starts
while Postgres is away serves what a local file says was live, until it can look.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import DependencyUnavailable, Misconfigured
from app.domain.periodic import Periodic
from app.domain.routes import Pin
from app.releases.effective import Effect, effect_of
from app.releases.manifest import Manifest, Places, Release, load, parse, resolve
from app.releases.tables import activations, manifests
from app.security.remembered import Remembered

CHANNEL = "octant:release"
WORKERS = "octant:release:workers"
LISTEN_SECONDS = 0.25  # how long a stopping worker may go on listening
CLOSE_SECONDS = 5.0
WORKER_SECONDS = 10
FORGOTTEN_SECONDS = 3600
_ONE_AT_A_TIME = 0x0C7A_0001  # a Postgres advisory lock: two operators at once must not build on the same past

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Activation:
    """One line of the history."""

    number: int
    release: str
    previous: str | None
    kind: str
    by: str
    reason: str
    at: datetime


class Releases:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        valkey: Redis,
        places: Places,
        *,
        poll: float = 2.0,
        remembered: Remembered | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """``poll`` in seconds; ``today`` in UTC. ``remembered``: the local file that says what was live."""
        self._engine = engine
        self._valkey = valkey
        self._places = places
        self._remembered = remembered
        self._today = today
        self._current: Release | None = None
        self._refused: str | None = None
        self._listening = asyncio.Event()
        self._following = Periodic("live release", self._follow, every=poll, at_once=False)
        self._subscription = Periodic(
            "announced releases",
            self._listen,
            every=poll,
            survives=(RedisError, OSError),
            on_failure=self._listening.clear,
        )
        self._worker = f"{socket.gethostname()}:{os.getpid()}"

    async def start(self) -> None:
        """Load the live release, then follow it. Raises Misconfigured without one, or for a broken pin.

        With Postgres away and no local file, the worker waits for it, and calls are refused meanwhile.
        """
        try:
            live = await self._live()
        except (SQLAlchemyError, OSError) as error:
            log.warning("live release not readable at the start", extra={"error_type": type(error).__name__})
            live = self._recalled()
        else:
            if live is None:
                raise Misconfigured("No release is live. Run `octant release activate ID` (`octant release list` shows all).")
            self._remember_live(live)
        if live:
            self._current = resolve(live[1], self._places, where=f"the live release {live[0]}")
        await self._report()
        self._following.start()
        self._subscription.start()

    async def aclose(self) -> None:
        """Stop following.

        Work under way ends first: redis-py 8.1 can lose a cancellation in `get_message`, or leave a connection open behind it
        (tests/contract/test_releases_postgres.py stops workers at many moments).
        """
        await asyncio.gather(*(loop.stop(grace=CLOSE_SECONDS) for loop in (self._following, self._subscription)))
        with contextlib.suppress(RedisError, OSError):
            await self._valkey.hdel(WORKERS, self._worker)

    @property
    def current(self) -> Release:
        """The live release as this worker knows it. Raises DependencyUnavailable where it started without Postgres and a file."""
        if self._current is None:
            raise DependencyUnavailable("Which release is live cannot be read right now.", retry_after=2.0)
        return self._current

    @property
    def known(self) -> str:
        """The id of the live release as this worker knows it; empty where it knows none."""
        return self._current.id if self._current else ""

    @property
    def aliases(self) -> tuple[str, ...]:
        """The model aliases of the live release."""
        return self.current.aliases

    def price_effect(self) -> Effect:
        """Whether the live release prices calls by the table that is in effect today. Reads the folder of price tables."""
        return effect_of(self.current.prices, self._places.prices, self._today())

    def pin(self, target: str) -> Pin:
        """Pin a call to what is live now. Raises UnknownModel."""
        return self.current.pin(target)

    async def activate(self, release_id: str, *, by: str, reason: str) -> None:
        """Make a release live.

        Raises Misconfigured, before anything changes, if it does not resolve, was changed, or its prices are not in effect yet.
        """
        release = load(release_id, self._places)
        self._check_prices(release)
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            await self._remember(connection, release)
            await _point(connection, release.id, "activate", by, reason)
        await self._announce(release.id)

    def _check_prices(self, release: Release) -> None:
        """Refuse prices that are not in effect yet. A rollback skips this check: going back must not fail."""
        table, today = release.prices, self._today()
        if table.effective > today:
            raise Misconfigured(
                f"Release {release.id} pins price table {table.version}, which takes effect on {table.effective}; today is"
                f" {today} (UTC). Activate it then, or pin a table that is in effect."
            )
        if (effect := effect_of(table, self._places.prices, today)).state == "superseded":
            log.warning("price table superseded", extra={"release": release.id, "prices": table.version, "newer": effect.newer})

    async def rollback(self, *, by: str, reason: str, to: str | None = None) -> str:
        """Put the release that was live before this one (or ``to``) live again. Returns its id. Raises Misconfigured."""
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            target = to or before(await _history(connection))
            statement = select(manifests.c.text).where(manifests.c.id == target)
            text = (await connection.execute(statement)).scalar_one_or_none()
            if text is None:
                raise Misconfigured(f"Release {target!r} was never live: activate it instead.")
            resolve(text, self._places, where=f"release {target}")
            await _point(connection, target, "rollback", by, reason)
        await self._announce(target)
        return target

    async def history(self, limit: int = 20) -> Sequence[Activation]:
        """Activations, newest first."""
        async with self._engine.connect() as connection:
            return await _history(connection, limit)

    async def workers(self) -> dict[str, str]:
        """The release that each live worker says it serves. Raises RedisError while Valkey is away."""
        now, _ = await self._valkey.time()
        reports = {str(k): json.loads(v) for k, v in (await self._valkey.hgetall(WORKERS)).items()}
        gone = [name for name, report in reports.items() if report["at"] < now - FORGOTTEN_SECONDS]
        if gone:
            await self._valkey.hdel(WORKERS, *gone)  # workers that died without a word
        return {name: report["release"] for name, report in reports.items() if report["at"] > now - WORKER_SECONDS}

    async def check_live(self) -> None:
        """Raise Misconfigured where a pin of the live release does not resolve here."""
        if live := await self._live():
            resolve(live[1], self._places, where=f"The live release {live[0]}")

    async def live(self) -> Manifest | None:
        """The live manifest as it was activated; its pins are not checked."""
        live = await self._live()
        return parse(live[1], f"the live release {live[0]}") if live else None

    async def _live(self) -> tuple[str, str] | None:
        statement = (
            select(manifests.c.id, manifests.c.text)
            .join(activations, activations.c.release == manifests.c.id)
            .order_by(activations.c.number.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return (row.id, row.text) if row else None

    def _remember_live(self, live: tuple[str, str]) -> None:
        if self._remembered:
            self._remembered.write(list(live))

    def _recalled(self) -> tuple[str, str] | None:
        found = self._remembered.read() if self._remembered else None
        return (str(found[0]), str(found[1])) if found else None

    async def _remember(self, connection: AsyncConnection, release: Release) -> None:
        values = {"id": release.id, "sha256": release.sha256, "text": release.text}
        await connection.execute(postgresql.insert(manifests).values(values).on_conflict_do_nothing())
        known = (await connection.execute(select(manifests.c.sha256).where(manifests.c.id == release.id))).scalar_one()
        if known != release.sha256:
            raise Misconfigured(
                f"Release {release.id} was changed after it was first live. A release is immutable: "
                "restore the file, or give the change an id of its own."
            )

    async def _announce(self, release_id: str) -> None:
        try:
            await self._valkey.publish(CHANNEL, release_id)
        except (RedisError, OSError) as error:
            log.warning("not announced, workers see it at their next look", extra={"error_type": type(error).__name__})

    async def _follow(self) -> None:
        await self._swap_if_changed()
        await self._report()

    async def _swap_if_changed(self) -> None:
        try:
            live = await self._live()
        except (SQLAlchemyError, OSError) as error:
            log.warning("live release not readable, serving what was live", extra={"error_type": type(error).__name__})
            return
        if live:
            self._remember_live(live)
        if live is None or live[0] == self.known:
            self._refused = None
            return
        try:
            self._current = resolve(live[1], self._places, where=f"the live release {live[0]}")
        except Misconfigured as error:
            if self._refused != live[0]:  # logged once; tried again at every poll
                log.warning("new release refused, serving what was live", extra={"release": live[0], "reason": str(error)})
            self._refused = live[0]
            return
        self._refused = None
        log.warning("release changed", extra={"release": self._current.id})

    async def _listen(self) -> None:
        """Wake `_follow` when a change is announced, for as long as the connection lives. `_follow` reads by itself, too."""
        async with self._valkey.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while not self._subscription.stopping:
                if await channel.get_message(timeout=LISTEN_SECONDS):
                    # The subscription's own confirmation wakes it too: what changed before it was missed.
                    self._listening.set()
                    self._following.wake()

    async def _report(self) -> None:
        """Report what this worker serves, by Valkey's clock, which they share. Best effort: serving needs none of it."""
        if not self.known:
            return
        with contextlib.suppress(RedisError, OSError):
            now, _ = await self._valkey.time()
            report: dict[str, Any] = {"release": self.known, "at": now}
            await self._valkey.hset(WORKERS, self._worker, json.dumps(report))


async def ever_live(engine: AsyncEngine) -> frozenset[str]:
    """The ids of all releases that were ever live; their files are immutable."""
    async with engine.connect() as connection:
        return frozenset((await connection.execute(select(manifests.c.id))).scalars())


def before(history: Sequence[Activation]) -> str:
    """The release to go back to, from a history that is newest first. Raises Misconfigured if there is none.

    An activation goes forward; a rollback goes back to where a release was live, and what came after it is undone. So rolling
    back twice goes back twice, and never forth again to a release that was rolled back from.
    """
    path: list[str] = []
    for activation in reversed(history):
        if activation.kind == "rollback" and activation.release in path:
            while path[-1] != activation.release:
                path.pop()
        elif path[-1:] != [activation.release]:
            path.append(activation.release)
    if len(path) < 2:
        raise Misconfigured("There is no earlier release to roll back to. `octant release history` shows what was live.")
    return path[-2]


async def _history(connection: AsyncConnection, limit: int = 1000) -> list[Activation]:
    statement = select(activations).order_by(activations.c.number.desc()).limit(limit)
    return [Activation(**row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - documented name


async def _point(connection: AsyncConnection, release_id: str, kind: str, by: str, reason: str) -> None:
    newest = select(activations.c.release).order_by(activations.c.number.desc()).limit(1)
    previous = (await connection.execute(newest)).scalar_one_or_none()
    values = {"release": release_id, "previous": previous, "kind": kind, "by": by, "reason": reason}
    await connection.execute(insert(activations).values(values))
