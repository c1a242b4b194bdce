"""Hours on call of each person in a period: nights, weekends and holidays apart, in real hours."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date, time, timedelta

from app.domain.csv_text import csv_text
from app.domain.years import within_years
from app.oncall.rota.clocks import common, hours, joined, readings
from app.oncall.rota.rotation import DAYS, Hours, Rotation
from app.oncall.rota.shifts import shifts

NIGHT = Hours(begin=time(22), end=time(6))
WEEKEND = Hours(days=DAYS[5:])


@dataclass(frozen=True, slots=True)
class Row:
    """A person's hours. Nights are 22:00 to 06:00, weekends Saturday and Sunday, all where the person lives.

    One hour can count in several columns: a holiday's night is both. Hours at two levels at once count once in ``hours``.
    """

    person: str
    name: str
    shifts: int
    covers: int
    hours: float
    level_1: float
    level_2: float
    night: float
    weekend: float
    holiday: float


def report(rotation: Rotation, start: date, end: date) -> list[Row]:
    """Return a row for each person, from the day ``start`` until the day before ``end``, in the file's time zone."""
    within = (readings(start, time(0), rotation.zone)[0], readings(end, time(0), rotation.zone)[0])
    held = shifts(rotation, *within)
    rows = []
    for key, person in rotation.people.items():
        zone, mine = rotation.zone_of(key), [s for s in held if s.person == key]
        spans = common(joined((s.begin, s.end) for s in mine), [within])
        levels = [common(joined((s.begin, s.end) for s in mine if s.level == n), [within]) for n in (1, 2)]
        holidays = joined(
            (readings(h.date, time(0), zone)[0], readings(_next(h.date), time(0), zone)[1]) for h in rotation.holidays
        )
        parts = [common(spans, part) for part in (NIGHT.spans(within, zone), WEEKEND.spans(within, zone), holidays)]
        taken = sum(bool(s.instead_of) for s in mine)
        counts = [round(hours(part), 2) for part in (spans, *levels, *parts)]
        rows.append(Row(key, person.name, len(mine), taken, *counts))
    return rows


def as_csv(rows: list[Row]) -> str:
    """Return the rows as CSV with a header."""
    return csv_text((field.name for field in fields(Row)), map(astuple, rows))


def as_table(rows: list[Row]) -> Iterator[str]:
    """Yield the rows as lines of text."""
    width = max((len(row.person) for row in rows), default=6)
    yield f"{'person':<{width}}  shifts  covers    hours  level 1  level 2   nights  weekend  holiday"
    for row in rows:
        numbers = (row.hours, row.level_1, row.level_2, row.night, row.weekend, row.holiday)
        yield f"{row.person:<{width}}  {row.shifts:>6}  {row.covers:>6}  " + "  ".join(f"{number:>7.1f}" for number in numbers)


def month(text: str | None, today: date) -> tuple[date, date]:
    """Return the first day of a month, such as 2026-12, and of the next one; of this month without a text. Raises ValueError."""
    first = within_years(date.fromisoformat(f"{text}-01")) if text else today.replace(day=1)
    return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def _next(day: date) -> date:
    return day + timedelta(days=1)
