"""Paging as one part of a process: takes alarms in, and runs timers, deliveries, spool and dead-man's switch.

Every process of the service does all of it, on the same rows: any one of them is enough.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app.domain.errors import DependencyUnavailable
from app.domain.periodic import Periodic
from app.domain.store_errors import why
from app.oncall.paging.alarms import Alarm
from app.oncall.paging.answers import UNKNOWN, Answer, Answers
from app.oncall.paging.deadman import Heartbeat, Watchdog
from app.oncall.paging.deliveries import Deliveries
from app.oncall.paging.pages import Pages
from app.oncall.paging.relay import Relay, no_person
from app.oncall.paging.spool import Spool

EVERY, WATCH_EVERY, READ_EVERY = 2.0, 5.0, 60.0
SPOOLED = "spooled"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PagingParts:
    """The parts that `Paging` runs."""

    pages: Pages
    deliveries: Deliveries
    spool: Spool
    relay: Relay
    watchdog: Watchdog
    heartbeat: Heartbeat
    answers: Answers | None = None
    first_person: Callable[[], Awaitable[str]] = no_person


class Paging:
    """See the module."""

    def __init__(self, parts: PagingParts, *, every: float = EVERY, on_event: Callable[[str], None] = lambda _: None) -> None:
        """``every``: seconds between two looks at the timers. ``on_event`` gets ``spooled``."""
        self.parts = parts
        self._on_event = on_event
        self._stack = AsyncExitStack()
        self._timers = self._loop("paging: timers", self._escalate, every)
        self._sending = self._loop("paging: deliveries", parts.deliveries.send_due, every)
        self._relaying = self._loop("paging: spool", parts.relay.run, every)
        watch_every = max(every, WATCH_EVERY)
        self._others = (
            self._loop("paging: watchdog", parts.watchdog.check, watch_every),
            self._loop("paging: heartbeat", parts.heartbeat.beat, watch_every),
            self._loop("paging: covers", parts.first_person, READ_EVERY),  # known then while Postgres is away
        )

    async def start(self) -> None:
        """Begin."""
        for loop in (self._timers, self._sending, self._relaying, *self._others):
            loop.start()
            self._stack.push_async_callback(loop.stop)

    async def aclose(self) -> None:
        """Stop; other processes go on, or this one after its next start."""
        await self._stack.aclose()

    async def take(self, alarm: Alarm) -> str:
        """Take an alarm in: it is in Postgres then, or in a file. Raises DependencyUnavailable where neither works."""
        try:
            if alarm.is_watchdog:
                await (self.parts.watchdog.seen() if alarm.firing else asyncio.sleep(0))
                return "watchdog"
            if await self._behind(alarm):
                return SPOOLED
            event = await self.parts.pages.take(alarm)
        except (SQLAlchemyError, OSError) as error:
            log.warning("Postgres takes no page", extra={**why(error), "alert": alarm.alert})
            return await self._spool(alarm)
        self._timers.wake()
        self._sending.wake()
        return event

    async def answer(self, answer: Answer) -> str:
        """Take a person's answer at a receiver in. Raises DependencyUnavailable while Postgres is away."""
        if self.parts.answers is None:
            return UNKNOWN
        try:
            event = await self.parts.answers.take(answer)
        except (SQLAlchemyError, OSError) as error:
            raise DependencyUnavailable("The answer cannot be stored right now.", retry_after=5.0) from error
        self._sending.wake()
        return event

    async def late(self) -> tuple[int, float]:
        """Pages that were not sent yet although they should: their number, and the seconds that the oldest has waited."""
        return await self.parts.deliveries.unsent()

    async def spooled(self) -> int:
        """Alarms in files."""
        return await asyncio.to_thread(self.parts.spool.waiting)

    async def _spool(self, alarm: Alarm) -> str:
        if alarm.is_watchdog:
            return "watchdog"  # the next one comes in a minute
        try:
            await asyncio.to_thread(self.parts.spool.add, alarm)
        except OSError as error:
            raise DependencyUnavailable("The page can be stored neither in Postgres nor in a file.", retry_after=5.0) from error
        self._on_event(SPOOLED)
        self._relaying.wake()
        return SPOOLED

    async def _behind(self, alarm: Alarm) -> bool:
        """Keep an alarm in a file behind an earlier one of its group, if one waits: an end that came first would end nothing.

        A disk that fails keeps no alarm from Postgres.
        """
        try:
            return await asyncio.to_thread(self.parts.spool.holds, alarm.key) and bool(await self._spool(alarm))
        except (OSError, DependencyUnavailable) as error:
            log.warning("the files of pages cannot be used", extra={**why(error), "alert": alarm.alert})
            return False

    async def _escalate(self) -> None:
        if await self.parts.pages.run_timers():
            self._sending.wake()

    def _loop(self, name: str, body: Callable[[], Awaitable[object]], every: float) -> Periodic:
        return Periodic(name, body, every=every, survives=(SQLAlchemyError, OSError), complaint="pages wait")
