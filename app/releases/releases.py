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
import hmac
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, Misconfigured
from app.domain.periodic import Periodic
from app.domain.records import CallRecord
from app.domain.routes import Pin
from app.domain.store_errors import why
from app.releases import files, reports
from app.releases.code import Code
from app.releases.control import CHANNEL
from app.releases.effective import Effect, effect_of
from app.releases.manifest import Places, Release, parse, resolve
from app.releases.reports import Report
from app.releases.shadow_control import ShadowControl
from app.releases.shadow_watch import ShadowWatch
from app.releases.watch import CanaryWatch
from app.security.remembered import Remembered

LISTEN_SECONDS = 0.25  # how long a stopping worker may go on listening
CLOSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Releases(ShadowControl):
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        valkey: Redis,
        places: Places,
        *,
        secret: bytes,
        poll: float = 2.0,
        remembered: Remembered | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        code: Code | None = None,
    ) -> None:
        """``poll`` in seconds; ``today`` in UTC. ``remembered``: the local file that says what was live.

        ``secret``: the service's; it deals users to a canary. ``code``: the code of this process, for the worker's report.
        """
        super().__init__(engine, valkey, places, today=today)
        self._remembered = remembered
        self._code = code or Code()
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
        self._watch = CanaryWatch(engine, secret=secret, load=self._resolved, on_stop=lambda: self._announce("canary"))
        key = hmac.digest(secret, b"octant shadow", hashlib.sha256)
        self.shadows = ShadowWatch(engine, key=key, load=self._resolved)
        self._worker = reports.worker_name()

    async def start(self) -> None:
        """Load the live release, then follow it. Raises Misconfigured without one, or for a broken pin.

        With Postgres away and no local file, the worker waits for it, and calls are refused meanwhile.
        """
        try:
            live = await self._live()
        except (SQLAlchemyError, OSError) as error:
            log.warning("live release not readable at the start", extra=why(error))
            live = self._recalled()
        else:
            if live is None:
                raise Misconfigured("No release is live. Run `octant release activate ID` (`octant release list` shows all).")
            self._remember_live(live)
        if live:
            self._current = await self._resolved(live[1], f"the live release {live[0]}")
        await self._refresh_trials()
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._code.record(self._engine, by=self._worker)
        await self._report()
        self._watch.start()
        self._following.start()
        self._subscription.start()

    async def aclose(self) -> None:
        """Stop following.

        Work under way ends first: redis-py 8.1 can lose a cancellation in `get_message`, or leave a connection open behind it
        (tests/contract/test_releases_postgres.py stops workers at many moments).
        """
        await self._watch.aclose()
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
    def worker(self) -> str:
        """The name of this worker among `workers`."""
        return self._worker

    @property
    def callable(self) -> tuple[str, ...]:
        """The names that clients may call: aliases of models and of embeddings, then the callable prompts."""
        return self.current.callable

    def price_effect(self) -> Effect:
        """Whether the live release prices calls by the table that is in effect today. Reads the folder of price tables."""
        return effect_of(self.current.prices, self._places.prices, self._today())

    def pin(self, target: str, identity: Identity | None = None) -> Pin:
        """Pin a call to what is live now, or to the canary where this user gets it. Raises UnknownModel."""
        canary = self._watch.release_for(identity) if identity else None
        return (canary or self.current).pin(target)

    def note(self, record: CallRecord) -> None:
        """Count what a call says about its release, if there is a canary. Never waits."""
        self._watch.note(record)

    def note_bad_rating(self, identity: Identity, request_id: str) -> None:
        """Count a user's bad rating of an answer, if there is a canary. Never waits."""
        self._watch.note_bad_rating(identity, request_id)

    def _remember_live(self, live: tuple[str, str]) -> None:
        if self._remembered:
            self._remembered.write(list(live))

    def _recalled(self) -> tuple[str, str] | None:
        found = self._remembered.read() if self._remembered else None
        return (str(found[0]), str(found[1])) if found else None

    async def _follow(self) -> None:
        await self._swap_if_changed()
        await self._refresh_trials()
        await self._report()

    async def _refresh_trials(self) -> None:
        """Read which canary and which shadow run. Best effort: the live release needs neither."""
        for watch in (self._watch, self.shadows):
            with contextlib.suppress(SQLAlchemyError, OSError):
                await watch.refresh()

    async def _swap_if_changed(self) -> None:
        try:
            live = await self._live()
        except (SQLAlchemyError, OSError) as error:
            log.warning("live release not readable, serving what was live", extra=why(error))
            return
        if live:
            self._remember_live(live)
        if live is None or live[0] == self.known:
            self._refused = ("", "")
            return
        try:
            self._current = await self._resolved(live[1], f"the live release {live[0]}")
        except Misconfigured as error:
            if self._refused[0] != live[0]:  # logged once; tried again at every poll
                log.warning("new release refused, serving what was live", extra={"release": live[0], "reason": str(error)})
            self._refused = (live[0], str(error))
            return
        self._refused = ("", "")
        log.warning("release changed", extra={"release": self._current.id})

    async def _resolved(self, text: str, where: str) -> Release:
        """Resolve a manifest, with kept files where this machine lacks them. With Postgres away, what is here has to do."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            await files.fetch(self._engine, parse(text, where), self._places)
        return resolve(text, self._places, where=where)

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
        report = Report(
            worker=self._worker, release=self.known, refused=self._refused[0], reason=self._refused[1], code=self._code.name
        )
        with contextlib.suppress(SQLAlchemyError, OSError):
            await reports.write(self._engine, report)
