"""`octant incident …`: record an incident, from its opening to the draft of its postmortem."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes
from app.cli.database import database
from app.cli.operator import user_name
from app.cli.tables import print_line
from app.cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.oncall.incidents.store import Clean, Incident, Incidents, RunbookChange
    from app.oncall.incidents.timeline import Entry
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Incidents: open, note, close; the timeline is merged from every record.")

On = Annotated[int | None, typer.Option("--on", help="Number of the incident; the open one if only one is open.")]
At = Annotated[
    str | None, typer.Option(help="When it happened, as 2026-11-23T14:00 (UTC) or as an age such as 15m; now if left out.")
]
Severity = Annotated[str, typer.Option(help="sev1, sev2, sev3 or sev4: runbook/incidents.md defines them.")]
Number = Annotated[int | None, typer.Argument(help="Number of the incident; the open one if only one is open.")]


@app.command("open")
@changes("incident open")
def open_incident(
    title: Annotated[str, typer.Argument(help="What callers see, in a few words.")],
    severity: Severity = "sev3",
    commander: Annotated[str, typer.Option(help="The one person who decides; you, if left out.")] = "",
    at: At = None,
) -> None:
    """Open an incident. The commands, releases and pages of the last half hour are in its timeline already."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            me = user_name()
            opened = await incidents.open(title, severity, by=me, at=moment(at), commander=commander or me)
        print_line(f"Incident {opened.number} is open ({opened.severity}), commander {opened.commander}.")
        print('`octant incident note "…"` adds to its timeline; `octant incident show` prints it.')

    asyncio.run(run())


@app.command("note")
@changes("incident note")
def note(text: Annotated[str, typer.Argument(help="What you saw, tried or decided.")], on: On = None, at: At = None) -> None:
    """Add a line to the timeline, also of a closed incident."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            found = await incidents.find(on)
            await incidents.note(found, text, by=user_name(), at=moment(at))
        print(f"Noted in incident {found.number}.")

    asyncio.run(run())


@app.command("assign")
@changes("incident assign")
def assign(commander: Annotated[str, typer.Argument(help="The one person who decides.")], on: On = None) -> None:
    """Name the commander."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            found = await incidents.find(on)
            await incidents.assign(found, commander, by=user_name())
        print(f"Incident {found.number} has a new commander.")

    asyncio.run(run())


@app.command("severity")
@changes("incident severity")
def severity(
    new: Annotated[str, typer.Argument(help="sev1, sev2, sev3 or sev4.")],
    reason: Annotated[str, typer.Option(help="Why; the timeline shows it.")],
    on: On = None,
) -> None:
    """Change the severity."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            found = await incidents.find(on)
            await incidents.set_severity(found, new, by=user_name(), reason=reason)
        print(f"Incident {found.number} is {new} now.")

    asyncio.run(run())


@app.command("link")
@changes("incident link")
def link(
    call: Annotated[str, typer.Option(help="Id of a call, or its request's.")] = "",
    trace: Annotated[str, typer.Option(help="Id of a trace.")] = "",
    on: On = None,
) -> None:
    """Link a call or a trace that shows the fault."""
    from app.domain.errors import InvalidRequest

    if bool(call) == bool(trace):
        raise InvalidRequest("Name one call or one trace.", param="call")

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            found = await incidents.find(on)
            await incidents.link(found, "call" if call else "trace", call or trace, by=user_name())
        print(f"Linked to incident {found.number}.")

    asyncio.run(run())


@app.command("close")
@changes("incident close")
def close(
    runbook: Annotated[str, typer.Option(help="Page of the runbook that changes, such as provider-outage.md.")] = "",
    change: Annotated[str, typer.Option(help="The change, in one sentence.")] = "",
    no_change: Annotated[str, typer.Option(help="Why no page of the runbook changes.")] = "",
    draft: Annotated[
        bool | None,
        typer.Option("--draft/--no-draft", help="Whether a postmortem is drafted; by default, not of a drill."),
    ] = None,
    on: On = None,
    at: At = None,
) -> None:
    """Close an incident with the runbook's change, and draft its postmortem from the timeline.

    The draft is a new file in postmortems/ beside the runbook; where that folder is missing or read-only it is printed. A
    drill has none, unless you say --draft.
    """
    from app.oncall.incidents import postmortem as drafts
    from app.oncall.incidents.runbooks import read_alerts

    asked = _change(runbook, change, no_change)

    async def run() -> None:
        async with _incidents() as (incidents, clean, settings):
            folder = _runbook(settings)
            found = await incidents.find(on)
            _check_page(asked, folder)
            closed = await incidents.close(found, asked, by=user_name(), at=moment(at))
            print(f'Incident {closed.number} is closed. Too early? `octant incident reopen {closed.number} --reason "…"`.')
            alerts = await read_alerts(incidents.engine, closed.id)
            if alerts.still:
                print(f"{alerts.still} `octant oncall page list` shows it.")
            if draft if draft is not None else not alerts.drilled:
                _keep_draft(folder, closed, await drafts.drafted(incidents.engine, closed, folder, clean=clean))

    asyncio.run(run())


@app.command("reopen")
@changes("incident reopen")
def reopen(
    number: Annotated[int, typer.Argument(help="Number of the closed incident.")],
    reason: Annotated[str, typer.Option(help="Why; the timeline shows it.")],
) -> None:
    """Open an incident again that was closed too early: its timeline goes on. Close it once more when callers are served."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            opened = await incidents.reopen(await incidents.find(number), reason, by=user_name())
        print_line(f"Incident {opened.number} is open again ({opened.severity}), commander {opened.commander or 'not assigned'}.")

    asyncio.run(run())


@app.command("show")
def show(
    number: Number = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    postmortem: Annotated[bool, typer.Option("--postmortem", help="As the draft of a postmortem.")] = False,
) -> None:
    """Show an incident and its timeline: pages, acks, commands, releases, stops, canaries, notes. Times are UTC."""

    async def run() -> None:
        from app.oncall.incidents import postmortem as drafts
        from app.oncall.incidents.runbooks import places_of

        async with _incidents() as (incidents, clean, settings):
            found = await incidents.find(number)
            if postmortem:
                print(await drafts.drafted(incidents.engine, found, _runbook(settings), clean=clean))
                return
            entries = await _timeline(incidents, found, clean)
            async with incidents.engine.connect() as connection:
                place = (await places_of(connection, [found.id])).get(found.id, "")
        if as_json:
            print(json.dumps({**asdict(found), "timeline": [asdict(e) for e in entries]}, default=str, ensure_ascii=False))
        else:
            _print(found, place, entries)

    asyncio.run(run())


@app.command("list")
def list_incidents(
    since: Annotated[str | None, typer.Option(help="Closed ones too that were open after this time or age, such as 4w.")] = None,
) -> None:
    """List the open incidents, newest first."""

    async def run() -> None:
        async with _incidents() as (incidents, _, _):
            found = await incidents.list(since=moment(since))
        for one in found:
            ended = f"closed {one.closed_at:%Y-%m-%d %H:%M} UTC" if one.closed_at else "open"
            when = f"{one.opened_at:%Y-%m-%d %H:%M} UTC  {ended:<27}"
            print_line(f"{one.number:>5}  {one.severity}  {when}  {one.commander or '-'}  {one.title}")
        if not found:
            print("No incident is open." if since is None else "There was no incident.")

    asyncio.run(run())


@asynccontextmanager
async def _incidents() -> "AsyncGenerator[tuple[Incidents, Clean, Settings], None]":
    from app.audit.actions import clean
    from app.oncall.incidents.store import Incidents
    from app.security.redaction.redactor import Redactor

    async with database() as (engine, settings):
        redacted = partial(clean, redactor=Redactor(settings.secret))
        yield Incidents(engine, clean=redacted), redacted, settings


async def _timeline(incidents: "Incidents", incident: "Incident", clean: "Clean") -> "list[Entry]":
    from app.oncall.incidents.timeline import timeline

    return await timeline(incidents.engine, incident, clean=clean)


def _runbook(settings: "Settings") -> Path:
    """The runbook's folder: the log of rehearsals lies in it."""
    return settings.rehearsals_file.parent


def _change(runbook: str, change: str, no_change: str) -> "RunbookChange":
    """The runbook's change from the options; at a terminal it is asked for. Raises InvalidRequest."""
    from app.domain.errors import InvalidRequest
    from app.oncall.incidents.store import RunbookChange

    if not (runbook or change or no_change) and sys.stdin.isatty():
        runbook = typer.prompt("Page of the runbook that changes (empty: none does)", default="", show_default=False)
        words = typer.prompt("The change, in one sentence" if runbook else "Why does no page change")
        change, no_change = (words, "") if runbook else ("", words)
    if bool(no_change) == bool(runbook) or bool(runbook) != bool(change):
        raise InvalidRequest(
            'Name the change of the runbook that came of it: --runbook PAGE --change "…", or --no-change "why".', param="runbook"
        )
    asked = RunbookChange(runbook.removeprefix("runbook/") or None, change or no_change)
    asked.check()
    return asked


def _check_page(asked: "RunbookChange", folder: Path) -> None:
    """Raise NotFound for a page that the runbook lacks. Where there is no runbook, nothing can be checked."""
    from app.domain.errors import NotFound

    if asked.page and folder.is_dir() and not (folder / asked.page.partition("#")[0]).is_file():
        pages = ", ".join(sorted(path.name for path in folder.glob("*.md")))
        raise NotFound(f"The runbook has no page {asked.page}. Pages: {pages}.")


def _keep_draft(folder: Path, incident: "Incident", text: str) -> None:
    from app.oncall.incidents import postmortem as drafts

    try:
        path = drafts.write(folder, incident, text)
    except OSError as error:
        print(f"octant: {folder / drafts.FOLDER} takes no file ({type(error).__name__}). The draft follows.", file=sys.stderr)
        print(text)
    else:
        print(f"Draft of the postmortem: {path}. Finish it within three working days, and change the runbook.")


def _print(incident: "Incident", place: str, entries: "Sequence[Entry]") -> None:
    """``place``: of the runbook, by its alert; empty where none names one."""
    from app.oncall.incidents.timeline import others_words, parted

    page, _, anchor = place.partition("#")
    print_line(f"incident {incident.number}: {incident.title}")
    print_line(f"  {incident.severity}, {incident.status}, commander {incident.commander or 'not assigned'}")
    print_line(f"  opened {_utc(incident.opened_at)} by {incident.opened_by}")
    if place:
        print(f"  see runbook/{page}.md{f'#{anchor}' if anchor else ''}")
    if incident.closed_at:
        print_line(f"  closed {_utc(incident.closed_at)} by {incident.closed_by}")
        print_line(f"  runbook: {incident.runbook_page or 'no change'}: {incident.runbook_change}")
    own, others = parted(entries)
    for entry in own:
        _print_entry(entry)
    if others:
        print(f"{others_words(others)}:")
    for entry in others:
        _print_entry(entry)


def _print_entry(entry: "Entry") -> None:
    print_line(f"  {_utc(entry.at)}  {entry.kind:<8}  {entry.actor + ': ' if entry.actor else ''}{entry.text}")


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
