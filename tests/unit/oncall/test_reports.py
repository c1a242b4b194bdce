"""The arithmetic of reports, compared with a naive reference (P4)."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise, takewhile
from statistics import fmean
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.incident_report import csv_of
from app.oncall.incidents.report import Limits, OfPerson, Page, Report, Tally, hours_of, mondays, summarise
from app.oncall.rota.clocks import joined

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 3, 16, tzinfo=UTC)  # the clocks go forward on 29 March
LENGTH = timedelta(weeks=5)
UNTIL = BEGIN + LENGTH
HOUR = timedelta(hours=1)


class Shifts:
    """Two people who change on Mondays at nine; served on workdays from eight to six. Read hour by hour."""

    def __init__(self, zone: ZoneInfo = BERLIN) -> None:
        self.zone = zone

    def serving(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        hours = takewhile(lambda at: at < until, (since.replace(minute=0) + n * HOUR for n in count()))
        return joined((at, at + HOUR) for at in hours if self._served(at))

    def _served(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        return local.weekday() < 5 and 8 <= local.hour < 18

    def changes(self, since: datetime, until: datetime) -> list[tuple[datetime, Sequence[str]]]:
        hours = takewhile(lambda at: at < until, (since.replace(minute=0) + n * HOUR for n in count(1)))
        found: list[tuple[datetime, Sequence[str]]] = [(since, self.people(since))]
        for at in hours:
            if self.people(at) != found[-1][1]:
                found.append((at, self.people(at)))
        return found

    def people(self, at: datetime) -> list[str]:
        local = at.astimezone(self.zone)
        week = (local - timedelta(hours=9)).date().isocalendar().week
        return ["ada", "bob"] if week % 2 else ["bob", "ada"]


spans = st.one_of(st.none(), st.integers(0, 20_000).map(lambda s: timedelta(seconds=s)))


def after(at: datetime, span: timedelta) -> datetime:
    """By elapsed time, not by the clock of a zone."""
    return (at.astimezone(UTC) + span).astimezone(at.tzinfo)


@st.composite
def a_page(draw: st.DrawFn) -> Page:
    at = BEGIN + timedelta(seconds=draw(st.integers(-86_400, int(LENGTH.total_seconds()) + 86_400)))
    at = at.astimezone(draw(st.sampled_from([UTC, BERLIN])))
    ack, end = draw(spans), draw(spans)
    return Page(
        alert=draw(st.sampled_from("abc")), person=draw(st.sampled_from(["ada", "bob", None])), triggered_at=at,
        acknowledged_at=None if ack is None else after(at, ack), resolved_at=None if end is None else after(at, end),
    )  # fmt: skip


def reference(pages: list[Page], keep: Callable[[Page], bool]) -> Tally:
    """One loop over the pages, one condition a line."""
    kept = [p for p in pages if BEGIN <= p.triggered_at < UNTIL and keep(p)]
    acked = [p.acknowledged_at.timestamp() - p.triggered_at.timestamp() for p in kept if p.acknowledged_at is not None]
    ended = [p.resolved_at.timestamp() - p.triggered_at.timestamp() for p in kept if p.resolved_at is not None]
    outside = 0
    for p in kept:
        local = p.triggered_at.astimezone(BERLIN)
        if local.weekday() in (5, 6) or local.hour not in range(8, 18):
            outside += 1
    mtta, mttr = (pytest.approx(fmean(times)) if times else None for times in (acked, ended))
    counts = {"pages": len(kept), "acknowledged": len(acked), "resolved": len(ended), "out_of_hours": outside}
    return Tally(**counts, mtta=mtta, mttr=mttr)  # type: ignore[arg-type] # approximately equal


def week(at: datetime) -> tuple[int, int]:
    return at.astimezone(BERLIN).date().isocalendar()[:2]


@given(st.lists(a_page(), max_size=40))
def test_every_figure_is_that_of_a_naive_reference(pages: list[Page]) -> None:
    found = summarise(pages, Shifts(), BEGIN, UNTIL)
    assert found.total == reference(pages, lambda _: True)
    for monday, counted in found.weeks:
        assert counted == reference(pages, lambda p, monday=monday: week(p.triggered_at) == week(monday))  # type: ignore[misc]
    for alert in found.alerts:
        assert alert.tally == reference(pages, lambda p, name=alert.alert: p.alert == name)  # type: ignore[misc]
    for one in found.people:
        assert one.tally == reference(pages, lambda p, name=one.person: (p.person or "unknown") == name)  # type: ignore[misc]
    groups = [[t for _, t in found.weeks], [a.tally for a in found.alerts], [p.tally for p in found.people]]
    for tallies in groups:
        assert sum(t.pages for t in tallies) == found.total.pages, "no page is lost, and none is counted twice"
        assert sum(t.unacknowledged for t in tallies) == found.total.unacknowledged
        assert sum(t.open for t in tallies) == found.total.open


@given(st.integers(0, 60_000), st.integers(1, 60_000))
def test_each_minute_of_a_span_is_one_persons_over_a_change_of_the_clocks(begin: int, length: int) -> None:
    since = BEGIN + timedelta(minutes=begin)
    until = since + timedelta(minutes=length)
    hours = hours_of(Shifts(), since, until)
    assert sum(whole for whole, _ in hours.values()) == pytest.approx(length / 60)
    naive = dict.fromkeys(hours, 0)
    for minute in range(0, length, 15) if begin % 15 == length % 15 == 0 else ():
        naive[Shifts().people(since + timedelta(minutes=minute))[0]] += 1
    assert all(count == pytest.approx(4 * hours[name][0]) for name, count in naive.items() if count)


def test_weeks_begin_at_local_midnight_and_those_without_pages_are_there() -> None:
    """Monday, 00:30 in Berlin is Sunday in UTC; the week in which the clocks go forward has 167 hours."""
    early = Page(alert="a", person=None, triggered_at=datetime(2026, 3, 29, 22, 30, tzinfo=UTC))
    found = summarise([early], Shifts(), BEGIN, UNTIL)
    assert [(monday.date(), t.pages) for monday, t in found.weeks] == [
        (date(2026, 3, 16), 0), (date(2026, 3, 23), 0), (date(2026, 3, 30), 1), (date(2026, 4, 6), 0), (date(2026, 4, 13), 0),
        (date(2026, 4, 20), 0),
    ]  # fmt: skip
    begins = [monday.astimezone(UTC) for monday in mondays(BEGIN, UNTIL, Shifts())]
    assert [(b - a) / timedelta(hours=1) for a, b in pairwise(begins)] == [168, 167, 168, 168, 168]


def test_a_time_to_recover_over_a_change_of_the_clocks_is_elapsed_time() -> None:
    """From 01:30 to 03:30 in Berlin, in the night in which the hour from two to three is left out."""
    at, end = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN), datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)
    page = Page(alert="a", person=None, triggered_at=at, resolved_at=end)
    assert summarise([page], Shifts(), BEGIN, UNTIL).total.mttr == 3600.0


def test_means_are_over_handled_pages_and_the_others_stand_beside_them() -> None:
    at = datetime(2026, 3, 18, 10, tzinfo=UTC)
    handled = Page(alert="a", person="ada", triggered_at=at, acknowledged_at=at + timedelta(seconds=60))
    found = summarise([handled, Page(alert="a", person="ada", triggered_at=at)], Shifts(), BEGIN, UNTIL).total
    assert (found.mtta, found.unacknowledged, found.mttr, found.open) == (60.0, 1, None, 2)


def noise(pages: list[Page], *commands: datetime) -> tuple[str, ...]:
    (alert,) = summarise(pages, Shifts(), BEGIN, UNTIL, commands=commands, limits=Limits(minutes=5, a_week=3)).alerts
    return alert.noise


def test_an_alert_is_noise_for_each_of_three_reasons_alone() -> None:
    def page(hours: int, minutes: float = 60, *, acked: bool = False) -> Page:
        at = datetime(2026, 3, 18, tzinfo=UTC) + timedelta(hours=hours)
        ack = at + timedelta(minutes=1) if acked else None
        return Page(alert="a", person=None, triggered_at=at, acknowledged_at=ack, resolved_at=at + timedelta(minutes=minutes))

    assert noise([page(0), page(2)]) == ()
    assert noise([page(0), page(2), page(4)]) == ()
    assert noise([page(0), page(2), page(4), page(6)]) == ("4 pages in one week",)
    assert noise([page(0), page(2), page(4), page(200)]) == ()
    assert noise([page(0, 5), page(2)]) == ("1 of 2 ended within 5 minutes",)
    assert noise([page(0, 5)]) == ()
    acked = [page(0, acked=True), page(2, acked=True)]
    assert noise(acked) == ("2 of 2 acknowledged without a command",)
    assert noise(acked, *(p.triggered_at + timedelta(minutes=3) for p in acked)) == ()


def test_the_report_as_csv_runs_no_formula_of_a_persons_name() -> None:
    """A name is that of a rotation, or what a pager answered. Many spreadsheets part the cells of a line at semicolons."""
    nothing = Tally(pages=0, acknowledged=0, resolved=0, out_of_hours=0, mtta=None, mttr=None)
    written = {
        "=HYPERLINK(1)": "'=HYPERLINK(1)", "Ann-Lee": "Ann-Lee", "Ann;=1+1;": "Ann;'=1+1;", "Ann; +1 234": "Ann;' +1 234",
        "A|@SUM(1)": "A|'@SUM(1)", "A\t=1": "A\t'=1",
    }  # fmt: skip
    people = [OfPerson(name, 1.0, 0.0, nothing) for name in written]
    found = Report(since=BEGIN, until=UNTIL, total=nothing, weeks=[], alerts=[], people=people)
    assert [line.split(",")[0] for line in csv_of(found).splitlines()] == ["person", *written.values()]
