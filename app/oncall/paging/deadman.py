"""The dead-man's switch in both directions.

In: `OctantWatchdog` fires all the time, so Prometheus, Alertmanager and the way from there to us work as long as it comes. Its
absence is a page of our own. Out: a heartbeat to a checker outside, which calls a person when it stops. It is sent only while
Postgres answers and no page waits to be sent, so it says that paging works, not that a process lives.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

import aiohttp
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import InvalidRequest, Misconfigured
from app.domain.store_errors import why
from app.oncall.paging.alarms import Alarm
from app.oncall.paging.pages import Pages
from app.oncall.paging.tables import paging_marks
from app.security.webhooks import Sessions, check_url

WATCHDOG_MARK, HEARTBEAT_MARK = "watchdog", "heartbeat"
MISSING = "OctantWatchdogMissing"
KEY = "octant:watchdog"
RUNBOOK = "paging.md#the-watchdog-is-missing"
Method = Literal["GET", "POST"]

log = logging.getLogger(__name__)


async def watchdog_at(engine: AsyncEngine) -> datetime | None:
    """When the watchdog alert last came; None where it never did, and paging did not wait for it either.

    Raises what SQLAlchemy raises while Postgres is away.
    """
    async with engine.connect() as connection:
        at: datetime | None = await connection.scalar(select(paging_marks.c.at).where(paging_marks.c.name == WATCHDOG_MARK))
    return at


class Watchdog:
    """The way in. One mark in Postgres serves all processes."""

    def __init__(
        self,
        engine: AsyncEngine,
        pages: Pages,
        *,
        after: float,
        runbook_url: str = "",
        on_age: Callable[[float], None] = lambda _: None,
    ) -> None:
        """``after``: seconds without the alert after which a page is opened; 0 opens none. ``on_age`` gets its age."""
        self._engine = engine
        self._pages = pages
        self._after = after
        self._runbook_url = runbook_url
        self._on_age = on_age
        self._judges_from: float | None = None

    async def seen(self) -> None:
        """The alert came."""
        async with self._engine.begin() as connection:
            put = postgresql.insert(paging_marks).values(name=WATCHDOG_MARK, at=func.now())
            await connection.execute(put.on_conflict_do_update(index_elements=["name"], set_={"at": func.now()}))

    async def check(self) -> bool:
        """Open a page if it is missing, resolve it if it is not. Returns whether it is missing.

        A process that starts, or whose Postgres was away, waits as long as the alert may be late: it could not come before.
        """
        if not self._after:
            return False
        try:
            age = await self._age()
        except (SQLAlchemyError, OSError):
            self._judges_from = None
            raise
        self._on_age(age)
        now = time.monotonic()
        if self._judges_from is None:
            self._judges_from = now + self._after
        missing = age > self._after
        is_open = await self._pages.open_page(KEY) is not None
        if (missing and not is_open and now >= self._judges_from) or (is_open and not missing):
            await self._pages.take(self._alarm(firing=missing))
        return missing

    async def _age(self) -> float:
        """Seconds since it came, or since paging was first turned on."""
        async with self._engine.begin() as connection:
            first = postgresql.insert(paging_marks).values(name=WATCHDOG_MARK, at=func.now())
            await connection.execute(first.on_conflict_do_nothing())
            since = func.extract("epoch", func.now() - paging_marks.c.at)
            found = await connection.scalar(select(since).where(paging_marks.c.name == WATCHDOG_MARK))
        return float(found or 0)

    def _alarm(self, *, firing: bool) -> Alarm:
        return Alarm(
            key=KEY,
            alert=MISSING,
            firing=firing,
            summary=f"No watchdog alert for {self._after / 60:g} minutes: Prometheus, Alertmanager or its way to us is down.",
            labels={"severity": "page"},
            links={"runbook": self._runbook_url + RUNBOOK} if self._runbook_url else {},
        )


class Heartbeat:
    """The way out: one request each ``every`` seconds, by whichever process is first."""

    def __init__(
        self,
        engine: AsyncEngine,
        http: Sessions,
        *,
        url: Callable[[], str],
        method: Method,
        every: float,
        healthy: Callable[[], Awaitable[bool]],
        on_outcome: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``healthy``: whether pages get out. ``on_outcome`` gets ``sent``, ``failed`` or ``withheld``."""
        self._engine = engine
        self._http = http
        self._url = url
        self._method = method
        self._every = timedelta(seconds=every)
        self._healthy = healthy
        self._on_outcome = on_outcome

    async def beat(self) -> str:
        """Send it if it is due here. Returns the outcome; empty where it is not due."""
        if not self._url():
            return ""
        try:
            if not await self._due():
                return ""
            outcome = await self._send() if await self._healthy() else "withheld"
        except (SQLAlchemyError, OSError):
            self._on_outcome("withheld")
            raise
        self._on_outcome(outcome)
        if outcome != "sent":
            log.error("no heartbeat to the outside checker", extra={"outcome": outcome})
        return outcome

    async def _due(self) -> bool:
        at = paging_marks.c.at
        put = postgresql.insert(paging_marks).values(name=HEARTBEAT_MARK, at=func.now())
        take = put.on_conflict_do_update(index_elements=["name"], set_={"at": func.now()}, where=at <= func.now() - self._every)
        async with self._engine.begin() as connection:
            return (await connection.execute(take.returning(paging_marks.c.name))).one_or_none() is not None

    async def _send(self) -> str:
        url = self._url()
        try:
            check_url(url, self._http.allowed_hosts)
            async with self._http.request(self._method, url) as answer:
                return "sent" if 200 <= answer.status < 300 else "failed"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidRequest, Misconfigured) as error:
            log.warning("heartbeat failed", extra=why(error))
            return "failed"
