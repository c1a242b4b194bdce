"""Runbook: pages whose commands contained their fault in a rehearsal, pages read by a person, and placeholders."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from app.console import formats
from app.console.gamedays import reports
from app.console.readiness.answers import OLD, Answer, Evidence, State, missing
from app.console.readiness.sources import Sources
from app.console.rehearsed import Here, by_page, contained, counts, uncontained
from app.oncall.runbook.pages import GENERATED, LONGEST_UNREVIEWED, Page, faults, overdue, placeholders, read

QUESTION = "Can an engineer who did not build it mend it at night, with the runbook alone?"
COMMAND = "make runbook"
RECORDED = "recorded runs of another machine that came with the code"
UNTRIED = "no trial by a person who did not build it is on record"
READ = "A person reads each of them and writes the day into its line `Reviewed:`; `octant check --production` names those left."


async def answer(sources: Sources) -> Answer:
    """Read the pages: their form, their rehearsals and their reviews."""
    pages = await asyncio.to_thread(read, sources.root / "runbook")
    here = by_page(await asyncio.to_thread(reports, sources.state_dir))
    return judged(pages, sources.now, began=await sources.began(), here=here)


def judged(pages: list[Page], now: datetime, *, began: datetime | None = None, here: Mapping[str, Here] | None = None) -> Answer:
    """The answer from these pages. ``began``: when this installation did; ``here``: its game days, by the page they followed."""
    incidents, here = [page for page in pages if page.is_incident], here or {}
    elsewhere = sum(
        bool(page.rehearsed and began and page.rehearsed[0] <= began.date()) and not counts(page, here) for page in incidents
    )
    done = contained(incidents, here)
    if not incidents:
        template = "runbook/README.md says how a page is written."
        found = [missing("Pages", "there is no page of an incident", COMMAND, closed_by=template)]
        return Answer(
            axis="Runbook", question=QUESTION, words="There is no page of an incident.", evidence=found, command=COMMAND
        )
    rehearsed = _rehearsed(incidents, now, elsewhere, here)
    found = [_tried(incidents, now), rehearsed, *_reviewed(pages, now)]
    broken = [f"{page.name}: {fault}" for page in pages for fault in faults(page)]
    if broken:
        found.append(Evidence(name="Form", value="; ".join(broken[:3]), state="failing", command=COMMAND))
    if gaps := placeholders(pages):
        value = f"{formats.number(len(gaps), 'line')} still hold a placeholder, the first in {gaps[0].partition(':')[0]}"
        command = "octant check --production"
        names = f"Write your own names and numbers there; `{command}` lists the lines."
        found.append(
            Evidence(
                name="Placeholders", value=value, state="gaps", closed_by=names, link="/console/runbook/contacts", command=command
            )
        )
    words = (
        f"The commands of {len(done)} of {len(incidents)} incident pages contained their fault in a rehearsal"
        f"{_slowest(incidents, done, here, elsewhere)}{_where(len(done), elsewhere)}."
        if done
        else f"None of the {len(incidents)} incident pages was rehearsed yet."
    )
    return Answer(axis="Runbook", question=QUESTION, words=words, evidence=found, command=COMMAND)


def _tried(incidents: list[Page], now: datetime) -> Evidence:
    """Trials by people who did not build the service. A rehearsal that a program runs is none."""
    tried = [page.tried for page in incidents if page.tried]
    name, link, command = "Trial by an outsider", "/console/runbook/rehearsal", "octant runbook rehearsal"
    again = f"`{command}` says how such a trial is made and written down."
    if not tried:
        return Evidence(name=name, value=UNTRIED, state="gaps", closed_by=again, link=link, command=command)
    newest, slowest = max(day for day, _ in tried), max(minutes for _, minutes in tried)
    value = (
        f"a person who did not build it contained the fault of {len(tried)} of {formats.number(len(incidents), 'page')} with the"
        f" page alone, the slowest in {formats.rehearsed(slowest)}"
    )
    state: State = "stale" if newest + LONGEST_UNREVIEWED < now.date() else "proved"
    return Evidence(name=name, value=value, state=state, closed_by=again, at=newest, link=link, command=command)


def _slowest(incidents: list[Page], done: Mapping[str, tuple[date, float]], here: Mapping[str, Here], elsewhere: int) -> str:
    """The slowest of them; where some ran on another machine, that of each."""
    own = [done[page.title][1] for page in incidents if page.title in done and counts(page, here)]
    slowest = formats.rehearsed(max(minutes for _, minutes in done.values()))
    if not elsewhere:
        return f", the slowest in {slowest}"
    return f", the slowest here in {formats.rehearsed(max(own))}, of all in {slowest}" if own else f", the slowest in {slowest}"


def _where(number: int, elsewhere: int) -> str:
    return f"; {number - elsewhere} of them here, {elsewhere} in {RECORDED}" if elsewhere else ""


def _rehearsed(incidents: list[Page], now: datetime, elsewhere: int, here: Mapping[str, Here]) -> Evidence:
    days = [day for day, _ in contained(incidents, here).values()]
    failed = uncontained(incidents, here)
    never = [page.name.removesuffix(".md") for page in incidents if not page.rehearsed and not counts(page, here)]
    old = [day for day in days if day + OLD < now.date()]
    state: State = "missing" if not days else "stale" if old else "gaps" if never or failed or elsewhere else "proved"
    value = (
        f"{len(days)} of {len(incidents)}"
        + (f", {elsewhere} of them in {RECORDED}" if elsewhere else "")
        + (f"; not contained in the newest game day here: {', '.join(failed)}" if failed else "")
        + (f"; not yet: {', '.join(never)}" if never else "")
    )
    followed = f"`{COMMAND}` follows each page here and writes the day into it."
    return Evidence(
        name="Rehearsed pages",
        value=value,
        state=state,
        closed_by=followed,
        at=min(days, default=None),
        link="/console/runbook",
        command=COMMAND,
    )


def _reviewed(pages: list[Page], now: datetime) -> list[Evidence]:
    days = [page.reviewed for page in pages if page.reviewed]
    if not days:
        return [missing("Reviewed pages", "no page has a date of review", COMMAND, closed_by=READ)]
    late = overdue(pages, now.date())
    without = [page.title for page in pages if not page.reviewed and page.name != GENERATED]
    readable = sum(page.name != GENERATED for page in pages)
    value = (
        f"{len(days)} of {readable} pages, the oldest review {formats.span(timedelta(days=(now.date() - min(days)).days))} ago"
        + (f"; not reviewed: {', '.join(without)}" if without else "")
        + ("; the page of alerts is generated, and its sources are reviewed with the code" if readable < len(pages) else "")
    )
    if late:
        value = f"{formats.number(len(late), 'page')} overdue: {late[0].partition(' was ')[0]}"
    return [
        Evidence(
            name="Reviewed pages",
            value=value,
            state="stale" if late else "gaps" if without else "proved",
            closed_by=READ,
            at=min(days),
            link="/console/runbook",
        )
    ]
