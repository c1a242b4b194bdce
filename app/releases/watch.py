"""One worker's part in a canary: which users get it here, and what happened to them.

Choosing is from memory. What happened is counted in Postgres twice a second, so a broken release is stopped within about a second
of its last bad call. While Postgres is away nothing is counted; a canary goes on, because nothing can be activated either.
"""

import hashlib
import hmac
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import Misconfigured
from app.domain.periodic import Periodic
from app.domain.records import CallRecord
from app.releases import canaries, history
from app.releases.bad_events import SCORED_LOW, SEEN, bad_in
from app.releases.canaries import Canary, Event
from app.releases.manifest import Release
from app.releases.split import has_canary

FLUSH_EVERY = 0.5
CLOSE_SECONDS = 3.0
MOST_WAITING = 10_000  # events; what comes while a worker cannot write more is counted at the user's next one
MOST_LOOKUPS = 20  # for the record of a rated call, which comes seconds after its answer
SCORES_EVERY = 5.0  # seconds between two reads of scores, which come in rounds of a minute
MOST_REMEMBERED = 200_000  # pairs of metric and user that need not be sent again

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary with its release resolved."""

    canary: Canary
    release: Release


@dataclass(frozen=True, slots=True)
class _Rating:
    """A bad rating of a call whose release is not known yet."""

    tenant: str
    user: str
    request_id: str
    lookups: int = 0


class _Sent:
    """Pairs of metric and user that were sent lately, in bounded memory: what is forgotten is sent again.

    Postgres counts a pair once however often it comes, so the bound costs a write and never a count.
    """

    def __init__(self) -> None:
        self._new: set[tuple[str, str]] = set()
        self._old: set[tuple[str, str]] = set()

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair in self._new or pair in self._old

    def add(self, pair: tuple[str, str]) -> None:
        self._new.add(pair)
        if 2 * len(self._new) >= MOST_REMEMBERED:
            self._old, self._new = self._new, set()

    def clear(self) -> None:
        self._new.clear()
        self._old.clear()


class CanaryWatch:
    """See the module. ``load`` resolves a manifest's text with kept files; ``on_stop`` is called when this worker stops one."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        secret: bytes,
        load: Callable[[str, str], Awaitable[Release]],
        on_stop: Callable[[], Awaitable[None]],
    ) -> None:
        """Nothing is read yet. A key of its own is derived from ``secret``."""
        self._engine = engine
        self._key = hmac.digest(secret, b"octant canary", hashlib.sha256)
        self._load = load
        self._on_stop = on_stop
        self._trial: Trial | None = None
        self._refused = 0
        self._events: deque[Event] = deque()
        self._sent = _Sent()
        self._full = False
        self._spent = 0
        self._ratings: deque[_Rating] = deque(maxlen=MOST_WAITING)
        self._scores_read = (0.0, datetime.min.replace(tzinfo=UTC))  # when, by this process' clock, and the newest call of them
        self._flushing = Periodic(
            "canary", self.flush, every=FLUSH_EVERY, survives=(SQLAlchemyError, OSError), complaint="canary not counted"
        )

    def start(self) -> None:
        """Begin to count."""
        self._flushing.start()

    async def aclose(self) -> None:
        """Stop, after a last count."""
        await self._flushing.stop(grace=CLOSE_SECONDS)

    @property
    def canary(self) -> Canary | None:
        """The canary that this worker takes part in."""
        return self._trial.canary if self._trial else None

    def release_for(self, identity: Identity) -> Release | None:
        """The canary's release where this user gets it; None for all others. From memory."""
        trial = self._trial
        if trial is None:
            return None
        canary, tenant = trial.canary, identity.tenant.id
        if tenant in canary.tenants or has_canary(self._key, str(canary.id), tenant, identity.user, canary.share):
            return trial.release
        return None

    def note(self, record: CallRecord) -> None:
        """Queue what a call says about its release. Never waits, never fails."""
        canary = self.canary
        if canary is None or record.release not in (canary.release, canary.against):
            return
        of_canary = record.release == canary.release
        if of_canary:
            self._spent += record.cost
        metrics = bad_in(record, canary.limits)
        if metrics is None or record.tenant in canary.tenants:
            return
        user = canaries.digest(self._key, canary.id, record.tenant, record.user)
        for metric in (SEEN, *metrics):
            if (metric, user) not in self._sent and self._queue(Event(metric, user, of_canary)):
                self._sent.add((metric, user))
        if metrics:
            self._flushing.wake()

    def _queue(self, event: Event) -> bool:
        """Queue an event. False, and logged once, where too many wait."""
        full, self._full = self._full, len(self._events) >= MOST_WAITING
        if self._full:
            if not full:
                log.warning("canary events wait, further ones are counted later", extra={"waiting": len(self._events)})
            return False
        self._events.append(event)
        return True

    def note_bad_rating(self, identity: Identity, request_id: str) -> None:
        """Queue a user's bad rating of an answer. Never waits; which release gave the answer is looked up later."""
        canary = self.canary
        if canary and identity.tenant.id not in canary.tenants:
            self._ratings.append(_Rating(identity.tenant.id, identity.user, request_id))

    async def refresh(self) -> None:
        """Read which canary runs. Raises SQLAlchemyError or OSError; one that does not resolve here is not served here."""
        async with self._engine.connect() as connection:
            running = await canaries.running(connection)
            known = self.canary
            if running is None or (known and known.id == running.id):
                changed = running is None and known is not None
                self._trial = Trial(running, self._trial.release) if running and self._trial else None
                if changed:
                    self._forget()
                    log.warning("canary ended")
                return
            text = await history.text_of(connection, running.release)
        self._forget()
        try:
            release = await self._load(text, f"the canary {running.release}")
        except Misconfigured as error:
            if self._refused != running.id:
                log.warning("canary refused", extra={"release": running.release, "reason": str(error)})
            self._refused = running.id
            return
        self._trial = Trial(running, release)
        log.warning("canary begins", extra={"release": running.release, "share": running.share})

    async def flush(self) -> None:
        """Write what is queued, judge, and stop the canary if that is the verdict. Raises SQLAlchemyError or OSError."""
        canary = self.canary
        if canary is None:
            return
        await self._look_up_ratings(canary)
        await self._look_up_scores(canary)
        if not (self._events or self._spent):
            return
        events, spent = list(self._events), self._spent
        stopped = await canaries.note(self._engine, canary, events, spent)
        for _ in range(min(len(events), len(self._events))):
            self._events.popleft()
        self._spent -= spent
        if stopped:
            log.error("canary stopped", extra={"release": canary.release, "reason": stopped.why})
            self._trial = None
            await self._on_stop()

    async def _look_up_ratings(self, canary: Canary) -> None:
        if not self._ratings:
            return
        wanted = list(self._ratings)
        releases = await canaries.releases_of(self._engine, {rating.request_id for rating in wanted}, canary)
        for rating in wanted:
            self._ratings.popleft()
            release = releases.get((rating.tenant, rating.request_id))
            if release:
                user = canaries.digest(self._key, canary.id, rating.tenant, rating.user)
                if not self._queue(Event("rated_bad", user, release == canary.release)):
                    self._ratings.append(rating)
            elif rating.lookups < MOST_LOOKUPS:
                self._ratings.append(replace(rating, lookups=rating.lookups + 1))

    async def _look_up_scores(self, canary: Canary) -> None:
        read_at, newest = self._scores_read
        if SCORED_LOW not in canary.metrics or time.monotonic() < read_at + SCORES_EVERY:
            return
        for row in await canaries.scored_low(self._engine, canary, max(newest, canary.started_at)):
            if row.tenant not in canary.tenants:
                user = canaries.digest(self._key, canary.id, row.tenant, row.user)
                if not self._queue(Event(SCORED_LOW, user, row.release == canary.release)):
                    break  # it is read again
            newest = row.at
        self._scores_read = time.monotonic(), newest

    def _forget(self) -> None:
        self._scores_read = (0.0, datetime.min.replace(tzinfo=UTC))
        self._events.clear()
        self._sent.clear()
        self._ratings.clear()
        self._spent = 0
        self._trial = None
