"""The timeline of an incident, merged from the records that the rooms keep anyway.

It begins with the fault: the first page, or before that the first failing provider or store. Of the time before, only a
possible cause stands in it: the newest change of the release, and stops that still held.

An event stands in it once: a release from its history and not also from the operators' log, a command that changes an incident
only as the incident's own event. Other rooms' tables are read by SQL, as the rooms do not import each other; a test runs each
statement against the migrated schema.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.oncall.incidents import outage
from app.oncall.incidents.asides import is_aside
from app.oncall.incidents.runbooks import NO_ALERTS, alerts_of
from app.oncall.incidents.store import Clean, Incident, events_of
from app.oncall.store_outages import Outage, outages

Kind = Literal["page", "ack", "command", "switch", "release", "canary", "budget", "incident", "note", "link", "provider", "store"]
LEAD = timedelta(minutes=30)  # a cause comes before its alert: a release, a stop
STILL = timedelta(minutes=5)  # an alert looks back: a fault that ended so shortly before it may be its own
SAME = timedelta(seconds=10)  # a stop and the row of its command
_STOP = re.compile(r"(stopped|released) (\S+) ?([^:]*)")
_HISTORY = frozenset(
    command + force
    for command in ("release activate", "rollback", "release promote", "release canary", "release abort")
    for force in ("", " --force")
)
_SHOWN = ("person", "by", "level", "reason", "channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. ``at`` is in UTC; ``actor`` is empty for the service. ``fails``: a provider that fails from here on.

    ``aside``: a change that touches nothing that the incident's alerts are about.
    """

    at: datetime
    kind: Kind
    actor: str
    text: str
    fails: str = ""
    aside: bool = False


_PAGES = text(
    """
    SELECT id, alert, severity, summary, person, triggered_at, acknowledged_at, acknowledged_by, resolved_at FROM pages
    WHERE NOT test AND (incident_id = :incident
        OR (incident_id IS NULL AND labels->>'drill' IS NULL AND triggered_at BETWEEN :since AND :until))
    """
)
_PAGE_EVENTS = text(
    "SELECT page_id, at, event, detail FROM page_events WHERE page_id = ANY(:pages) AND event <> 'answer_ignored' ORDER BY id"
)
_ACTIONS = text(
    """
    SELECT at, actor, action, subject, reason, outcome FROM actions
    WHERE at BETWEEN :since AND :until AND action NOT LIKE 'incident %' AND action NOT LIKE 'oncall ack%'
      AND action NOT LIKE 'console sign%'
    """
)
_STOPS = text("SELECT scope, name, stopped, by, reason, at FROM stops WHERE at BETWEEN :since AND :until AND scope <> 'test'")
_ACTIVATIONS = text(
    """
    SELECT release, previous, kind, by, reason, at FROM activations
    WHERE at BETWEEN :since AND :until AND NOT (by = 'setup' AND reason = 'first start')
    """
)
_CANARIES = text(
    """
    SELECT release, against, state, shares, by, reason, started_at, ended_at, ended_by, verdict FROM canaries
    WHERE started_at BETWEEN :since AND :until OR ended_at BETWEEN :since AND :until
    """
)
_BUDGET = text("""
    SELECT DISTINCT ON (scope, tenant, subject, "window") scope, tenant, share, at FROM budget_alerts
    WHERE at BETWEEN :since AND :until ORDER BY scope, tenant, subject, "window", at DESC, share DESC
""")

Window = Mapping[str, Any]


async def timeline(engine: AsyncEngine, incident: Incident, *, clean: Clean) -> list[Entry]:
    """Every entry of an incident, in order. Texts are redacted again: not every room redacts its operators' words."""
    async with engine.connect() as connection:
        begin = min([incident.opened_at, *await _pages_begin(connection, incident)])
        window: Window = {"incident": incident.id, "since": begin - LEAD, "until": incident.closed_at or datetime.now(UTC)}
        facts = await outage.facts(connection, window)
        stores = await outages(connection, window["since"], window["until"])
        lately = [one.at for one in facts if one.fails and (one.until is None or one.until >= begin - STILL)]
        begin = min([begin, *lately, *(one.began for one in stores if one.seen >= begin - STILL)])
        found = [*_of_stores(stores, window["until"])]
        found += [entry for source in _SOURCES for entry in await source(connection, window)]
        found += [Entry(at=one.at, kind="provider", actor="", text=one.words, fails=one.fails) for one in facts]
        found += [
            Entry(at=row["at"], kind=_kind(row["kind"]), actor=row["actor"], text=row["text"])
            for row in await events_of(connection, incident.id)
        ]
        alerts = await alerts_of(connection, incident.id) if await has_pages(connection) else NO_ALERTS
    ordered = _from(begin, sorted(found, key=lambda entry: entry.at))
    return [
        replace(
            e, at=e.at.astimezone(UTC), actor=clean(e.actor), text=_line(clean(e.text)), aside=is_aside(e.kind, e.text, alerts)
        )
        for e in ordered
    ]


def parted(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The entries of the incident, and the other changes of its time, which stand below them."""
    return [e for e in entries if not e.aside], [e for e in entries if e.aside]


def others_words(others: Sequence[Entry]) -> str:
    """The words above the other changes."""
    return f"Other changes at that time ({len(others):,})"


def _of_stores(away: Sequence[Outage], until: datetime) -> Iterator[Entry]:
    """The begin and the end of each outage, as far as they lie within the incident's time."""
    for one in away:
        get = "1 worker gets" if len(one.workers) == 1 else f"{len(one.workers)} workers get"
        yield Entry(at=one.began, kind="store", actor="", text=f"{get} no answer from {one.store}")
        if one.over and one.seen <= until:
            seconds = (one.seen - one.began).total_seconds()
            yield Entry(at=one.seen, kind="store", actor="", text=f"{one.store} answers again, after {seconds:.0f} s")


def _from(begin: datetime, entries: Sequence[Entry]) -> list[Entry]:
    """The entries from the fault on, and before it what may be its cause. ``entries``: in order."""
    begin -= SAME  # a drill's command is as old as its page
    before, shown = [e for e in entries if e.at < begin], _each_once(entries)
    causes = [e for e in before if e.kind in ("release", "canary")][-1:]
    for scope, name in _held(begin, entries):
        stops = [e for e in before if e.text.startswith((f"kill {scope}", f"stopped {scope}")) and name in e.text and e in shown]
        causes += [e for e in stops[-1:] if e.kind == "switch"]
    return [e for e in shown if e.at >= begin or e in causes]


def _held(begin: datetime, entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """The scope and name of each stop that held when the fault began: the newest row of a subject says so."""
    rows = ((entry, _STOP.match(entry.text)) for entry in entries if entry.kind == "switch")
    return {(row[2], row[3]) for entry, row in rows if row and (row[1] == "stopped" or entry.at >= begin)}


def _kind(kind: str) -> Kind:
    return "note" if kind == "note" else "link" if kind == "link" else "incident"


async def has_pages(connection: AsyncConnection) -> bool:
    """Whether this schema keeps pages: an older one does not."""
    return bool((await connection.execute(text("SELECT to_regclass('pages') IS NOT NULL"))).scalar_one())


async def _pages_begin(connection: AsyncConnection, incident: Incident) -> Sequence[datetime]:
    if not await has_pages(connection):
        return ()
    statement = text("SELECT triggered_at FROM pages WHERE incident_id = :incident AND NOT test")
    return (await connection.execute(statement, {"incident": incident.id})).scalars().all()


async def _of_pages(connection: AsyncConnection, window: Window) -> list[Entry]:
    if not await has_pages(connection):
        return []
    pages = {row.id: row for row in await connection.execute(_PAGES, window)}
    events = (await connection.execute(_PAGE_EVENTS, {"pages": list(pages)})).all()
    found, said = list[Entry](), dict[UUID, str]()
    for event in events:
        shown = ", ".join(f"{name} {event.detail[name]}" for name in _SHOWN if event.detail.get(name) not in (None, ""))
        level = event.detail.get("level")
        name = f"escalated to level {level}" if event.event == "paged" and isinstance(level, int) and level > 1 else event.event
        words = f"{name}: {pages[event.page_id].alert}" + (f" ({shown})" if shown else "")
        kind: Kind = "ack" if event.event.startswith(("ack", "resolve")) else "page"
        if new := _new_words(event, pages[event.page_id], said):
            words = f"{words}, {pages[event.page_id].severity}: {new}"
        found.append(Entry(at=event.at, kind=kind, actor="", text=words))
    known = {event.page_id for event in events}
    for page in (page for page in pages.values() if page.id not in known):
        found.append(
            Entry(at=page.triggered_at, kind="page", actor="", text=f"triggered: {page.alert}, {page.severity}: {page.summary}")
        )
        if page.acknowledged_at:
            found.append(
                Entry(at=page.acknowledged_at, kind="ack", actor=page.acknowledged_by or "", text=f"acknowledged: {page.alert}")
            )
        if page.resolved_at:
            found.append(Entry(at=page.resolved_at, kind="ack", actor="", text=f"resolved: {page.alert}"))
    return found


def _new_words(event: Row[Any], page: Row[Any], said: dict[UUID, str]) -> str:
    """The words that the page had at an event, where they are not those of the event before; ``said`` keeps these.

    An event of a service of before that keeps none has the page's words of now.
    """
    words = event.detail.get("summary") or (page.summary if event.event in ("trigger", "triggered") else "")
    if not words or said.get(event.page_id) == words:
        return ""
    said[event.page_id] = words
    return words


async def _of_commands(connection: AsyncConnection, window: Window) -> list[Entry]:
    found = []
    for row in await connection.execute(_ACTIONS, window):
        if row.action in _HISTORY and row.outcome == "ok":
            continue
        kind: Kind = "switch" if row.action.startswith("kill ") or row.action == "resume" else "command"
        words = " ".join(part for part in (row.action, row.subject, f"[{row.outcome}]", row.reason) if part)
        found.append(Entry(at=row.at, kind=kind, actor=row.actor, text=words))
    return found


async def _of_stops(connection: AsyncConnection, window: Window) -> list[Entry]:
    """The newest stop or release of each subject: also what no command did."""
    found = []
    for row in await connection.execute(_STOPS, window):
        words = f"{'stopped' if row.stopped else 'released'} {row.scope} {row.name}".strip()
        found.append(Entry(at=row.at, kind="switch", actor=row.by, text=f"{words}: {row.reason}" if row.reason else words))
    return found


async def _of_releases(connection: AsyncConnection, window: Window) -> list[Entry]:
    return [
        Entry(
            at=row.at,
            kind="release",
            actor=row.by,
            text=f"{row.kind}: {row.release} after {row.previous or 'none'}: {row.reason}",
        )
        for row in await connection.execute(_ACTIVATIONS, window)
    ]


async def _of_canaries(connection: AsyncConnection, window: Window) -> list[Entry]:
    found = []
    for row in await connection.execute(_CANARIES, window):
        start = f"canary {row.release} beside {row.against} starts at {row.shares[0]:.4g}: {row.reason}"
        found.append(Entry(at=row.started_at, kind="canary", actor=row.by, text=start))
        if row.ended_at:
            words = f"canary {row.release} {row.state}: {row.verdict or ''}"
            found.append(Entry(at=row.ended_at, kind="canary", actor=row.ended_by or "", text=words))
    return [entry for entry in found if window["since"] <= entry.at <= window["until"]]


async def _of_budget(connection: AsyncConnection, window: Window) -> list[Entry]:
    """Alerts of caps: of one user the highest threshold that was passed. The users' names are left out."""
    return [
        Entry(
            at=row.at, kind="budget", actor="", text=f"{row.share} % of {row.scope}" + (f" of {row.tenant}" if row.tenant else "")
        )
        for row in await connection.execute(_BUDGET, window)
    ]


_SOURCES: tuple[Callable[[AsyncConnection, Window], Awaitable[list[Entry]]], ...] = (
    _of_pages, _of_commands, _of_stops, _of_releases, _of_canaries, _of_budget,
)  # fmt: skip


def _each_once(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out a stop that stands there as a command too: its row says the same with less."""
    commands = [e for e in entries if e.kind == "switch" and e.text.startswith(("kill ", "resume "))]
    return [
        e
        for e in entries
        if not (
            e.kind == "switch"
            and e.text.startswith(("stopped ", "released "))
            and any(abs(c.at - e.at) <= SAME for c in commands)
        )
    ]


def _line(words: str) -> str:
    """A text on one line."""
    return " ".join(words.split())
