"""The hand-overs of a dated list, by number: hand-over 0 is the start, turn n lasts from hand-over n to n + 1.

Each list counts from its own date. So a list that is added later moves no turn of the lists before it.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.oncall.rota.clocks import Span, readings
from app.oncall.rota.rotation import DAYS, Rotation, Turns, zone

SHORTEST = {"day": 1, "week": 7, "month": 28}
"""Days."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One person's turn, in UTC. At a change of the clocks it overlaps with the next one."""

    person: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class HandOvers:
    """The hand-overs of a list, computed by number."""

    turns: Turns
    at: tuple[time, ...]
    zone: ZoneInfo

    @classmethod
    def of(cls, rotation: Rotation, turns: Turns) -> "HandOvers":
        """Return the hand-overs of a list of this rotation."""
        return cls(turns, turns.at or (rotation.change_at,), zone(turns.timezone) if turns.timezone else rotation.zone)

    def local(self, number: int) -> tuple[date, time]:
        """Return date and time of a hand-over on the wall clock."""
        if self.turns.every == "day":
            day, nth = divmod(number * self.turns.length, len(self.at))
            return self._active_day(day), self.at[nth]
        return (self._week(number) if self.turns.every == "week" else self._month(number)), self.at[0]

    def span(self, number: int) -> Span:
        """Return the first and the last instant that a hand-over can mean."""
        return readings(*self.local(number), self.zone)

    def number_at(self, day: date) -> int:
        """Return the newest hand-over before a day; at least 0."""
        days = max(0, (day - self.turns.start).days) * (len(self.at) if self.turns.every == "day" else 1)
        most = days // (SHORTEST[self.turns.every] * self.turns.length) + 2
        return max(0, bisect_right(range(most), day, key=lambda n: self.local(n)[0]) - 1 - len(self.at))

    def person(self, number: int) -> str:
        """Return the person whose turn it is."""
        return self.turns.people[number % len(self.turns.people)]

    def between(self, start: datetime, end: datetime) -> list[Turn]:
        """Return the turns that touch a time, in order. Both arguments are in UTC."""
        number = max(0, self.number_at(start.astimezone(self.zone).date() - timedelta(days=1)) - 1)
        found = []
        while (begin := self.span(number)[0]) < end:
            until = self.span(number + 1)[1]
            if start < until:
                found.append(Turn(self.person(number), begin, until))
            number += 1
        return found

    def _week(self, number: int) -> date:
        turns, length = self.turns, timedelta(days=7 * self.turns.length)
        wait = (DAYS.index(turns.weekday) - turns.start.weekday()) % 7 if turns.weekday else 0
        if not wait:
            return turns.start + number * length
        return turns.start + timedelta(days=wait) + (number - 1) * length if number else turns.start

    def _month(self, number: int) -> date:
        turns = self.turns
        day = turns.monthday or turns.start.day
        if day == turns.start.day:
            return _months_later(turns.start, number * turns.length)
        if not number:
            return turns.start
        first = turns.start.replace(day=day) if turns.start.day < day else _months_later(turns.start.replace(day=day), 1)
        return _months_later(first, (number - 1) * turns.length)

    def _active_day(self, number: int) -> date:
        """The nth day with hours of duty, on or after the start."""
        active = {DAYS.index(d) for hours in self.turns.hours for d in hours.days} or set(range(7))
        ahead = sorted((d - self.turns.start.weekday()) % 7 for d in active)
        weeks, nth = divmod(number, len(ahead))
        return self.turns.start + timedelta(days=7 * weeks + ahead[nth])


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + years, month=month + 1)
