"""Actions on incidents, as `octant incident …`: open, note, change the severity, name the person who leads, close, open again."""

import shlex
from collections.abc import Iterator, Mapping
from functools import partial

from app.audit.actions import clean
from app.console.acting import Act, Asked, Choices
from app.console.commanded import REASON
from app.console.console import Console, link
from app.console.runbook_places import place_at, title_of
from app.console.sessions import Session
from app.domain.errors import InvalidRequest, NotFound
from app.domain.whole_numbers import whole_number
from app.oncall.incidents.runbooks import read_alerts
from app.oncall.incidents.store import SEVERITIES, Incident, Incidents, RunbookChange
from app.oncall.runbook.pages import read

BACK = "/console/oncall#incidents"
MOST_NUMBER = 2**62

Values = Mapping[str, str]


def actions(console: Console) -> Iterator[Act]:
    """The actions. Without a number each is of the open incident, if only one is open, as the commands are."""
    store = Incidents(console.parts.engine, clean=partial(clean, redactor=console.parts.redactor))
    on, choices = ("on",), partial(_choices, store)
    yield Act(
        name="incident-open", fields=("severity",), ask=_ask_open, do=partial(_open, store), back=BACK,
        label="Open an incident", positional=(REASON,), asks="Its title: what callers see, in a few words", choices=choices,
    )  # fmt: skip
    yield Act(
        name="incident-note", fields=on, optional=on, ask=partial(_ask_note, store), do=partial(_note, store), back=BACK,
        label="Add a note", positional=(REASON,), asks="Note, for the incident's timeline", choices=choices,
    )  # fmt: skip
    yield Act(
        name="incident-severity", fields=("severity", *on), optional=on, ask=partial(_ask_severity, store),
        do=partial(_severity, store), back=BACK, label="Change the severity", choices=choices,
    )  # fmt: skip
    yield Act(
        name="incident-assign", fields=("lead", *on), optional=("lead", *on), ask=partial(_ask_lead, store),
        do=partial(_lead, store), back=BACK, label="Take the lead", positional=("lead",), reasoned=False,
    )  # fmt: skip
    yield Act(
        name="incident-close", fields=("runbook", *on), optional=("runbook", *on), ask=partial(_ask_close, store),
        do=partial(_close, store), back=BACK, label="Close the incident", positional=(),
        options={"change": REASON, "no-change": REASON}, choices=choices,
        asks="How a page of the runbook changes, or why none does, in one sentence",
    )  # fmt: skip
    yield Act(
        name="incident-reopen", fields=on, ask=partial(_ask_reopen, store), do=partial(_reopen, store), back=BACK,
        label="Open an incident again", positional=on,
    )  # fmt: skip


async def _choices(store: Incidents, _: Values) -> Choices:
    return {
        "on": [(str(one.number), f"{one.number}: {one.short}") for one in await store.list()],
        "severity": [(name, f"{name}: {words}") for name, words in SEVERITIES.items()],
        "runbook": [(page.name, page.title) for page in read()],
    }


async def _incident(store: Incidents, values: Values) -> Incident:
    """The incident of this number; the open one without a number. Raises NotFound, or InvalidRequest where several are open."""
    text = values.get("on", "")
    number = whole_number(text, digits=19)
    if text and (number is None or number >= MOST_NUMBER):
        raise NotFound("An incident has a number, such as 1.")
    return await store.find(number)


def _on(one: Incident) -> str:
    return f" --on {one.number}"


async def _ask_open(values: Values) -> Asked:
    wanted = values["severity"]
    return Asked(
        title=f"Open an incident of {wanted}",
        effect=f"{_meaning(wanted)} You will lead it. Its timeline will begin with the fault.",
        command=f'octant incident open "…" --severity {wanted}', button="Open it", strong=False,
    )  # fmt: skip


async def _open(store: Incidents, values: Values, reason: str, session: Session) -> str:
    opened = await store.open(reason, values["severity"], by=session.actor, commander=session.actor)
    return f"Incident {opened.number} is open ({opened.severity})."


def _meaning(severity: str) -> str:
    """The definition of a severity. Raises InvalidRequest for an unknown one."""
    meaning = next((words for name, words in SEVERITIES.items() if name == severity), None)
    if meaning is None:
        raise InvalidRequest(f"{severity!r} is no severity: one of {', '.join(SEVERITIES)}.", param="severity")
    return meaning


async def _ask_note(store: Incidents, values: Values) -> Asked:
    one = await _incident(store, values)
    return Asked(
        title=f"Add a note to incident {one.number}",
        effect=f"Its timeline will get the note, with your name and the time: {one.short}.",
        command=f'octant incident note "…"{_on(one)}', button="Add it", strong=False, settled={"on": str(one.number)},
    )  # fmt: skip


async def _note(store: Incidents, values: Values, reason: str, session: Session) -> str:
    one = await _incident(store, values)
    await store.note(one, reason, by=session.actor)
    return f"It is in the timeline of incident {one.number}."


async def _ask_severity(store: Incidents, values: Values) -> Asked:
    one, wanted = await _incident(store, values), values["severity"]
    return Asked(
        title=f"Make incident {one.number} a {wanted}",
        effect=f"It is {one.severity} now, and will be {wanted}: {_meaning(wanted)}",
        command=f'octant incident severity {wanted} --reason "…"{_on(one)}', button=f"Make it {wanted}", strong=False,
        settled={"on": str(one.number)},
    )  # fmt: skip


async def _severity(store: Incidents, values: Values, reason: str, session: Session) -> str:
    one = await _incident(store, values)
    await store.set_severity(one, values["severity"], by=session.actor, reason=reason)
    return f"Incident {one.number} is {values['severity']} now."


async def _ask_lead(store: Incidents, values: Values) -> Asked:
    one, lead = await _incident(store, values), values.get("lead", "")
    now = f"{one.commander} leads it now." if one.commander else "No person leads it now."
    return Asked(
        title=f"Lead incident {one.number}" if not lead else f"Let {lead} lead incident {one.number}",
        effect=f"{now} {lead or 'You'} will: one person decides; the others do what that person says.",
        command=f"octant incident assign {shlex.quote(lead) if lead else 'NAME'}{_on(one)}", strong=False,
        button="Take the lead" if not lead else "Name them", settled={"on": str(one.number)},
    )  # fmt: skip


async def _lead(store: Incidents, values: Values, _: str, session: Session) -> str:
    one = await _incident(store, values)
    await store.assign(one, values.get("lead") or session.actor, by=session.actor)
    return f"Incident {one.number} has a person who leads it."


async def _ask_close(store: Incidents, values: Values) -> Asked:
    one = await _incident(store, values)
    page = values.get("runbook", "")
    alerts = await read_alerts(store.engine, one.id)
    place = page.replace(".md", "") or next(iter(alerts.places), "")
    still = f" {alerts.still}" if alerts.still else ""
    change = (
        "This page of the runbook is to change, by the sentence below."
        if page
        else "No page of the runbook is to change, for the reason below."
    )
    after = (
        "It was a drill: no postmortem is expected." if alerts.drilled
        else f"Its page will have the draft of its postmortem, which `octant incident show {one.number} --postmortem` prints."
    )  # fmt: skip
    sentence = f'--runbook {shlex.quote(page)} --change "…"' if page else '--no-change "…"'
    return Asked(
        title=f"Close incident {one.number}",
        effect=f"It will be closed. Close it only if it is over: callers are served as before.{still} {change} {after}",
        command=f"octant incident close {sentence}{_on(one)}", button="Close it", strong=False,
        settled={"on": str(one.number)}, undo=f'octant incident reopen {one.number} --reason "…"',
        undo_at=link("/console/do/incident-reopen", {"on": str(one.number)}),
        page=(title_of(place), place_at(place)) if place else ("", ""),
        asks="How this page changes, in one sentence" if page
        else "Why this page does not change, in one sentence" if place else "Why no page changes, in one sentence",
    )  # fmt: skip


async def _close(store: Incidents, values: Values, reason: str, session: Session) -> str:
    one, page = await _incident(store, values), values.get("runbook", "")
    if page and page.partition("#")[0] not in {each.name for each in read()}:
        raise NotFound(f"The runbook has no page {page[:64]!r}.")
    closed = await store.close(one, RunbookChange(page or None, reason), by=session.actor)
    return f"Incident {closed.number} is closed."


async def _ask_reopen(store: Incidents, values: Values) -> Asked:
    one = await _incident(store, values)
    if one.closed_at is None:
        raise InvalidRequest(f"Incident {one.number} is open.")
    return Asked(
        title=f"Open incident {one.number} again",
        effect=f"It was closed at {one.closed_at:%Y-%m-%d %H:%M} UTC by {one.closed_by}: {one.short}. It will be open"
        " again, and its timeline will go on.",
        command=f'octant incident reopen {one.number} --reason "…"', button="Open it again", strong=False,
        settled={"on": str(one.number)}, undo=f'octant incident close --no-change "…"{_on(one)}',
        undo_at=link("/console/do/incident-close", {"on": str(one.number)}),
    )  # fmt: skip


async def _reopen(store: Incidents, values: Values, reason: str, session: Session) -> str:
    opened = await store.reopen(await _incident(store, values), reason, by=session.actor)
    return f"Incident {opened.number} is open again."
