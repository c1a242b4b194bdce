"""`octant oncall …`: the people on call, the rotation's calendar, and covers. Changes are compared in `oncall_changes.py`."""

import shutil
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes
from app.cli.operator import actor
from app.cli.rota import covered, keep, loaded

if TYPE_CHECKING:
    from app.oncall.rota.covers import Cover
    from app.oncall.rota.rotation import Rotation
    from app.oncall.rota.shifts import Duty

app = typer.Typer(no_args_is_help=True, help="The on-call rotation.")

FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"]
At = Annotated[datetime | None, typer.Option(formats=FORMATS, help="Another time; UTC if it names no zone.")]
Month = Annotated[str | None, typer.Option(help="A month such as 2026-12; by default this one.")]
NEXT = timedelta(days=62)
AGAIN = (
    "then again from level 1, until a person acknowledges the page or it is over"  # `Pages` ends an escalation for nothing else
)


@app.command("now")
def now(at: At = None) -> None:
    """Show the person on call at each level, in order, and until when."""
    from app.oncall.rota.shifts import duties

    moment = _utc(at)
    rotation = covered(since=moment)
    found = duties(rotation, moment)
    for duty in found:
        print(f"level {duty.level}: {_about(rotation, duty)}")
    if not any(duty.person for duty in found):
        print("No person is on call. `octant oncall check` shows every gap.")
        raise typer.Exit(1)
    waits = ", ".join(f"{duty.minutes} at level {duty.level}" for duty in found)
    print(f"Minutes to wait for an answer before the next level is called: {waits}; {AGAIN}.")


@app.command("next")
def following(at: At = None) -> None:
    """Show the next hand-over at each level."""
    from app.oncall.rota.shifts import duties, shifts

    moment = _utc(at)
    rotation = covered(since=moment)
    coming = shifts(rotation, moment, moment + NEXT)
    for duty in duties(rotation, moment):
        then = next((s for s in coming if s.level == duty.level and s.begin > moment and s.person != duty.key), None)
        if then is None:
            print(f"level {duty.level}: no change in the next {NEXT.days} days")
            continue
        person = rotation.people[then.person]
        before = f" after {duty.person.name}" if duty.person else ""
        print(
            f"level {duty.level}: {local(rotation, then.begin)}  {person.name}  {person.phone}{before}, for {then.hours:g} hours"
        )


@app.command("handover")
def handover() -> None:
    """Show the plan by dates: the layers that are called, in order, and their people."""
    from app.oncall.rota.shifts import FAR, phases

    rotation, moment = loaded(), datetime.now(UTC)
    for phase, (begin, end) in phases(rotation):
        days = "" if end == FAR else f" to {local(rotation, end)} ({round((end - begin) / timedelta(days=1))} days)"
        mark = "  <- now" if begin <= moment < end else ""
        print(f"from {local(rotation, begin)}{days}: {phase.note}{mark}")
        for number, level in enumerate(phase.levels, start=1):
            people = ", ".join(_people_of(rotation, level.layers, begin, end))
            print(f"  level {number}: {' or '.join(level.layers)} ({people}), {level.minutes} minutes to answer")
        print(f"  {AGAIN}")


@app.command("calendar")
def calendar(month: Month = None) -> None:
    """Show a month, a cell for each day."""
    from app.oncall.rota.month import month_view

    rotation = covered(since=datetime.now(UTC) - timedelta(days=62))
    today = datetime.now(rotation.zone).date()
    first, _ = _month(month, today)
    for line in month_view(rotation, first, width=shutil.get_terminal_size().columns, today=today):
        print(line)


@app.command("ics")
def ics(
    person: Annotated[str | None, typer.Option(help="Only this person's shifts, by key.")] = None,
    days: Annotated[int, typer.Option(min=1, max=1100, help="So far ahead.")] = 365,
    out: Annotated[Path | None, typer.Option(help="Write them to this file.", dir_okay=False)] = None,
) -> None:
    """Write the shifts as an iCalendar file, without phones and addresses."""
    from app.domain.errors import NotFound
    from app.oncall.rota.feed import feed

    moment = datetime.now(UTC)
    rotation = covered(since=moment)
    if person is not None and person not in rotation.people:
        raise NotFound(f"{person} is no person of the rotation: one of {', '.join(rotation.people)}.")
    written = feed(rotation, moment, moment + timedelta(days=days), now=moment, person=person)
    if out is None:
        sys.stdout.write(written.decode())
        return
    out.write_bytes(written)
    print(f"{out}: {written.count(b'BEGIN:VEVENT')} shifts in the next {days} days")


@app.command("report")
def hours_of_each(
    month: Month = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Instead of a month: the first day.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
) -> None:
    """Show the hours of each person: at levels 1 and 2, in nights, at weekends and on holidays."""
    from app.domain.errors import InvalidRequest
    from app.oncall.rota import report as reports

    today = datetime.now(loaded().zone).date()
    first, end = _month(month, today)
    if since or until:
        if not (since and until) or month or since > until:
            raise InvalidRequest("Give either --month, or --since and --until in order.", param="since")
        first, end = since.date(), until.date() + timedelta(days=1)
    rotation = covered(since=datetime.combine(first, time(0), UTC) - timedelta(days=2))
    rows = reports.report(rotation, first, end)
    if as_csv:
        sys.stdout.write(reports.as_csv(rows))
        return
    print(f"{first} to {end - timedelta(days=1)}, nights 22:00 to 06:00, in the zones where people live")
    for line in reports.as_table(rows):
        print(line)


@app.command("cover")
@changes("oncall cover")
def cover(
    person: Annotated[str, typer.Argument(help="The person whose duties are covered, by key.")],
    until: Annotated[str, typer.Option(help="18:00, 2h, 90m or 2026-12-24T18:00; in the rotation's time zone.")],
    by: Annotated[str | None, typer.Option(help="The person who covers; by default the next one of the list.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="As --until; by default now.")] = None,
    reason: Annotated[str, typer.Option(help="Why; the operators' log shows it.")] = "",
) -> None:
    """Let another person take all duties of one for a time. It ends by itself."""
    from app.oncall.rota.covers import Cover, refuse_bad, stand_in
    from app.oncall.rota.until import read_until

    moment = datetime.now(UTC)
    rotation = covered(since=moment)
    begin = read_until(start, moment, rotation.zone) if start else moment
    end = read_until(until, max(moment, begin), rotation.zone)
    operator = actor()[:128]
    taker = by or (stand_in(rotation, person, begin, end) if person in rotation.people else person)
    entry = Cover(instead_of=person, by=taker, begins_at=begin, ends_at=end, entered_by=operator, reason=reason)
    refuse_bad(rotation, entry, moment)
    file = keep(entry)
    print(f"{taker} covers {person} from {local(rotation, begin)} until {local(rotation, end)}. It ends by itself.")
    _warn_of_doubles(rotation.with_covers((entry.override,)), entry)
    if file:
        print(f"Postgres does not answer: this is in {file}, and only processes with this state folder know it.")


@app.command("check")
def check(
    production: Annotated[
        bool, typer.Option("--production", help="Refuse placeholder people, as the production environment always does.")
    ] = False,
) -> None:
    """Check the rotation over the next 90 days. Exit code 1 lists every problem."""
    from app.oncall.rota.problems import HORIZON, notes, problems
    from app.settings import load

    strict = production or load().environment == "production"
    rotation, moment = loaded(), datetime.now(UTC)
    found = problems(rotation, moment, production=strict)
    for problem in found:
        print(problem)
    for note in notes(rotation, moment):
        print(f"note: {note}")
    if found:
        raise typer.Exit(1)
    print(f"The rotation holds for the next {HORIZON.days} days.")


def _utc(at: datetime | None) -> datetime:
    moment = at or datetime.now(UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def local(rotation: "Rotation", moment: datetime) -> str:
    """A time in the rotation's zone."""
    return f"{moment.astimezone(rotation.zone):%a %Y-%m-%d %H:%M %Z}"


def _about(rotation: "Rotation", duty: "Duty") -> str:
    """A level's person with phone and end; a person in whose zone it is night is called all the same."""
    if duty.person is None:
        return "no person is on duty"
    until = f"until {local(rotation, duty.until)}" if duty.until else f"for more than {NEXT.days} days"
    instead = f", instead of {rotation.people[duty.instead_of].name}" if duty.instead_of else ""
    also = f"; also, while the clocks change: {', '.join(rotation.people[key].name for key in duty.also)}" if duty.also else ""
    return f"{duty.key}: {duty.person.name}  {duty.person.phone}  {duty.person.mail}  {until}{instead}{also}"


def _people_of(rotation: "Rotation", layers: tuple[str, ...], begin: datetime, end: datetime) -> list[str]:
    """The people of the lists that hold at some time of a part of the plan, each once."""
    from app.oncall.rota.turns import HandOvers

    found: dict[str, None] = {}
    for layer in layers:
        lists = rotation.layers[layer]
        begins = [HandOvers.of(rotation, turns).span(0)[0] for turns in lists]
        for turns, starts, ends in zip(lists, begins, [*begins[1:], end], strict=True):
            if starts < end and begin < ends:
                found |= dict.fromkeys(turns.people)
    return list(found)


def _month(text: str | None, today: date) -> tuple[date, date]:
    from app.domain.errors import InvalidRequest
    from app.oncall.rota.report import month

    try:
        return month(text, today)
    except ValueError:
        raise InvalidRequest(f"{text!r} is no month such as 2026-12.", param="month") from None


def _warn_of_doubles(rotation: "Rotation", entry: "Cover") -> None:
    """Print a line for a person who is at two levels during a cover."""
    from app.oncall.rota.shifts import segments

    for part in segments(rotation, entry.begins_at, entry.ends_at):
        levels = [str(number) for number, people in enumerate(part.levels, start=1) if entry.by in people]
        if len(levels) > 1:
            print(f"Note: from {local(rotation, part.begin)}, {entry.by} is at levels {' and '.join(levels)} at once.")
            return
