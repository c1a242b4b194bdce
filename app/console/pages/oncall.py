"""On-call: the people now and next, the month, open pages with their actions, and incidents."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console import calendar, charts, formats, live
from app.console.console import ROUTES, SESSION, VIEWING, Console
from app.console.diagnosis import Diagnosis
from app.console.known import Known
from app.console.navigation import ONCALL
from app.console.pages.incident import changed_place
from app.console.pages.readiness import sources_of
from app.console.read_once import ReadOnce
from app.console.readiness.answers import KINDS, Evidence
from app.console.readiness.duty import alert_rules, tested
from app.console.runbook_places import place_at, title_of
from app.domain.errors import Misconfigured
from app.oncall.incidents import runbooks
from app.oncall.incidents.store import Incident, Incidents
from app.oncall.paging.changes import TRIGGERED, links_of
from app.oncall.paging.figures import Figures, figures, monday_of
from app.oncall.paging.pages import Page
from app.oncall.rota.covers import FILE, Covers
from app.oncall.rota.night import next_night
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.report import month as month_of
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import AHEAD, Duty, Shift, duties, shifts

WEEKS = 12
RECENT = timedelta(days=90)
MOST_OPEN = 200
MOST_NUMBER = 2**62


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the escalation: the duty now, and the next person's shift, if any comes."""

    duty: Duty
    next: Shift | None


@dataclass(frozen=True, slots=True)
class Happened:
    """What the stores know: open pages, incidents, figures of all and by week; the runbook's place for incidents and pages."""

    pages: Sequence[Page]
    incidents: Sequence[Incident]
    total: Figures
    weeks: Sequence[Figures]
    places: Mapping[UUID, str] = field(default_factory=dict)
    page_places: Mapping[UUID, str] = field(default_factory=dict)

    @property
    def numbers(self) -> Mapping[UUID, int]:
        """The incidents' numbers, by their ids."""
        return {one.id: one.number for one in self.incidents}


def router(console: Console, shared: ReadOnce[Diagnosis]) -> APIRouter:
    """The routes. ``shared``: what is wrong now, which stands beside what a page said when it was triggered."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/oncall")
    async def page(request: Request, month: str = "") -> Response:
        """The page."""
        now = datetime.now(UTC)
        values = await _values(console, shared, now)
        if rotation := values["rotation"]:
            values |= await _calendar(rotation, month, now)
            values["chart"] = _chart(values["happened"], rotation, now)
        return console.page(request, "oncall.html", ONCALL, **values)

    @made.get("/live/oncall")
    async def part(request: Request) -> Response:
        """Its live part: the duty, open pages and incidents."""
        session = request.scope[SESSION]

        async def write() -> str:
            waits = await console.waiting()
            values = await _values(console, shared, datetime.now(UTC))
            return console.fragment("parts/oncall.html", session=session, waiting=waits, **values)

        return live.stream(request, console, write)

    return made


async def _values(console: Console, shared: ReadOnce[Diagnosis], now: datetime) -> dict[str, Any]:
    """What the live part shows; without a rotation where its file cannot be read."""
    try:
        rotation = await asyncio.to_thread(load_rotation, console.parts.rotation_file)
    except (Misconfigured, OSError) as error:
        return {"kind": "bad", "words": "The rotation cannot be read.", "problem": str(error), "rotation": None}
    covers = Covers(console.parts.engine, file=console.parts.state_dir / FILE)
    found, answered = await covers.all(since=now - AHEAD)
    rotation = rotation.with_covers(tuple(cover.override for cover in found))
    levels = await asyncio.to_thread(_levels, rotation, now)
    known = await console.known.read("oncall", _happened(console, rotation, now))
    sources = sources_of(console, {})
    test = (await console.known.read("pager", tested(sources))).value
    rules = (await console.known.read("rules", alert_rules(sources))).value
    kind, words = answer(levels, known, test, rules)
    return {
        "kind": kind, "words": words, "problem": "", "rotation": rotation, "levels": levels, "now": now, "known": known,
        "night": (await asyncio.to_thread(next_night, rotation, now)).words, "happened": known.value, "covers": found,
        "answered": answered, "sent": console.parts.paging is not None, "test": test, "rules": rules,
        "title_of": title_of, "place_at": place_at, "environment": console.parts.environment,
        "wrong": await _wrong(shared, known),
        "test_kind": KINDS[test.state] if test else "none", "rules_kind": KINDS[rules.state] if rules else "none",
    }  # fmt: skip


async def _wrong(shared: ReadOnce[Diagnosis], known: Known[Happened]) -> str:
    """What is wrong now, in the first sentence of the first page; read only while a page is open, and Postgres answers."""
    if known.away or known.value is None or not known.value.pages:
        return ""
    read = await shared.read()
    return read.found.now if read.found and not read.known.away else ""


async def _calendar(rotation: Rotation, wanted: str, now: datetime) -> dict[str, Any]:
    today = now.astimezone(rotation.zone).date()
    first, problem = _month(wanted, today)
    return {
        "weeks": await asyncio.to_thread(calendar.month, rotation, first, today), "first": first,
        "earlier": _shifted(first, -1), "later": _shifted(first, 1), "problem": problem,
    }  # fmt: skip


def _levels(rotation: Rotation, now: datetime) -> list[Level]:
    coming = shifts(rotation, now, now + AHEAD)
    return [
        Level(duty, next((s for s in coming if s.level == duty.level and s.begin > now and s.person != duty.key), None))
        for duty in duties(rotation, now)
    ]


async def _happened(console: Console, rotation: Rotation, now: datetime) -> Happened:
    engine = console.parts.engine
    pages = await console.parts.pages.newest()
    listed = await Incidents(engine, clean=str).list(since=now - RECENT)
    total, weeks = await figures(engine, now - timedelta(weeks=WEEKS), now, rotation.zone)
    async with engine.connect() as connection:
        places = await runbooks.places_of(connection, [one.id for one in listed])
        links = {page.id: (await links_of(connection, page.id)).get("runbook", "") for page in pages}
    places = {one.id: places.get(one.id) or changed_place(one) for one in listed}
    of_pages = {page.id: runbooks.place_of(page.alert, links[page.id]) for page in pages}
    return Happened(pages, listed, total, weeks, places, of_pages)


def answer(
    levels: Sequence[Level], known: Known[Happened], test: Evidence | None, rules: Evidence | None = None
) -> tuple[str, str]:
    """The person to call now, the pages that wait for an answer, alerts that cannot come, and a pager that is not proved to work.

    ``test``: the newest test of the pager, ``rules``: whether alert rules are evaluated, as the readiness review has them; None
    where they are not known.
    """
    first = next((level.duty for level in levels if level.duty.person), None)
    if first is None or first.person is None:
        return "bad", "No person is on call now."
    until = f" until {formats.moment(first.until)}" if first.until else ""
    calm = f"{first.person.name} is on call{until}"
    if known.value is None:
        return "warn", f"{calm}; whether a page is open is not known."
    waiting = [page for page in known.value.pages if page.status == TRIGGERED]
    if waiting:
        number = formats.number(len(waiting), "page waits", "pages wait")
        return "bad", f"{number} for an answer. {calm}."
    if known.value.pages:
        return "warn", f"{calm}; {formats.number(len(known.value.pages), 'page is', 'pages are')} acknowledged and not over."
    gaps = [one for one in (rules, test) if one is not None and one.state != "proved"]
    gaps.sort(key=lambda one: one.state != "failing")
    kind = "bad" if any(one.state == "failing" for one in gaps) else "warn" if gaps else "good"
    return kind, " ".join([f"{calm}; no page is open.", *(f"{one.value[0].upper()}{one.value[1:]}." for one in gaps[:1])])


def _chart(happened: Happened | None, rotation: Rotation, now: datetime) -> dict[str, Any] | None:
    """Pages a week, those without one included: the bars add up to the figures beside them."""
    if happened is None or not happened.weeks:
        return None
    first, last = (monday_of(at, rotation.zone).date() for at in (now - timedelta(weeks=WEEKS), now))
    mondays = [first + timedelta(weeks=number) for number in range((last - first).days // 7 + 1)]  # the first is cut
    counted = {week.week.date(): week for week in happened.weeks if week.week}
    times = [datetime.combine(day, time(0), rotation.zone).astimezone(UTC) for day in mondays]
    values = [counted[day].pages if day in counted else 0 for day in mondays]
    return charts.spec(times, [("pages", values, "s1")], unit="pages", kind="bars")


def _month(text: str, today: date) -> tuple[date, str]:
    """The first day of a month in the address; this month's, with a sentence, where it is none."""
    try:
        return month_of(text or None, today)[0], ""
    except ValueError:
        return today.replace(day=1), "A month is written as 2026-12; this is the current one."


def _shifted(first: date, months: int) -> str:
    number = first.year * 12 + first.month - 1 + months
    return f"{number // 12:04}-{number % 12 + 1:02}"
