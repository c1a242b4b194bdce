"""The live release, changed on every worker within five seconds, without a restart (B2).

The pointer is the newest row of ``activations`` in Postgres. A change is announced over Valkey; each worker also looks every
two seconds, so a lost announcement costs two seconds and a dead Valkey costs nothing more. A worker swaps one immutable
`Release` for another; calls in flight keep theirs. If the new release cannot be loaded, what is live stays live, and the
worker tries again at each look: an index that is still being copied to its machine may be there by then. A worker that starts
while Postgres is away serves what a local file says was live, until it can look.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import DependencyUnavailable, Misconfigured
from app.domain.periodic import Periodic
from app.domain.routes import Pin
from app.releases import files, history, reports
from app.releases.effective import Effect, effect_of
from app.releases.history import Activation
from app.releases.manifest import Manifest, Places, Release, load, parse, resolve
from app.releases.reports import Report
from app.releases.setting_back import Pinned, earlier, set_back
from app.releases.tables import activations, manifests
from app.security.remembered import Remembered

CHANNEL = "octant:release"
LISTEN_SECONDS = 0.25  # how long a stopping worker may go on listening
CLOSE_SECONDS = 5.0
_ONE_AT_A_TIME = 0x0C7A_0001  # a Postgres advisory lock: two operators at once must not build on the same past

log = logging.getLogger(__name__)


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
        self._refused: tuple[str, str] = ("", "")  # the release that does not load, and why
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
            await self._fetch_files(live)
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
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await reports.withdraw(self._engine, self._worker)

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
        return tuple(self.current.routes)

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
            await files.keep(connection, parse(release.text, release.id), self._places)
            await history.point(connection, release.id, history.ACTIVATE, by, reason)
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

    async def rollback(
        self, *, by: str, reason: str, to: str | None = None, only: Pinned | None = None, again: bool = False
    ) -> str:
        """Put the release that was live before this one (or ``to``) live again. Returns the id of what is live then.

        ``only``: one pin alone goes back, to the newest earlier release that has another (or ``to``); that makes a new manifest.
        ``again``: a rollback soon after another one is meant. Raises Misconfigured, before anything changes.
        """
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            past = await history.read(connection)
            if not (to or again):
                history.check_nerves(past, datetime.now(UTC))
            if only:
                target, text = await self._set_back(connection, only, past, to, reason)
            else:
                target = to or history.path_of(past)[-2]
                text = await history.text_of(connection, target)
            await self._check_reachable(target, text, past)
            if only:
                values = {"id": target, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
                await connection.execute(insert(manifests).values(values))
            await history.point(connection, target, history.SET_BACK if only else history.ROLLBACK, by, reason)
        await self._announce(target)
        return target

    async def _set_back(
        self, connection: AsyncConnection, only: Pinned, past: Sequence[Activation], to: str | None, reason: str
    ) -> tuple[str, str]:
        """The id and text of a manifest made from the live one."""
        if not past:
            raise Misconfigured("No release is live.")
        live = parse(await history.text_of(connection, past[0].release), f"the live release {past[0].release}")
        names = [to] if to else list(dict.fromkeys(activation.release for activation in past[1:]))
        before = [parse(await history.text_of(connection, name), f"release {name}") for name in names]
        source = before[0] if to else earlier(only, live, before)
        taken = (await connection.execute(select(manifests.c.id))).scalars()
        text = set_back(only, live, source, taken=taken, today=self._today(), reason=reason)
        return parse(text, "the new manifest").id, text

    async def _check_reachable(self, release_id: str, text: str, past: Sequence[Activation]) -> None:
        """Raise Misconfigured where a pin does not resolve, and say what else there is.

        The files may be on the workers and not here, so a missing index that is too large to be kept is no reason to refuse.
        """
        where = f"release {release_id}"
        manifest = parse(text, where)
        missing = await files.fetch(self._engine, manifest, self._places)
        try:
            resolve(text, self._places, where=where, indexes_elsewhere=True)
        except Misconfigured as error:
            others = list(dict.fromkeys(a.release for a in past if a.release not in (release_id, past[0].release)))
            also = f" Was live, too: {', '.join(others)} (--to ID)." if others else " No other release was ever live."
            raise Misconfigured(f"{error}\n{' '.join(missing)}{also}") from None
        for sentence in missing:
            log.warning("index not on this machine", extra={"release": release_id, "file": sentence})

    async def history(self, limit: int = 20) -> Sequence[Activation]:
        """Activations, newest first."""
        async with self._engine.connect() as connection:
            return await history.read(connection, limit)

    async def workers(self) -> dict[str, str]:
        """The release that each live worker says it serves. Raises SQLAlchemyError or OSError."""
        return {report.worker: report.release for report in await self.reports()}

    async def reports(self) -> Sequence[Report]:
        """What each live worker says, refusals included. Raises SQLAlchemyError or OSError."""
        return await reports.read(self._engine)

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
            self._refused = ("", "")
            return
        try:
            await self._fetch_files(live)
            self._current = resolve(live[1], self._places, where=f"the live release {live[0]}")
        except Misconfigured as error:
            if self._refused[0] != live[0]:  # logged once; tried again at every poll
                log.warning("new release refused, serving what was live", extra={"release": live[0], "reason": str(error)})
            self._refused = (live[0], str(error))
            return
        self._refused = ("", "")
        log.warning("release changed", extra={"release": self._current.id})

    async def _fetch_files(self, live: tuple[str, str]) -> None:
        """Take kept files where this machine lacks them. With Postgres away, what is here has to do."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            await files.fetch(self._engine, parse(live[1], f"the live release {live[0]}"), self._places)

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
        """Report what this worker serves. Best effort: serving needs none of it."""
        report = Report(worker=self._worker, release=self.known, refused=self._refused[0], reason=self._refused[1])
        with contextlib.suppress(SQLAlchemyError, OSError):
            await reports.write(self._engine, report)
