"""On-call: the people now and next, the month, open pages with their actions, incidents and their timelines."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.actions import clean
from app.console import calendar, charts, formats, live
from app.console.acting import Act, Asked
from app.console.console import ROUTES, SESSION, VIEWING, Console, Elsewhere
from app.console.known import Known
from app.console.navigation import ONCALL
from app.console.pages.readiness import sources_of
from app.console.readiness.answers import KINDS, Evidence
from app.console.readiness.duty import tested
from app.console.sessions import Session
from app.domain.errors import InvalidRequest, Misconfigured, NotFound
from app.oncall.incidents import outage
from app.oncall.incidents.outage import Impact
from app.oncall.incidents.store import Incident, Incidents
from app.oncall.incidents.timeline import Entry, timeline
from app.oncall.paging import drilled
from app.oncall.paging.alarms import NO_RECEIVER, AlertmanagerMessage, alarm_for_test, alarm_of
from app.oncall.paging.changes import TRIGGERED
from app.oncall.paging.figures import Figures, figures, monday_of
from app.oncall.paging.pages import Page
from app.oncall.paging.paging import Paging
from app.oncall.rota.covers import FILE, Covers
from app.oncall.rota.night import next_night
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.report import month as month_of
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import AHEAD, Duty, Shift, duties, shifts
from app.oncall.runbook.pages import read

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
    """What the stores know: open pages, incidents, figures of all and by week."""

    pages: Sequence[Page]
    incidents: Sequence[Incident]
    total: Figures
    weeks: Sequence[Figures]


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/oncall")
    async def page(request: Request, month: str = "") -> Response:
        """The page."""
        now = datetime.now(UTC)
        values = await _values(console, now)
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
            values = await _values(console, datetime.now(UTC))
            return console.fragment("parts/oncall.html", session=session, waiting=waits, **values)

        return live.stream(request, console, write)

    @made.get("/oncall/incidents/{number}")
    async def incident(request: Request, number: str) -> Response:
        """One incident with its merged timeline."""
        values = await _seen(console, number)
        return console.page(request, "incident.html", ONCALL, title=f"Incident {number}", **values)

    @made.get("/live/oncall/incidents/{number}")
    async def incident_part(request: Request, number: str) -> Response:
        """The same, live while the incident is open."""

        async def write() -> str:
            return console.fragment("parts/incident.html", **await _seen(console, number))

        return live.stream(request, console, write)

    return made


async def _values(console: Console, now: datetime) -> dict[str, Any]:
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
    test = (await console.known.read("pager", tested(sources_of(console, {})))).value
    kind, words = answer(levels, known, test)
    return {
        "kind": kind, "words": words, "problem": "", "rotation": rotation, "levels": levels, "now": now, "known": known,
        "night": (await asyncio.to_thread(next_night, rotation, now)).words, "happened": known.value, "covers": found,
        "answered": answered, "sent": console.parts.paging is not None, "test": test,
        "test_kind": KINDS[test.state] if test else "none",
    }  # fmt: skip


async def _seen(console: Console, number: str) -> dict[str, Any]:
    """What the page of an incident shows; it is ``live`` until the incident is closed."""
    if not number.isascii() or not number.isdigit() or int(number) > MOST_NUMBER:
        raise NotFound("An incident has a number, as in /console/oncall/incidents/1.")
    known = await console.known.read(("incident", number), _incident(console, int(number)))
    seen = known.value
    one, entries = (seen.one, seen.entries) if seen else (None, [])
    kind, words = described(one, entries, datetime.now(UTC))
    return {
        "number": number, "known": known, "one": one, "entries": entries, "kind": kind, "words": words, "seen": seen,
        "live": one is None or one.closed_at is None, "impact_words": impact_words, "link_of": _link_of,
        "since": lambda entry: from_opening(one.opened_at, entry.at) if one else "",
    }  # fmt: skip


async def _calendar(rotation: Rotation, wanted: str, now: datetime) -> dict[str, Any]:
    today = now.astimezone(rotation.zone).date()
    first, problem = _month(wanted, today)
    return {
        "weeks": await asyncio.to_thread(calendar.month, rotation, first, today), "first": first,
        "earlier": _shifted(first, -1), "later": _shifted(first, 1), "problem": problem,
    }  # fmt: skip


def actions(console: Console) -> Iterator[Act]:
    """Send a test page, drill an alert, acknowledge a page, and resolve it."""
    pages = console.parts.pages

    async def ask_test(_: Mapping[str, str]) -> Asked:
        if console.parts.paging is None:
            raise InvalidRequest(NO_RECEIVER)
        if any(page.test for page in await pages.newest(resolved=False, limit=MOST_OPEN)):
            raise Elsewhere("/console/oncall#pages")  # that one is there, with its buttons
        return Asked(
            title="Send a test page", strong=False, button="Send it",
            effect="It calls the person on duty now, and without an answer the next level, as a real page does. The time to the"
            " acknowledgement is kept, and counts in no figure of real pages. Nothing is broken. A person has to"
            " acknowledge it, with its button on the On-call page or `octant oncall ack PAGE`; in a demo that is you, and its"
            " terminal has the page. Until then Readiness has a gap, and after 15 minutes a failure.",
            command="octant oncall page --test",
        )  # fmt: skip

    async def test(_values: Mapping[str, str], _: str, session: Session) -> str:
        await pages.take(alarm_for_test(session.actor))
        return "The test page is on its way. Acknowledge it below, as the person on call does; then resolve it."

    async def ask_ack(values: Mapping[str, str]) -> Asked:
        page = await pages.find(values["page"])
        return Asked(
            title=f"Acknowledge {page.alert}", strong=False, button="Acknowledge",
            effect=f"You have it: no further level is called, until the acknowledgement ends. {page.summary}",
            command=f"octant oncall ack {str(page.id)[:8]}",
        )  # fmt: skip

    async def acknowledge(values: Mapping[str, str], _: str, session: Session) -> str:
        page = await pages.find(values["page"])
        done = await pages.acknowledge(page.id, by=session.actor)
        return f"{done.alert} is acknowledged until {formats.utc(done.ack_expires_at)}."

    async def ask_resolve(values: Mapping[str, str]) -> Asked:
        page = await pages.find(values["page"])
        return Asked(
            title=f"Resolve {page.alert}", button="Resolve",
            effect=f"The page ends for every receiver; an alert that still fires pages again. {_unanswered(page)}{page.summary}",
            command=f"octant oncall page resolve {str(page.id)[:8]}",
        )  # fmt: skip

    async def resolve(values: Mapping[str, str], _: str, session: Session) -> str:
        page = await pages.find(values["page"])
        done = await pages.resolve(page.id, by=session.actor)
        return f"{done.alert} is resolved."

    yield Act(name="oncall-page", fields=(), ask=ask_test, do=test, back="/console/oncall")
    yield _drill(console)
    yield Act(name="oncall-ack", fields=("page",), ask=ask_ack, do=acknowledge, back="/console/oncall", reasoned=False)
    yield Act(name="oncall-page-resolve", fields=("page",), ask=ask_resolve, do=resolve, back="/console/oncall")


def _drill(console: Console) -> Act:
    """An alert as Alertmanager would post it, taken in by what answers its webhook."""

    def paging() -> Paging:
        drilled.allowed(console.parts.environment)
        if console.parts.paging is None:
            raise InvalidRequest(NO_RECEIVER)
        return console.parts.paging

    async def ask(_: Mapping[str, str]) -> Asked:
        paging()
        return Asked(
            title="Drill an alert", strong=False, button="Drill it",
            effect=f"The service takes {drilled.DEFAULT} in as it takes a message of Alertmanager's: a page calls the person on"
            " duty, and without an answer the next level; its link leads to the runbook; and an incident is open. All are marked"
            " as a drill and count in no figure. Nothing is broken. End the page with its button, and the incident with"
            ' `octant incident close --no-change "a drill"`.',
            command='octant oncall drill --reason "…"',
        )  # fmt: skip

    async def do(_: Mapping[str, str], _reason: str, session: Session) -> str:
        pages = await asyncio.to_thread(read)
        body = drilled.message_of(drilled.DEFAULT, session.actor, pages, datetime.now(UTC))
        event = await paging().take(alarm_of(AlertmanagerMessage.model_validate_json(json.dumps(body))))
        came = "open already" if event == drilled.AGAIN else event
        return f"{drilled.DEFAULT} is {came}: acknowledge its page below, follow its link, and see its incident."

    return Act(name="oncall-drill", fields=(), ask=ask, do=do, back="/console/oncall")


def _unanswered(page: Page) -> str:
    """A warning before a test page is resolved that has no answer; empty for others."""
    if not page.test or page.acknowledged_at:
        return ""
    return "It was not acknowledged: resolved now, this test counts as one without an answer, a failure in Readiness. "


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
    return Happened(pages, listed, total, weeks)


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident with its timeline. ``impact``: of its calls from the first failing provider on. ``runbook``: a page's name."""

    one: Incident
    entries: list[Entry]
    impact: Impact
    runbook: str


async def _incident(console: Console, number: int) -> Seen:
    store = Incidents(console.parts.engine, clean=partial(clean, redactor=console.parts.redactor))
    one = await store.find(number)
    entries = await timeline(store.engine, one, clean=partial(clean, redactor=console.parts.redactor))
    failing = [entry.at for entry in entries if entry.kind == "provider"]
    async with store.engine.connect() as connection:
        counted = await outage.impact(connection, min([one.opened_at, *failing]), one.closed_at)
        page = await outage.runbook_of(connection, one.id)
    changed = (one.runbook_page or "").partition("#")[0].removesuffix(".md")
    return Seen(one, entries, counted, page or changed or ("provider-outage" if failing else ""))


def impact_words(impact: Impact) -> str:
    """The impact in one line: the calls that failed, their users, and the calls that another model answered."""
    if not impact.calls:
        return "No call came in its time."
    failed, users = formats.number(impact.failed, "call"), formats.number(impact.users, "user")
    lost = f"{failed} of {users} failed" if impact.failed else "No call failed"
    return f"{lost}, of {formats.count(impact.calls)}; a fallback answered {formats.count(impact.fallen_back)}."


def answer(levels: Sequence[Level], known: Known[Happened], test: Evidence | None) -> tuple[str, str]:
    """One sentence: the person to call now, the pages that wait for an answer, and a pager that is not proved to work.

    ``test``: the newest test of the pager as the readiness review has it; None where it is not known.
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
        return "bad", f"{number} for an answer, the newest: {waiting[0].summary.rstrip('.')}. {calm}."
    if known.value.pages:
        return "warn", f"{calm}; {formats.number(len(known.value.pages), 'page is', 'pages are')} acknowledged and not over."
    if test is None or test.state == "proved":
        return "good", f"{calm}; no page is open."
    return "bad" if test.state == "failing" else "warn", f"{calm}; no page is open. {test.value[0].upper()}{test.value[1:]}."


def described(one: Incident | None, entries: Sequence[Entry], now: datetime) -> tuple[str, str]:
    """An incident in one sentence."""
    if one is None:
        return "none", "Nothing is known of this incident right now."
    leads = f"led by {one.commander}" if one.commander else "without a commander"
    length = formats.span((one.closed_at or now) - one.opened_at)  # "ago": the page counts on
    number = formats.number(len(entries), "entry", "entries")
    if one.closed_at is None:
        return "bad" if one.severity in (
            "sev1",
            "sev2",
        ) else "warn", f"{one.severity}, opened {length} ago, {leads}; {number} so far."
    change = f"changed {one.runbook_page}" if one.runbook_page else "changed no page of the runbook"
    return "good", f"{one.severity}, closed after {length}, {leads}; it {change}."


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


def from_opening(opened: datetime, at: datetime) -> str:
    """How long before or after an incident was opened, in whole seconds: ``-12.0 s``, ``0 s``, ``+3 min 20 s``."""
    seconds = round((at - opened).total_seconds())
    if not seconds:
        return "0 s"  # these are whole seconds, and a length of none would be in milliseconds
    return f"{'-' if seconds < 0 else '+'}{formats.seconds(abs(seconds))}"


def _link_of(entry: Entry) -> str:
    """Where an entry's call or trace is shown."""
    if entry.kind != "link" or "trace " not in entry.text:
        return ""
    trace = entry.text.rpartition("trace ")[2]
    return f"/console/traces/{trace}" if trace.isalnum() else ""
