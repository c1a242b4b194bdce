"""The life of a page: triggered, acknowledged, resolved; and its timer, which pages the next level.

Every change is one transaction on Postgres' own clock, which locks the page first. A timer that is due is taken with
``SKIP LOCKED``; its page goes out by rows in `page_deliveries`, written with the timer's next time. So a process that is killed
loses no step and repeats none, except for the one request that it was sending (`deliveries`).
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Text, cast, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import InvalidRequest, NotFound, OctantError
from app.domain.store_errors import why
from app.oncall.incidents.store import is_closed
from app.oncall.paging import changes, outbox
from app.oncall.paging.alarms import LONGEST_SUMMARY, Alarm
from app.oncall.paging.changes import ACKNOWLEDGED, RESOLVED, TRIGGERED
from app.oncall.paging.drilled import is_drill
from app.oncall.paging.duty import FindOnCall, OnCall
from app.oncall.paging.maintenance import window_over
from app.oncall.paging.message import receivers_key
from app.oncall.paging.policy import Diagnose, IncidentForPage, Policy, no_diagnosis, no_incident
from app.oncall.paging.tables import page_events, page_timers, pages

LOCK = 0x0CA9
DIAGNOSED_WITHIN = 2.0  # seconds
_CLAUSE, _FIGURES = re.compile(r"[:,;]| since "), re.compile(r"[\d.%$]+")
OnEvent = Callable[[str], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page as it is now. ``level`` 0: it did not go out yet."""

    id: uuid.UUID
    dedup_key: str
    alert: str
    severity: str
    summary: str
    labels: Mapping[str, str]
    status: str
    triggered_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    ack_expires_at: datetime | None
    resolved_at: datetime | None
    level: int
    person: str | None
    incident_id: uuid.UUID | None
    test: bool

    @property
    def drill(self) -> bool:
        """Whether an operator drilled its alert (`drilled`)."""
        return is_drill(self.labels)


class Pages:
    """See the module. Every method raises what SQLAlchemy raises while Postgres is away."""

    def __init__(
        self,
        engine: AsyncEngine,
        policy: Policy,
        on_call: FindOnCall,
        *,
        incident_for: IncidentForPage = no_incident,
        diagnose: Diagnose = no_diagnosis,
        on_event: OnEvent = lambda _: None,
    ) -> None:
        """``diagnose`` says what is wrong as an alarm comes; ``on_event`` gets the name of each event that was stored."""
        self._engine = engine
        self._policy = policy
        self._on_call = on_call
        self._incident_for = incident_for
        self._diagnose = diagnose
        self._on_event = on_event

    async def take(self, alarm: Alarm, *, sent: Collection[str] = ()) -> str:
        """Take an alarm in. Returns the event that came of it; empty where nothing did.

        ``sent``: receivers that had it already, while Postgres was away.
        """
        diagnosis = await self._diagnosed(alarm)
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(LOCK, func.hashtext(alarm.key))))
            newest = select(pages).where(pages.c.dedup_key == alarm.key).order_by(pages.c.triggered_at.desc()).limit(1)
            row = (await connection.execute(newest.with_for_update())).one_or_none()
            now = await changes.now_of(connection)
            if row is not None and not _open(row) and row.resolved_at <= now - timedelta(seconds=self._policy.reopen_within):
                row = None  # over for long: the next is another page
            alarm = _in_words(alarm, diagnosis, row)
            other = bool(diagnosis) and row is not None and _fault(row.summary) != _fault(alarm.summary)
            if not alarm.firing:
                event = await _resolve(connection, row, now, by=alarm.links.get("source", ""))
            elif row is not None and _open(row):
                event = await self._repeat(connection, row, alarm, now, other=other)
            elif row is not None:
                event = await self._reopen(connection, row, alarm, now, other=other)
            else:
                event = await self._open(connection, alarm, now, sent)
        self._note(event)
        return event

    async def _diagnosed(self, alarm: Alarm) -> str | None:
        """What is wrong now. A page goes out in its alert's words rather than late, or not at all."""
        if not alarm.firing or alarm.test or is_drill(alarm.labels):
            return None
        try:
            async with asyncio.timeout(DIAGNOSED_WITHIN):
                return await self._diagnose(alarm)
        except (SQLAlchemyError, OctantError, OSError) as error:  # a TimeoutError is an OSError
            log.warning("a page without a diagnosis", extra=why(error))
            return None

    async def acknowledge(self, page_id: uuid.UUID, *, by: str, seconds: float | None = None) -> Page:
        """Stop the escalation for a time, by default the policy's. Raises NotFound, InvalidRequest for a resolved page."""
        async with self._engine.begin() as connection:
            row, now = await changes.locked(connection, page_id), await changes.now_of(connection)
            if row.status == RESOLVED:
                raise InvalidRequest("The page is resolved already.")
            until = now + timedelta(seconds=seconds or self._policy.ack_expires)
            changed = await changes.acknowledge(connection, row, until, now, by=by)
        self._note("acknowledged")
        return _page(changed)

    async def resolve(self, page_id: uuid.UUID, *, by: str) -> Page:
        """Resolve by hand. Raises NotFound, InvalidRequest for a resolved page."""
        async with self._engine.begin() as connection:
            row, now = await changes.locked(connection, page_id), await changes.now_of(connection)
            if row.status == RESOLVED:
                raise InvalidRequest("The page is resolved already.")
            changed = await changes.resolve(connection, row, now, by=by)
        self._note("resolved")
        return _page(changed)

    async def note(self, page_id: uuid.UUID, event: str, **detail: Any) -> None:  # noqa: ANN401 - JSON
        """Store an event that changes nothing else."""
        async with self._engine.begin() as connection:
            await changes.add_event(connection, page_id, event, **detail)

    async def run_timers(self) -> int:
        """Page again where a timer is due. Returns how many were."""
        count = 0
        while await self._run_timer():
            count += 1
        return count

    async def find(self, begin: str) -> Page:
        """The page whose id begins so. Raises NotFound, InvalidRequest where several do."""
        wanted = select(pages).where(func.starts_with(cast(pages.c.id, Text), begin.lower())).limit(2)
        async with self._engine.connect() as connection:
            found = (await connection.execute(wanted)).all()
        if not found or len(begin) < 4:
            raise NotFound(f"No page {begin!r}. `octant oncall page list --all` shows every page.")
        if len(found) > 1:
            raise InvalidRequest(f"More than one page begins with {begin!r}: give more of its id.")
        return _page(found[0])

    async def open_page(self, key: str) -> Page | None:
        """The page of this key that is not resolved."""
        wanted = select(pages).where(pages.c.dedup_key == key, pages.c.status != RESOLVED)
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return _page(row) if row else None

    async def newest(self, *, resolved: bool = False, limit: int = 50) -> list[Page]:
        """Pages, newest first; the ``resolved`` ones only if wanted."""
        wanted = select(pages).order_by(pages.c.triggered_at.desc()).limit(limit)
        if not resolved:
            wanted = wanted.where(pages.c.status != RESOLVED)
        async with self._engine.connect() as connection:
            return [_page(row) for row in await connection.execute(wanted)]

    async def open_by_status(self) -> dict[str, int]:
        """How many pages are triggered, and how many acknowledged."""
        wanted = select(pages.c.status, func.count().label("number")).where(pages.c.status != RESOLVED).group_by(pages.c.status)
        async with self._engine.connect() as connection:
            counted: dict[str, int] = {row.status: row.number for row in (await connection.execute(wanted)).all()}
        return {TRIGGERED: 0, ACKNOWLEDGED: 0, **counted}

    async def events(self, page_id: uuid.UUID) -> list[Row[Any]]:
        """The events of a page, in their order."""
        wanted = select(page_events).where(page_events.c.page_id == page_id).order_by(page_events.c.id)
        async with self._engine.connect() as connection:
            return list((await connection.execute(wanted)).all())

    async def _open(self, connection: AsyncConnection, alarm: Alarm, now: datetime, sent: Collection[str]) -> str:
        values = {
            "id": uuid.uuid4(),
            "dedup_key": alarm.key,
            "alert": alarm.alert,
            "severity": alarm.severity,
            "summary": alarm.summary,
            "labels": dict(alarm.labels),
            "status": TRIGGERED,
            "triggered_at": now,
            "level": 0,
            "incident_id": await self._incident(connection, alarm, now),
            "test": alarm.test,
        }
        row = (await connection.execute(insert(pages).values(values).returning(pages))).one()
        await outbox.forget_endings(connection, alarm.key)
        timer = {"page_id": row.id, "due_at": now, "round": 0, "links": dict(alarm.links)}
        await connection.execute(insert(page_timers).values(timer))
        await changes.add_event(connection, row.id, "triggered", sent=sorted(sent), **_listed(alarm))
        await outbox.already_sent(connection, row, sent, receivers_key(alarm.key, 1), timer["links"])
        return "triggered"

    async def _incident(self, connection: AsyncConnection, alarm: Alarm, now: datetime) -> uuid.UUID | None:
        """The incident of a page. A page goes out without one rather than not at all."""
        if alarm.test:
            return None
        try:
            async with connection.begin_nested():
                return await self._incident_for(
                    connection,
                    dedup_key=alarm.key,
                    title=alarm.summary,
                    severity=alarm.severity,
                    labels=alarm.labels,
                    at=now,
                    window=timedelta(seconds=self._policy.incident_window),
                )
        except (SQLAlchemyError, OctantError) as error:
            log.warning("no incident for a page", extra=why(error))
            return None

    async def _repeat(self, connection: AsyncConnection, row: Row[Any], alarm: Alarm, now: datetime, *, other: bool) -> str:
        """The group fires again. An alert that joins it calls from level 1: the person acknowledged it without that alert.

        So does an ``other`` fault, that keeps the same alert firing.
        """
        values, event = _said(alarm), "repeated"
        if row.status == ACKNOWLEDGED and (other or await self._joins(connection, row, alarm)):
            event = "joined"
            values |= {"status": TRIGGERED, "ack_expires_at": None, "level": 0}
            await changes.set_timer(connection, row.id, now)
        await changes.change(connection, row.id, **values)
        await changes.add_event(connection, row.id, event, **_listed(alarm))
        return event

    async def _reopen(self, connection: AsyncConnection, row: Row[Any], alarm: Alarm, now: datetime, *, other: bool) -> str:
        """The same page again. Acknowledged, it stays quiet as long as that lasts, unless an alert joins it; else it pages again.

        The same level is paged; for an alert that joins an acknowledged one, or an ``other`` fault, level 1, as in `_repeat`. So
        it is where the page's incident was closed: who closed it said that it is over, and an incident begins.
        """
        lasts = bool(row.ack_expires_at and row.ack_expires_at > now)
        closed = row.incident_id is not None and await is_closed(connection, row.incident_id)
        joined = closed or (lasts and (other or await self._joins(connection, row, alarm)))
        quiet = lasts and not joined
        values: dict[str, Any] = {"status": ACKNOWLEDGED if quiet else TRIGGERED, "resolved_at": None, **_said(alarm)}
        if closed:
            values["incident_id"] = await self._incident(connection, alarm, now)
        if not quiet:
            values |= {"level": 0 if joined else max(row.level - 1, 0), "ack_expires_at": None}
            await outbox.forget_endings(connection, row.dedup_key)
        await changes.change(connection, row.id, **values)
        due = row.ack_expires_at if quiet else now
        await changes.set_timer(connection, row.id, due)
        await changes.add_event(connection, row.id, "reopened", quiet=quiet, **_listed(alarm))
        return "reopened"

    @staticmethod
    async def _joins(connection: AsyncConnection, row: Row[Any], alarm: Alarm) -> bool:
        """Whether an alert fires that the page was not about until now."""
        return bool(set(alarm.fingerprints) - await changes.fingerprints(connection, row.id))

    async def _run_timer(self) -> bool:
        is_due = page_timers.c.due_at <= func.now()
        async with self._engine.connect() as connection:
            if await connection.scalar(select(page_timers.c.page_id).where(is_due).limit(1)) is None:
                return False
        on_call = await self._on_call(datetime.now(UTC))
        async with self._engine.begin() as connection:
            due = (
                select(pages, page_timers.c.round, page_timers.c.links)
                .join_from(page_timers, pages, pages.c.id == page_timers.c.page_id)
                .where(is_due)
                .order_by(page_timers.c.due_at)
                .limit(1)
                .with_for_update(of=(page_timers, pages), skip_locked=True)
            )
            row = (await connection.execute(due)).one_or_none()
            if row is None:
                return False
            names = await self._page_again(connection, row, on_call, await changes.now_of(connection))
        for name in names:
            self._note(name)
        return True

    async def _page_again(self, connection: AsyncConnection, row: Row[Any], on_call: OnCall, now: datetime) -> list[str]:
        """The next level, unless a maintenance window is open. Returns the events."""
        timer = update(page_timers).where(page_timers.c.page_id == row.id)
        over = await window_over(connection, {**row.labels, "alertname": row.alert}, now)
        if over and not row.test:
            await connection.execute(timer.values(due_at=over))
            await changes.add_event(connection, row.id, "suppressed", until=over.isoformat())
            return ["suppressed"]
        events, level = [], row.level
        if row.status == ACKNOWLEDGED:
            await changes.add_event(connection, row.id, "ack_expired", by=row.acknowledged_by)
            events, level = ["ack_expired"], 0
        level = level % len(on_call.people) + 1 if on_call.people else level + 1
        person = on_call.people[level - 1] if on_call.people else ""
        changed = await changes.change(connection, row.id, status=TRIGGERED, ack_expires_at=None, level=level, person=person)
        key = receivers_key(row.dedup_key, row.round + 1)
        await outbox.trigger(connection, changed, self._policy.receivers, key, row.links)
        next_time = now + timedelta(seconds=on_call.wait(level))
        await connection.execute(timer.values(due_at=next_time, round=row.round + 1))
        await changes.add_event(connection, row.id, "paged", level=level, person=person, round=row.round + 1)
        return [*events, "paged"]

    def _note(self, event: str) -> None:
        if event:
            self._on_event(event)


def _in_words(alarm: Alarm, diagnosis: str | None, row: Row[Any] | None) -> Alarm:
    """The alarm in the words of the diagnosis; where there is none any more, in those that its page has (``row``)."""
    kept = row.summary if diagnosis == "" and row is not None else ""
    return replace(alarm, summary=(diagnosis or kept or alarm.summary)[:LONGEST_SUMMARY])


def _fault(words: str) -> str:
    """What the words say is wrong, up to the first colon, comma or ``since``, without figures: those move while a fault lasts."""
    return _FIGURES.sub("", _CLAUSE.split(words, maxsplit=1)[0])


def _said(alarm: Alarm) -> dict[str, Any]:
    """The columns that say what fires now."""
    return {"summary": alarm.summary, "labels": dict(alarm.labels)}


def _listed(alarm: Alarm) -> dict[str, Any]:
    """The alerts of a group and their words, for an event: the page's own words change while it is open."""
    return {"summary": alarm.summary, "fingerprints": list(alarm.fingerprints), "left_out": alarm.left_out}


def _open(row: Row[Any] | None) -> bool:
    return row is not None and row.status != RESOLVED


def _page(row: Row[Any]) -> Page:
    return Page(**{name: getattr(row, name) for name in Page.__dataclass_fields__})


async def _resolve(connection: AsyncConnection, row: Row[Any] | None, now: datetime, *, by: str) -> str:
    if row is None or row.status == RESOLVED:
        return ""
    await changes.resolve(connection, row, now, by=by)
    return "resolved"
