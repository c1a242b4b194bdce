"""On-call: the persons of the next 3 a.m., the next 90 days, times to an answer, and the last test of the pager."""

import asyncio
from datetime import timedelta

from app.console import formats
from app.console.readiness.answers import Answer, Evidence, State, aged, missing, rehearsed
from app.console.readiness.sources import Sources
from app.domain.errors import Misconfigured
from app.oncall.paging.deadman import watchdog_at
from app.oncall.paging.figures import Figures, figures, newest_test
from app.oncall.rota.covers import current
from app.oncall.rota.night import next_night
from app.oncall.rota.problems import problems
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import Duty, duties
from app.oncall.self_test import PROMISED_SECONDS, state

QUESTION = "If it breaks at 3 a.m., which person is called, and how soon do they answer?"
COMMAND = "octant oncall now"
QUARTER = timedelta(days=90)
DAILY = timedelta(days=2)
RULES_LATE = timedelta(minutes=10)  # the watchdog alert comes each minute
PATIENCE = 900.0  # seconds that `octant oncall page --test` waits for an answer


async def answer(sources: Sources) -> Answer:
    """Read the rotation with its covers, pages of 90 days, the newest test page and the kill switch's self-test."""
    try:
        rotation = await asyncio.to_thread(load_rotation, sources.rotation_file)
    except (Misconfigured, OSError) as error:
        found = [Evidence(name="Rotation", value=str(error).splitlines()[0], state="failing", command="octant oncall check")]
        return Answer(axis="On-call", question=QUESTION, words="The rotation cannot be read.", evidence=found, command=COMMAND)
    rotation, _ = await current(rotation, sources.covers, since=sources.now)
    held = [duty for duty in duties(rotation, sources.now) if duty.person]
    found = [_now(held), *await asyncio.to_thread(_rotation, rotation, sources)]
    total, _ = await figures(sources.engine, sources.now - QUARTER, sources.now, rotation.zone)
    mtta = _mtta(total)
    found.append(of_pages(total))
    test = await tested(sources)
    found += [test, await alert_rules(sources), await _switch(sources)]
    night = await asyncio.to_thread(next_night, rotation, sources.now)
    end = f"; pages are acknowledged after {mtta}." if total.mtta is not None else f"; {test.value}."
    words = f"{'' if held else 'No person is on call now. '}{night.words}{end}"
    return Answer(axis="On-call", question=QUESTION, words=words, evidence=found, command=COMMAND)


def of_pages(total: Figures) -> Evidence:
    """Pages of 90 days, and how soon people acknowledged them: a gap where none shows it."""
    value = f"{formats.number(total.pages, 'page')} in 90 days, {total.acknowledged} acknowledged: {_mtta(total)}"
    value = value if total.pages else "no page in 90 days: how soon people acknowledge is not known"
    held: State = "proved" if total.acknowledged else "gaps"
    shown = "The first page that a person acknowledges shows it; `octant incident report` prints it then."
    return Evidence(
        name="Pages", value=value, state=held, closed_by=shown, link="/console/oncall", command="octant incident report"
    )


def _mtta(total: Figures) -> str:
    return f"{formats.seconds(total.mtta)} on average" if total.mtta is not None else "no page was acknowledged yet"


def _now(held: list[Duty]) -> Evidence:
    if not held:
        return Evidence(name="Now", value="no person is on call", state="failing", link="/console/oncall", command=COMMAND)
    named = ", ".join(f"level {duty.level} {duty.person.name}" for duty in held if duty.person)
    named += "" if len(held) > 1 else " alone: without an answer no second level is called"
    return Evidence(
        name="Now", value=named, state="proved" if len(held) > 1 else "gaps", link="/console/oncall", command=COMMAND,
        closed_by="Give the rotation a second level, as docs/oncall.md says; `octant oncall check` reads it.",
    )  # fmt: skip


def _rotation(rotation: Rotation, sources: Sources) -> list[Evidence]:
    wrong = problems(rotation, sources.now, production=False)
    examples = [person.name for person in rotation.people.values() if person.is_placeholder]
    value = "; ".join(wrong[:3]) if wrong else "no uncovered hour and no double duty in the next 90 days"
    held: State = "failing" if wrong else "proved"
    found = [Evidence(name="Rotation", value=value, state=held, link="/console/oncall#calendar", command="octant oncall check")]
    if examples:
        value = f"{len(examples)} of {len(rotation.people)} people are examples of this project"
        own = "Put your own into the rotation, as docs/oncall.md says; `octant oncall check` reads it."
        found.append(Evidence(name="Placeholders", value=value, state="gaps", closed_by=own, command="octant check --production"))
    return found


async def tested(sources: Sources) -> Evidence:
    """The newest test of the pager."""
    test = await newest_test(sources.engine)
    if test is None:
        return missing("Test of the pager", "the pager was never tested here", "octant oncall page --test")
    took = formats.seconds(test.seconds)
    by = f" by {test.by}" if test.by else ""
    value = (
        f"a test page was answered{by} after {took}"
        if test.answered
        else f"a test page had no answer within {took}, when it was ended"
    )
    held: State = aged(test.at, sources.now) if test.answered else "failing"
    if test.waits:
        value = f"a test page has had no answer for {took}: a person acknowledges it, in On-call or with octant oncall ack"
        held = "gaps" if test.seconds < PATIENCE else "failing"
    if test.answered and test.by.startswith("key:"):
        value = f"{value}: a key names no person, so it may not have been the one on duty"
        held = rehearsed(test.at, sources.now, kept=True, whole=False)
    if test.answered and test.by_a_machine:
        value = f"a test page reached {test.by}, a machine, which acknowledged it after {took}: no person's answer is known"
        held = rehearsed(test.at, sources.now, kept=True, whole=False)
    value += f"; it was sent by {' and '.join(test.receivers)}" if test.receivers else ""
    command = "octant oncall page --test"
    person = f"`{command}` pages the person on duty, who acknowledges it."
    return Evidence(name="Test of the pager", value=value, state=held, closed_by=person, at=test.at, command=command)


async def alert_rules(sources: Sources) -> Evidence:
    """Whether alerts reach the service: the watchdog alert of Prometheus, which fires all the time, comes or not."""
    name, command, link = (
        "Alert rules",
        "octant runbook the watchdog is missing",
        "/console/runbook/paging#the-watchdog-is-missing",
    )
    at = await watchdog_at(sources.engine)
    if at is not None and sources.now - at < RULES_LATE:
        since = formats.seconds(max(0.0, (sources.now - at).total_seconds()))
        value = f"they are evaluated: the watchdog alert of Prometheus came {since} ago"
        return Evidence(name=name, value=value, state="proved", at=at, link=link, command=command)
    value = "no alert rule is evaluated, so a fault calls no person: the watchdog alert of Prometheus "
    value += "has not come" if at is None else f"last came {formats.moment(at)}"
    closed = "`make tools` before `make demo` starts Prometheus and Alertmanager beside a demo; docs/paging.md has production's."
    return Evidence(name=name, value=value, state="gaps", closed_by=closed, at=at, link=link, command=command)


async def _switch(sources: Sources) -> Evidence:
    seen = await state(sources.engine)
    if seen.passed_ago is None:
        return missing("Kill switch", "its self-test has not passed yet", "octant kill self-test")
    at = sources.now - timedelta(seconds=seen.passed_ago)
    promise = f", from the stop's write to the store; the promise is {PROMISED_SECONDS:g} s"
    slowest = f", the slowest worker after {formats.seconds(seen.slowest)}{promise}" if seen.slowest is not None else ""
    held: State = "failing" if seen.failed else aged(at, sources.now, most=DAILY)
    value = f"all workers saw a stop{slowest}" if not seen.failed else "its newest self-test failed"
    command = "octant kill self-test"
    return Evidence(name="Kill switch", value=value, state=held, closed_by=f"`{command}` repeats it.", at=at, command=command)
