"""One incident: its actions, its containment by the runbook, the calls of its time, and its timeline."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.audit.actions import clean
from app.console import formats, live
from app.console.commanded import Button, Buttons, buttons_in
from app.console.console import ROUTES, SESSION, VIEWING, Console
from app.console.diagnosis import Diagnosis
from app.console.incident_actions import MOST_NUMBER
from app.console.navigation import ONCALL
from app.console.provider_strips import AGAIN, Strip
from app.console.read_once import ReadOnce
from app.console.runbook_html import html_of_section
from app.console.runbook_places import found_at, place_at, title_of
from app.console.sessions import Session
from app.console.waiting import led
from app.domain.errors import NotFound
from app.domain.whole_numbers import whole_number
from app.oncall.incidents import runbooks
from app.oncall.incidents.impact import Impact, impact_of
from app.oncall.incidents.postmortem import draft as postmortem
from app.oncall.incidents.postmortem import template_in
from app.oncall.incidents.store import SEVERITIES, Incident, Incidents
from app.oncall.incidents.timeline import Entry, others_words, parted, timeline
from app.oncall.paging.changes import TRIGGERED
from app.oncall.paging.pages import Page
from app.oncall.runbook.pages import Section, read

NONE_WELL = "provider-outage#no-provider-is-well"
FAILING = "provider-outage"  # the page whose first step it is while a provider fails
OF_ANSWERS = frozenset({"objectives#availability", "objectives#latency", "objectives#first-token"})  # a provider may be at fault
PROVIDER = "PROVIDER"
STOP = f"octant kill provider {PROVIDER}"
NO_OTHER = "Stop none: no other provider is well."
NAMED = {"provider": PROVIDER, "tenant": "TENANT", "feature": "FEATURE", "model": "MODEL", "user": "USER"}


def router(console: Console, shared: ReadOnce[Diagnosis]) -> APIRouter:
    """The routes. ``shared``: what is wrong now."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/oncall/incidents/{number}")
    async def incident(request: Request, number: str) -> Response:
        """One incident with its merged timeline."""
        values = await _values(console, shared, number, request.scope[SESSION])
        return console.page(request, "incident.html", ONCALL, title=f"Incident {number}", **values)

    @made.get("/live/oncall/incidents/{number}")
    async def incident_part(request: Request, number: str) -> Response:
        """The same, live while the incident is open."""
        session = request.scope[SESSION]

        async def write() -> str:
            return console.fragment("parts/incident.html", session=session, **await _values(console, shared, number, session))

        return live.stream(request, console, write)

    return made


async def _values(console: Console, shared: ReadOnce[Diagnosis], number: str, session: Session) -> dict[str, Any]:
    """What the page of an incident shows; it is ``live`` until the incident is closed."""
    wanted = whole_number(number, digits=19)
    if wanted is None or wanted > MOST_NUMBER:
        raise NotFound("An incident has a number, as in /console/oncall/incidents/1.")
    known = await console.known.read(("incident", number), _incident(console, wanted))
    seen = known.value
    one, (entries, others) = (seen.one, parted(seen.entries)) if seen else (None, ([], []))
    kind, words = described(one, entries, datetime.now(UTC))
    open_ = one is not None and one.closed_at is None
    how = await shared.read() if open_ else None
    now = how.found if how and not how.known.away else None
    contained = partial(_containment, strips=now.strips if now else None)
    return {
        "number": number, "known": known, "one": one, "entries": entries, "others": others,
        "others_words": others_words(others), "kind": kind, "words": words, "seen": seen,
        "live": one is None or open_, "link_of": _link_of,
        "since": lambda entry: from_opening(one.opened_at, entry.at) if one else "",
        "containment": await asyncio.to_thread(contained, console, seen, session) if seen and open_ else None,
        "now": now, "title_of": title_of, "place_at": place_at, "severities": SEVERITIES,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident with its timeline. ``impact``: of the calls that it is about. ``places``: the runbook's (`runbooks`), in order.

    ``waiting``: its pages without an answer. ``named``: values for words in capitals, from its alerts and failing providers.
    ``draft``: of its postmortem, once it is closed.
    """

    one: Incident
    entries: list[Entry]
    impact: Impact
    places: Sequence[str]
    drill: bool
    waiting: Sequence[Page]
    named: Mapping[str, str]
    failing: bool
    draft: str = ""

    @property
    def place(self) -> str:
        """The place that it is named by."""
        return self.places[0] if self.places else ""


@dataclass(frozen=True, slots=True)
class Containment:
    """The way that the runbook contains it. ``condition``: when its commands help; empty where they always do.

    ``buttons``: of the commands that fit what is wrong now. ``why_none``: the reason where none does. Where no provider is well
    there is none to stop: ``condition`` is the runbook's whole section on that, and ``people`` says to call some.
    """

    title: str
    href: str
    condition: Markup
    buttons: Sequence[Button]
    why_none: str = ""
    people: bool = False


async def _incident(console: Console, number: int) -> Seen:
    store = Incidents(console.parts.engine, clean=partial(clean, redactor=console.parts.redactor))
    one = await store.find(number)
    entries = await timeline(store.engine, one, clean=partial(clean, redactor=console.parts.redactor))
    failing = [entry for entry in entries if entry.fails]
    async with store.engine.connect() as connection:
        alerts = await runbooks.alerts_of(connection, one.id)
        counted = await impact_of(connection, one, entries, alerts)
    places = alerts.places or [*filter(None, [changed_place(one)])]
    named = {"PROVIDER": failing[0].fails} if failing else {}
    named |= {word: each[label] for each in alerts.labels for label, word in NAMED.items() if each.get(label)}
    waits = [page for page in await console.parts.pages.newest() if page.incident_id == one.id and page.status == TRIGGERED]
    draft = ""
    if one.closed_at and not alerts.drilled:
        template = await asyncio.to_thread(template_in, console.parts.rehearsals_file.parent)
        draft = postmortem(one, entries, counted, template)
    return Seen(one, entries, counted, places, alerts.drilled, waits, named, bool(failing), draft)


def changed_place(one: Incident) -> str:
    """The page of the runbook that an incident changed, as a place: it is the one that should have helped."""
    return (one.runbook_page or "").replace(".md", "", 1)


def _containment(console: Console, seen: Seen, session: Session, strips: Sequence[Strip] | None) -> Containment | None:
    """The steps of its alerts' places in the runbook; where they have none, and a provider may be at fault, those for that.

    A spent cap or a leaked key has no step of a provider, whichever provider fails beside it.

    ``strips``: the providers now; None where that is unknown. One that failed when the incident began may be the only one that is
    well now, and one that fails in part still answers: a stop would lose that.
    """
    stopped, why_none = _to_stop(strips)
    named = {word: value for word, value in seen.named.items() if word != PROVIDER or value in stopped}
    named |= {PROVIDER: stopped[0]} if len(stopped) == 1 else {}
    of_answers = not seen.places or not OF_ANSWERS.isdisjoint(seen.places)
    for place in (*seen.places, FAILING if seen.failing and of_answers else ""):
        title, section = found_at(place)
        if title is None or section is None:
            continue
        buttons = console.buttons(session, f"/console/oncall/incidents/{seen.one.number}", named)
        if STOP in section.text and why_none == NO_OTHER:
            return _none_well(buttons)
        fitting = buttons_in(section.text, buttons if PROVIDER in named else partial(_without_provider, buttons))
        if fitting or buttons_in(section.text, buttons):
            own = f"{place.partition('#')[0]}#{section.anchor}"
            return Containment(title_of(place), place_at(own), _html(own, section.condition), fitting, why_none)
    return None


def _none_well(buttons: Buttons) -> Containment:
    """The runbook's section for the time in which no provider is well: whom to call, and the message to callers."""
    section = found_at(NONE_WELL)[1]
    text = section.text if section else ""
    offered, shown = buttons_in(text, buttons), _html(NONE_WELL, text)
    return Containment(title_of(NONE_WELL), place_at(NONE_WELL), shown, offered, NO_OTHER, people=True)


@cache
def _html(place: str, text: str) -> Markup:
    """A text of a section of the runbook, with its links. The buttons of its commands stand below it."""
    pages, name = read(), f"{place.partition('#')[0]}.md"
    page = next((one for one in pages if one.name == name), None)
    return html_of_section(Section(place, 2, text), page, pages) if page and text else Markup()


def _to_stop(strips: Sequence[Strip] | None) -> tuple[Sequence[str], str]:
    """The providers whose stop costs no answer, and why there is none to stop."""
    if strips is None:
        return [], "It is not known now which provider fails."
    bad = [strip for strip in strips if strip.kind == "bad"]
    if not bad:
        return [], "No provider fails now, so there is none to stop."
    if not any(strip.kind == "good" or strip.word == AGAIN for strip in strips):
        return [], NO_OTHER
    away = [strip.name for strip in bad if strip.away]
    if not away:
        return [], f"{formats.listed([strip.name for strip in bad])} still answers in part: a stop would lose that."
    return away, f"{formats.listed(away)} fail: choose one." if len(away) > 1 else ""


def _without_provider(buttons: Buttons, command: str) -> Button | None:
    """The button of a command that is about no provider."""
    return None if PROVIDER in command else buttons(command)


def described(one: Incident | None, entries: Sequence[Entry], now: datetime) -> tuple[str, str]:
    """An incident in one sentence."""
    if one is None:
        return "none", "Nothing is known of this incident right now."
    leads = led(one.commander)
    length = formats.span((one.closed_at or now) - one.opened_at)  # "ago": the page counts on
    number = formats.number(len(entries), "entry", "entries")
    if one.closed_at is None:
        return "bad" if one.severity in (
            "sev1",
            "sev2",
        ) else "warn", f"{one.severity}, opened {length} ago, {leads}; {number} so far."
    change = f"changed {one.runbook_page}" if one.runbook_page else "changed no page of the runbook"
    return "good", f"{one.severity}, closed after {length}, {leads}; it {change}."


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
