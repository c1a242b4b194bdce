"""A month of the rotation as rows of weeks, for the on-call page."""

from calendar import Calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from itertools import groupby

from app.oncall.rota.clocks import readings
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import Shift, shifts


@dataclass(frozen=True, slots=True)
class Held:
    """A person's part of one day at one level. ``instead_of``: the name of the person who is covered."""

    level: int
    key: str
    name: str
    instead_of: str
    colour: int


@dataclass(frozen=True, slots=True)
class Day:
    """One cell. ``inside``: whether it is of the month; ``planned``: whether the plan has begun.

    ``until``: the last day of its month up to which all are as this one; 0 where the next differs. ``again``: as the one before.
    A phone shows such days as one.
    """

    date: date
    inside: bool
    today: bool
    holiday: str
    planned: bool
    held: Sequence[Held]
    until: int = 0
    again: bool = False

    @property
    def first(self) -> Sequence[Held]:
        """The people of level 1."""
        return [one for one in self.held if one.level == 1]

    @property
    def behind(self) -> Sequence[Held]:
        """The people of the other levels."""
        return [one for one in self.held if one.level > 1]

    @property
    def gap(self) -> bool:
        """Whether the plan lacks a person at level 1 here."""
        return self.planned and not self.first


def month(rotation: Rotation, first: date, today: date) -> list[list[Day]]:
    """The weeks of a month, whole ones from Monday on. ``first``: its first day."""
    weeks = Calendar().monthdatescalendar(first.year, first.month)
    start = readings(weeks[0][0], time(0), rotation.zone)[0]
    end = readings(weeks[-1][-1] + timedelta(days=1), time(0), rotation.zone)[1]
    held = shifts(rotation, start, end)
    holidays = {holiday.date: holiday.name for holiday in rotation.holidays}
    colours = {key: number % 5 + 1 for number, key in enumerate(rotation.people)}
    days = [
        [
            Day(
                day,
                day.month == first.month,
                day == today,
                holidays.get(day, ""),
                day >= rotation.plan[0].start,
                _of_day(rotation, held, day, colours),
            )
            for day in week
        ]
        for week in weeks
    ]
    joined = {day.date: day for day in _runs([day for week in days for day in week])}
    return [[joined[day.date] for day in week] for week in days]


def _runs(days: Sequence[Day]) -> Iterator[Day]:
    """The days, those that are alike joined to runs; today stands alone."""
    for _, alike in groupby(days, key=lambda day: (day.date.month, day.today, day.holiday, day.planned, day.held)):
        first, *others = alike
        yield replace(first, until=others[-1].date.day if others else 0)
        yield from (replace(other, again=True) for other in others)


def _of_day(rotation: Rotation, held: Sequence[Shift], day: date, colours: Mapping[str, int]) -> list[Held]:
    """The people of a day by level and time, each once a level."""
    begin, end = readings(day, time(0), rotation.zone)[0], readings(day + timedelta(days=1), time(0), rotation.zone)[1]
    found: dict[tuple[int, str], Held] = {}
    for shift in sorted((s for s in held if s.begin < end and begin < s.end), key=lambda s: (s.level, s.begin)):
        instead = rotation.people[shift.instead_of].name if shift.instead_of else ""
        name = rotation.people[shift.person].name
        found[shift.level, shift.person] = Held(shift.level, shift.person, name, instead, colours[shift.person])
    return list(found.values())
