"""Incidents in Postgres: opened by a page or by hand, noted, and closed with the change of the runbook (P4, K3).

Every text is cleaned (redacted) before it is stored. Rows stay when a user is erased, as those of the operators' log do: no
user's id is in them, and a call is linked by our own id of it.
"""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Executable, RowMapping, and_, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound
from app.oncall.incidents.grouping import Session, open_incident
from app.oncall.incidents.tables import incident_events, incidents
from app.oncall.incidents.titles import short_title

Severity = Literal["sev1", "sev2", "sev3", "sev4"]
SEVERITIES: Mapping[Severity, str] = {
    "sev1": "Callers get no answers, data leaks, or money is spent without a limit: everything else stops.",
    "sev2": "Many callers get errors or wrong answers, or a control that protects them does not work.",
    "sev3": "Answers are degraded or late, or a part that has a substitute is away; callers are served.",
    "sev4": "No caller notices; it needs a person in working hours.",
}
OF_PAGES: Mapping[str, Severity] = {"critical": "sev2", "error": "sev2", "page": "sev2", "ticket": "sev3", "info": "sev4"}
OPEN, CLOSED = "open", "closed"
SERVICE = "octant"
LONGEST_TITLE, LONGEST_TEXT, LONGEST_NAME = 200, 4000, 128
_PAGE = re.compile(r"[a-z0-9][a-z0-9/-]*\.md(#[a-z0-9-]+)?")
_TRACE = re.compile(r"[0-9a-f]{32}")
_CALL = text("SELECT id, trace_id FROM calls WHERE id = :id OR request_id = :id ORDER BY at DESC LIMIT 1")
NO_LABELS: Mapping[str, str] = {}
NO_WINDOW = timedelta(0)
Clean = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. ``runbook_page`` is None for a closed one that changed no page; ``runbook_change`` then says why."""

    id: uuid.UUID
    number: int
    title: str
    severity: str
    status: str
    commander: str | None
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    dedup_key: str | None
    runbook_page: str | None
    runbook_change: str | None

    @property
    def short(self) -> str:
        """Its title for a heading."""
        return short_title(self.title)


@dataclass(frozen=True, slots=True)
class RunbookChange:
    """The change of the runbook that came of an incident: its page and one sentence; without a page, why there is none."""

    page: str | None
    sentence: str

    def check(self) -> None:
        """Raise InvalidRequest for a page that is no path in the runbook, or without a sentence."""
        if self.page is not None and not _PAGE.fullmatch(self.page):
            raise InvalidRequest(f"{self.page!r} is no page of the runbook such as provider-outage.md.", param="runbook")
        if not self.sentence.strip():
            raise InvalidRequest("Say in one sentence how the page changed, or why no page does.", param="change")


def severity_of(page: str) -> Severity:
    """The severity of an incident that a page opens, from the page's own. An unknown one is sev3."""
    return next((known for known in get_args(Severity) if known == page), None) or OF_PAGES.get(page, "sev3")


async def incident_for_page(
    session: Session, *, dedup_key: str, title: str, severity: str, at: datetime, clean: Clean,
    labels: Mapping[str, str] = NO_LABELS, window: timedelta = NO_WINDOW,
) -> uuid.UUID:  # fmt: skip
    """Return the open incident of this page's fault (`grouping`); open one where there is none.

    ``dedup_key``, ``severity`` and ``labels`` are the page's. ``clean`` redacts. Raises DependencyUnavailable where it is
    opened and closed all the time.
    """
    key, title = clean(dedup_key), clean(title)[:LONGEST_TITLE]
    if joined := await open_incident(session, dedup_key, labels, at, window=window):
        return joined
    for _ in range(3):
        values = _values(title, severity_of(severity), by=SERVICE, at=at) | {"dedup_key": key}
        put = postgresql.insert(incidents).values(values)
        once = put.on_conflict_do_nothing(index_elements=["dedup_key"], index_where=incidents.c.status == text("'open'"))
        opened = (await session.execute(once.returning(incidents.c.id))).scalar_one_or_none()
        if opened:
            await session.execute(_event(opened, "opened", SERVICE, f"opened by a page: {title}", at=at))
            return uuid.UUID(str(opened))
        found = select(incidents.c.id).where(incidents.c.dedup_key == key, incidents.c.status == OPEN)
        if known := (await session.execute(found)).scalar_one_or_none():
            return uuid.UUID(str(known))
    raise DependencyUnavailable("The incident of this page is opened and closed all the time.", retry_after=1.0)


async def is_closed(session: Session, incident: uuid.UUID) -> bool:
    """Whether a person has closed it."""
    found = select(incidents.c.status).where(incidents.c.id == incident)
    return (await session.execute(found)).scalar_one_or_none() == CLOSED


async def led_by(session: Session, incident: uuid.UUID, person: str, at: datetime) -> None:
    """Who acknowledges its page leads an incident that no person leads yet, until another one takes it."""
    c = incidents.c
    free = update(incidents).where(c.id == incident, c.status == OPEN, c.commander.is_(None))
    if (await session.execute(free.values(commander=person).returning(c.id))).one_or_none():
        words = f"commander is {person}, who acknowledged the page"
        await session.execute(_event(incident, "commander", person, words, at=at))


class Incidents:
    """The store. Raises what SQLAlchemy raises where Postgres is away."""

    def __init__(self, engine: AsyncEngine, *, clean: Clean) -> None:
        """``clean`` redacts a text and makes it storable."""
        self.engine = engine
        self._clean = clean

    async def open(
        self, title: str, severity: str, *, by: str, at: datetime | None = None, commander: str | None = None
    ) -> Incident:
        """Open an incident by hand. Raises InvalidRequest for an empty title, an unknown severity or a time to come."""
        moment = _moment(at)
        values = _values(self._text(title, LONGEST_TITLE, "title"), _known(severity), by=self._clean(by), at=moment)
        values["commander"] = self._text(commander, LONGEST_NAME, "commander") if commander else None
        async with self.engine.begin() as connection:
            row = (await connection.execute(insert(incidents).values(values).returning(incidents))).mappings().one()
            await connection.execute(
                _event(row["id"], "opened", row["opened_by"], f"opened as {severity}: {row['title']}", at=moment)
            )
        return _incident(row)

    async def find(self, number: int | None) -> Incident:
        """One incident by its number; the open one for None. Raises NotFound, or InvalidRequest where several are open."""
        wanted = incidents.c.status == OPEN if number is None else incidents.c.number == number
        async with self.engine.connect() as connection:
            rows = (await connection.execute(select(incidents).where(wanted).order_by(incidents.c.number))).mappings().all()
        if not rows:
            raise NotFound("No incident is open. Name one by its number." if number is None else f"No incident {number}.")
        if len(rows) > 1:
            listed = ", ".join(f"{row['number']} ({row['title']})" for row in rows)
            raise InvalidRequest(f"Several incidents are open: {listed}. Name one by its number.", param="incident")
        return _incident(rows[0])

    async def list(self, *, since: datetime | None = None) -> Sequence[Incident]:
        """The open incidents; with ``since`` also those that were open after it. Newest first."""
        wanted = incidents.c.status == OPEN
        if since:
            wanted = or_(wanted, incidents.c.closed_at >= since)
        async with self.engine.connect() as connection:
            rows = await connection.execute(select(incidents).where(wanted).order_by(incidents.c.number.desc()))
            return [_incident(row) for row in rows.mappings()]

    async def note(self, incident: Incident, words: str, *, by: str, at: datetime | None = None) -> None:
        """Add a note, also to a closed incident."""
        async with self.engine.begin() as connection:
            cleaned = self._text(words, LONGEST_TEXT, "text")
            await connection.execute(_event(incident.id, "note", self._clean(by), cleaned, at=_moment(at)))

    async def assign(self, incident: Incident, commander: str, *, by: str) -> None:
        """Name the commander: the one person who decides."""
        name = self._text(commander, LONGEST_NAME, "commander")
        await self._change(incident, {"commander": name}, "commander", f"commander is {name}", by=by)

    async def set_severity(self, incident: Incident, severity: str, *, by: str, reason: str) -> None:
        """Change the severity. Raises InvalidRequest for an unknown one."""
        words = f"{incident.severity} -> {_known(severity)}: {self._text(reason, LONGEST_TEXT, 'reason')}"
        await self._change(incident, {"severity": severity}, "severity", words, by=by)

    async def link(self, incident: Incident, kind: Literal["call", "trace"], identity: str, *, by: str) -> None:
        """Link a call, by its id or its request's, or a trace. Raises NotFound for a call without a record.

        Only our own ids are kept: a request's id is the caller's and may name a person.
        """
        async with self.engine.begin() as connection:
            if kind == "call":
                found = (await connection.execute(_CALL, {"id": identity})).one_or_none()
                if found is None:
                    raise NotFound(f"No record of a call {identity!r}.")
                detail, words = {"call": found.id, "trace": found.trace_id}, f"call {found.id}, trace {found.trace_id}"
            elif _TRACE.fullmatch(identity):
                detail, words = {"trace": identity}, f"trace {identity}"
            else:
                raise InvalidRequest("A trace id is 32 hexadecimal digits.", param="trace")
            await connection.execute(_event(incident.id, "link", self._clean(by), words, at=_moment(None), **detail))

    async def close(self, incident: Incident, change: RunbookChange, *, by: str, at: datetime | None = None) -> Incident:
        """Close an incident with the change of the runbook that came of it. Raises InvalidRequest where it is closed."""
        change.check()
        moment = _moment(at)
        if moment < incident.opened_at:
            raise InvalidRequest("An incident is not closed before it was opened.", param="at")
        sentence = self._text(change.sentence, LONGEST_TEXT, "change")
        values = {
            "status": CLOSED, "closed_at": moment, "closed_by": self._clean(by), "runbook_page": change.page,
            "runbook_change": sentence,
        }  # fmt: skip
        words = f"closed; {change.page}: {sentence}" if change.page else f"closed; no page of the runbook changes: {sentence}"
        closed = await self._change(incident, values, "closed", words, by=by, at=moment, only=OPEN)
        if closed is None:
            raise InvalidRequest(f"Incident {incident.number} is closed already.", param="incident")
        return closed

    async def reopen(self, incident: Incident, reason: str, *, by: str) -> Incident:
        """Open a closed incident again: its close stays in the timeline, the runbook's change of it does not count.

        Raises InvalidRequest where it is open, or where another one of the same fault is.
        """
        values = dict.fromkeys(("closed_at", "closed_by", "runbook_page", "runbook_change"))
        words = f"opened again: {self._text(reason, LONGEST_TEXT, 'reason')}"
        try:
            opened = await self._change(incident, {"status": OPEN, **values}, "reopened", words, by=by, only=CLOSED)
        except IntegrityError:
            raise InvalidRequest(
                "Another incident of the same fault is open: `octant incident list` names it. Add a note to that one.",
                param="incident",
            ) from None
        if opened is None:
            raise InvalidRequest(f"Incident {incident.number} is open.", param="incident")
        return opened

    async def _change(
        self, incident: Incident, values: Mapping[str, Any], kind: str, words: str, *, by: str, at: datetime | None = None,
        only: str = "",
    ) -> Incident | None:  # fmt: skip
        which = incidents.c.id == incident.id
        if only:
            which = and_(which, incidents.c.status == only)
        async with self.engine.begin() as connection:
            changed = await connection.execute(update(incidents).where(which).values(values).returning(incidents))
            row = changed.mappings().one_or_none()
            if row is None:
                return None
            await connection.execute(_event(incident.id, kind, self._clean(by), words, at=_moment(at)))
        return _incident(row)

    def _text(self, words: str, longest: int, param: str) -> str:
        """Redact a text. Raises InvalidRequest for an empty or too long one."""
        if not words.strip():
            raise InvalidRequest("It is empty.", param=param)
        if len(words) > longest:
            raise InvalidRequest(f"It has {len(words)} characters; {longest} are allowed.", param=param)
        return self._clean(words.strip())


async def events_of(connection: AsyncConnection, incident: uuid.UUID) -> Sequence[RowMapping]:
    """The events of an incident, in the order in which they happened."""
    statement = select(incident_events).where(incident_events.c.incident_id == incident)
    return (await connection.execute(statement.order_by(incident_events.c.at, incident_events.c.id))).mappings().all()


def _values(title: str, severity: str, *, by: str, at: datetime) -> dict[str, Any]:
    return {"id": uuid.uuid4(), "title": title, "severity": severity, "status": OPEN, "opened_at": at, "opened_by": by}


def _event(incident: uuid.UUID, kind: str, actor: str, words: str, *, at: datetime, **detail: str) -> Executable:
    return insert(incident_events).values(incident_id=incident, at=at, kind=kind, actor=actor, text=words, detail=detail)


def _known(severity: str) -> str:
    if severity not in SEVERITIES:
        known = "\n".join(f"  {name}: {words}" for name, words in SEVERITIES.items())
        raise InvalidRequest(f"{severity!r} is no severity:\n{known}", param="severity")
    return severity


def _moment(at: datetime | None) -> datetime:
    """The time of an event, now for None. Raises InvalidRequest for one to come."""
    now = datetime.now(UTC)
    if at and at > now:
        raise InvalidRequest("The time lies ahead.", param="at")
    return at or now


def _incident(row: RowMapping) -> Incident:
    return Incident(**row)
