"""A month of the rotation as rows of weeks, for the on-call page."""

from calendar import Calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

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
    """One cell. ``inside``: whether it is of the month; ``planned``: whether the plan has begun."""

    date: date
    inside: bool
    today: bool
    holiday: str
    planned: bool
    held: Sequence[Held]

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
        return self.inside and self.planned and not self.first


def month(rotation: Rotation, first: date, today: date) -> list[list[Day]]:
    """The weeks of a month, from Monday on. ``first``: its first day."""
    weeks = Calendar().monthdatescalendar(first.year, first.month)
    start = readings(weeks[0][0], time(0), rotation.zone)[0]
    end = readings(weeks[-1][-1] + timedelta(days=1), time(0), rotation.zone)[1]
    held = shifts(rotation, start, end)
    holidays = {holiday.date: holiday.name for holiday in rotation.holidays}
    colours = {key: number % 5 + 1 for number, key in enumerate(rotation.people)}
    return [
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


def _of_day(rotation: Rotation, held: Sequence[Shift], day: date, colours: Mapping[str, int]) -> list[Held]:
    """The people of a day by level and time, each once a level."""
    begin, end = readings(day, time(0), rotation.zone)[0], readings(day + timedelta(days=1), time(0), rotation.zone)[1]
    found: dict[tuple[int, str], Held] = {}
    for shift in sorted((s for s in held if s.begin < end and begin < s.end), key=lambda s: (s.level, s.begin)):
        instead = rotation.people[shift.instead_of].name if shift.instead_of else ""
        name = rotation.people[shift.person].name
        found[shift.level, shift.person] = Held(shift.level, shift.person, name, instead, colours[shift.person])
    return list(found.values())
