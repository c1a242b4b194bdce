"""The month in the terminal, the calendar feed, the report of hours, and times that people type (P2)."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rotas import BERLIN, DATA, NOW, one_layer, rotation

from app.cli.times import moment
from app.domain.errors import InvalidRequest
from app.oncall.rota.feed import feed, read_feed
from app.oncall.rota.month import month_view, short_names
from app.oncall.rota.report import as_csv, as_table, month, report
from app.oncall.rota.shifts import shifts
from app.oncall.rota.until import read_until

YEAR = (NOW, NOW + timedelta(days=365))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_month_shows_every_day_with_its_people_in_the_width_of_the_terminal(width: int) -> None:
    lines = list(month_view(rotation(holidays=[{"date": "2026-12-25", "name": "Christmas Day"}]), date(2026, 12, 1), width=width))
    assert lines[0] == "December 2026, times of Europe/Berlin"
    grid = "\n".join(lines)
    for day in range(1, 32):
        assert f"\n{day}" in grid or f" {day}" in grid
    assert "25*" in grid
    assert lines[-1] == "*25: Christmas Day"
    assert all(len(line) <= max(width, 57) for line in lines if not line.startswith(tuple(DATA["people"])))
    assert "bob>ann" in grid or "b>a" in grid, "the hand-over of the day"


def test_short_names_stay_different_however_short() -> None:
    keys = ["agency-one", "agency-two", "client-one", "client-two", "x"]
    for most in (3, 4, 6, 9, 20):
        names = short_names(keys, most)
        assert len(set(names.values())) == len(keys)
        assert all(len(name) <= most for name in names.values())
    assert short_names(keys, 3)["agency-two"] == "at"


def test_the_feed_reads_back_as_the_shifts_and_holds_neither_phone_nor_address() -> None:
    r = rotation(people={**DATA["people"], "ann": {**DATA["people"]["ann"], "name": 'Änn, the; "first"\n' + "x" * 60}})
    written = feed(r, *YEAR, now=NOW)
    held = shifts(r, *YEAR)
    assert [(begin, end) for _, begin, end in read_feed(written)] == sorted((s.begin, s.end) for s in held)
    assert len({uid for uid, _, _ in read_feed(written)}) == len(held)
    assert b"@octant.dev" not in written
    assert b"+49" not in written
    assert all(len(line) <= 75 for line in written.split(b"\r\n")), "RFC 5545: lines of at most 75 octets"
    names = {str(event["summary"]) for event in icalendar.Calendar.from_ical(written).events}
    assert any('Änn, the; "first"' in name for name in names)


def test_calendars_of_both_families_read_the_feed_again_after_an_hour() -> None:
    written = feed(rotation(), *YEAR, now=NOW)
    assert b"\r\nREFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in written, "RFC 7986"
    assert b"\r\nX-PUBLISHED-TTL:PT1H\r\n" in written, "Outlook"


def test_the_feed_of_one_person_holds_that_persons_shifts_under_the_same_ids() -> None:
    whole, own = feed(rotation(), *YEAR, now=NOW), feed(rotation(), *YEAR, now=NOW, person="ann")
    assert set(read_feed(own)) < set(read_feed(whole))
    assert len(read_feed(own)) == sum(s.person == "ann" for s in shifts(rotation(), *YEAR))


def test_an_id_stays_when_the_feed_is_read_a_day_later() -> None:
    """A calendar replaces what it knows, and shows no shift twice."""
    one, other = (feed(rotation(), NOW + d, YEAR[1], now=NOW + d) for d in (timedelta(), timedelta(days=1)))
    assert read_feed(one) == read_feed(other)


def test_the_report_counts_nights_weekends_and_holidays_where_the_person_lives() -> None:
    """A week of Berlin's: six nights of 8 hours and two hours of a seventh; by day for a person in Tokyo."""
    people = {**DATA["people"], "ann": {**DATA["people"]["ann"], "timezone": "Asia/Tokyo"}}
    r = rotation(people=people, holidays=[{"date": "2026-12-25", "name": "Christmas Day"}])
    rows = {row.person: row for row in report(r, date(2026, 12, 21), date(2026, 12, 28))}
    assert sum(row.level_1 for row in rows.values()) == 7 * 24
    assert rows["bob"].hours + rows["ann"].hours == 7 * 24
    dan = rows["dan"]
    assert (dan.hours, dan.level_2, dan.night, dan.weekend, dan.holiday) == (159.0, 159.0, 50.0, 48.0, 24.0)
    assert (rows["cat"].night, rows["ann"].night) == (6.0, 0.0), "midnight in Berlin is 08:00 in Tokyo"


def test_the_hours_of_a_month_are_real_hours_and_add_up() -> None:
    """October has a day of 25 hours."""
    r = one_layer({"from": "2026-09-07", "people": ["p0", "p1", "p2"]})
    rows = report(r, date(2026, 10, 1), date(2026, 11, 1))
    assert sum(row.hours for row in rows) == 31 * 24 + 1


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("\t=1+1", "'\t'=1+1"), ("\uff1d1+1", "'\uff1d1+1"), ("@SUM(1)", "'@SUM(1)"),
    ],
)  # fmt: skip
def test_the_report_as_csv_runs_no_formula_in_a_spreadsheet(name: str, written: str) -> None:
    people = {**DATA["people"], "ann": {**DATA["people"]["ann"], "name": name}}
    rows = report(rotation(people=people), date(2026, 12, 1), date(2027, 1, 1))
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["person"] for row in read] == list(DATA["people"])
    assert read[0]["name"] == written
    assert float(read[0]["hours"]) == rows[0].hours
    assert len(list(as_table(rows))) == len(rows) + 1


def test_a_month_is_read_and_is_this_one_by_default() -> None:
    assert month("2026-12", date(2026, 1, 5)) == (date(2026, 12, 1), date(2027, 1, 1))
    assert month(None, date(2028, 2, 29)) == (date(2028, 2, 1), date(2028, 3, 1))
    with pytest.raises(ValueError, match="month"):
        month("2026-13", date(2026, 1, 5))


@pytest.mark.parametrize("year", ["0001", "1999", "3000", "9999"])
def test_a_year_at_an_end_of_the_calendar_is_refused_however_it_is_asked_for(year: str) -> None:
    """Weeks, zones and lengths that are added there overflow."""
    with pytest.raises(ValueError, match="year"):
        month(f"{year}-12", date(2026, 1, 5))
    with pytest.raises(InvalidRequest):
        read_until(f"{year}-12-31T23:59:59+00:00", NOW, BERLIN)
    with pytest.raises(typer.BadParameter):
        moment(f"{year}-01-01")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("18:00", "2026-11-23T18:00+01:00"),
        ("8:30", "2026-11-24T08:30+01:00"),
        ("17:00", "2026-11-24T17:00+01:00"),
        ("2h", "2026-11-23T19:00+01:00"),
        ("+90m", "2026-11-23T18:30+01:00"),
        ("3d", "2026-11-26T17:00+01:00"),
        ("2026-12-24T18:00", "2026-12-24T18:00+01:00"),
        ("2026-12-24 18:00+00:00", "2026-12-24T19:00+01:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30+01:00"),
    ],
)
def test_a_time_is_read_as_a_tired_person_types_it(typed: str, expected: str) -> None:
    """Now is 17:00 in Berlin. Of an hour that exists twice, the later one is meant."""
    assert read_until(typed, NOW, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("typed", ["", "tomorrow", "25:00", "18", "1800", "-2h", "2 weeks", "2026-13-01T00:00"])
def test_a_time_that_is_none_is_refused_with_examples(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="write 18:00, 2h"):
        read_until(typed, NOW, BERLIN)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001 - made aware below
    st.times(),
    st.sampled_from(["Europe/Berlin", "America/Havana", "Australia/Lord_Howe"]),
)
def test_a_time_alone_lies_within_the_next_day_or_so(now: datetime, at: object, zone: str) -> None:
    moment = now.replace(tzinfo=UTC)
    read = read_until(f"{at:%H:%M}", moment, ZoneInfo(zone))
    assert moment < read <= moment + timedelta(hours=26)
