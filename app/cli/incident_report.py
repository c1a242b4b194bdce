"""`octant incident report` and `octant incident handoff`: pages and people over weeks, and the state at a change of shift."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.database import database
from app.cli.incident import app
from app.cli.times import moment

if TYPE_CHECKING:
    from app.oncall.incidents.duty import Duties
    from app.oncall.incidents.report import Report, Tally

COLUMNS = (
    "person", "hours", "out_of_hours_hours", "pages", "out_of_hours_pages", "acknowledged", "unacknowledged", "open",
    "mtta_seconds", "mttr_seconds",
)  # fmt: skip


@app.command("report")
def report(
    since: Annotated[str, typer.Option(help="A time or an age, such as 4w.")] = "4w",
    as_csv: Annotated[bool, typer.Option("--csv", help="Hours and pages for each person, as CSV.")] = False,
    noisy_minutes: Annotated[float, typer.Option(min=0, help="A page that ended sooner counts as noise.")] = 5.0,
    noisy_week: Annotated[int, typer.Option(min=1, help="More pages of an alert in one week count as noise.")] = 5,
) -> None:
    """Report pages a week and by alert, the time to acknowledge and to recover, noise, and each person's load."""
    from app.oncall.incidents.report import Limits
    from app.oncall.incidents.report import report as computed
    from app.rooms import duties_of

    begin, now = moment(since), datetime.now(UTC)

    async def run() -> "tuple[Report, Duties]":
        async with database() as (engine, settings):
            duties = await duties_of(settings, engine)(begin or now)
            limits = Limits(noisy_minutes, noisy_week)
            return await computed(engine, duties, begin or now, now, limits=limits), duties

    found, duties = asyncio.run(run())
    if as_csv:
        sys.stdout.write(csv_of(found))
    else:
        _print(found, duties)


@app.command("handoff")
def hand_over() -> None:
    """Print the hand-over of a shift: open incidents and pages, silences, stops, releases, spend. The service sends it too."""
    from app.domain.money import from_dollars
    from app.oncall.incidents.handoff import handoff, message
    from app.rooms import allowed_of, duties_of
    from app.stores import build_valkey

    async def run() -> None:
        async with database() as (engine, settings):
            cap = from_dollars(settings.budget.global_daily_cap)
            now = datetime.now(UTC)
            valkey = build_valkey(settings)
            try:
                duties, allowed = await duties_of(settings, engine)(now), allowed_of(engine, valkey)
                found = await handoff(engine, duties, now, cap=cap, allowed=allowed)
            finally:
                await valkey.aclose()
        print(message(found))

    asyncio.run(run())


def csv_of(found: "Report") -> str:
    """Return the people's hours and pages as CSV."""
    from app.domain.csv_text import csv_text

    rows = []
    for one in found.people:
        t = one.tally
        mtta, mttr = ("" if mean is None else f"{mean:.0f}" for mean in (t.mtta, t.mttr))
        counts = (t.pages, t.out_of_hours, t.acknowledged, t.unacknowledged, t.open)
        rows.append([one.person, f"{one.hours:.2f}", f"{one.out_of_hours:.2f}", *counts, mtta, mttr])
    return csv_text(COLUMNS, rows)


def _print(found: "Report", duties: "Duties") -> None:
    print(f"pages from {found.since:%Y-%m-%d %H:%M} UTC to {found.until:%Y-%m-%d %H:%M} UTC; weeks and hours in {duties.zone}")
    print(f"  {'':24} pages  unacked   open  MTTA      MTTR      out of hours")
    _row("all", found.total)
    for monday, counts in found.weeks:
        _row(f"week of {monday:%Y-%m-%d}", counts)
    for alert in found.alerts:
        _row(alert.alert, alert.tally)
        for why in alert.noise:
            print(f"    noise: {why}")
    print("  on duty at the first level")
    for one in found.people:
        _row(f"{one.person} ({one.hours:.1f} h)", one.tally)
    print(f"incidents: {found.opened} opened, {found.closed} of them closed, after {_span(found.mean_open)} on average")
    print("MTTA and MTTR are means over the pages that were acknowledged and resolved; unacked and open ones are not in them.")


def _row(name: str, t: "Tally") -> None:
    share = f"{t.out_of_hours / t.pages:.0%}" if t.pages else "-"
    print(f"  {name:24} {t.pages:5}  {t.unacknowledged:7}  {t.open:5}  {_span(t.mtta):8}  {_span(t.mttr):8}  {share}")


def _span(seconds: float | None) -> str:
    from app.oncall.incidents.postmortem import duration

    return "-" if seconds is None else duration(timedelta(seconds=seconds))
