"""The on-call rotation as data in the repository: people, schedules, overrides, escalation, hand-over (P1, P6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from app.domain.errors import Misconfigured
from app.domain.strict import Strict

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
HORIZON = timedelta(days=90)
LEAST_LEVELS = 2


class Person(Strict):
    """A person who can be called. ``placeholder`` people are for the example; production refuses them (P6)."""

    name: str = Field(min_length=2)
    phone: str = Field(pattern=r"^\+[0-9 ()-]{7,20}$")
    mail: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    placeholder: bool = False


class Schedule(Strict):
    """People who take turns of ``days`` each, from ``start`` on, changing at ``change_at`` in the rotation's time zone."""

    people: tuple[str, ...] = Field(min_length=1)
    start: date
    days: int = Field(default=7, ge=1, le=31)


class Override(Strict):
    """One person takes a schedule's duty for a time. Times carry their zone; the first override that fits holds."""

    schedule: str
    person: str
    begin: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _lasts(self) -> "Override":
        if self.begin >= self.end:
            raise ValueError("an override ends after it begins")
        return self


class Serving(Strict):
    """Hours in which a person must be reachable: on the days from ``begin`` until ``end``, past midnight if ``end`` is not later.

    So the same time twice, as by default, is round the clock.
    """

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    begin: time = time(0, 0)
    end: time = time(0, 0)

    def at(self, local: datetime) -> bool:
        """Whether a local time is served. Hours past midnight belong to the day on which they began."""
        overnight = self.end <= self.begin
        early = overnight and local.time() < self.end
        day = DAYS[(local - timedelta(days=1) if early else local).weekday()]
        after_begin, before_end = local.time() >= self.begin, local.time() < self.end
        return day in self.days and (after_begin or before_end if overnight else after_begin and before_end)


class HandOver(Strict):
    """The order: the agency first from ``start`` for ``agency_first_days``, then the client, with the agency as backup."""

    start: date
    agency_first_days: int = Field(default=90, ge=1)
    agency: str
    client: str


class Rotation(Strict):
    """The file."""

    timezone: str
    change_at: time
    serving: Serving
    people: dict[str, Person]
    schedules: dict[str, Schedule]
    overrides: tuple[Override, ...] = ()
    handover: HandOver
    escalate_after_minutes: Annotated[int, Field(ge=1, le=120)] = 10
    last: tuple[str, ...] = Field(default=(), description="People called after every schedule, in order.")

    @model_validator(mode="after")
    def _names_exist(self) -> "Rotation":
        named = [p for s in self.schedules.values() for p in s.people] + [o.person for o in self.overrides] + list(self.last)
        wrong = {p for p in named if p not in self.people}
        wrong |= {s for s in (self.handover.agency, self.handover.client) if s not in self.schedules}
        wrong |= {o.schedule for o in self.overrides if o.schedule not in self.schedules}
        if wrong:
            raise ValueError(f"named but not declared: {', '.join(sorted(wrong))}")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{self.timezone!r} is not a time zone such as Europe/Berlin") from None
        return self

    def levels(self, at: datetime) -> tuple[str, ...]:
        """The schedules in order of calling: agency first, after the hand-over client first."""
        handover = self.handover
        first_days_end = handover.start + timedelta(days=handover.agency_first_days)
        agency_first = at.astimezone(ZoneInfo(self.timezone)).date() < first_days_end
        return (handover.agency, handover.client) if agency_first else (handover.client, handover.agency)

    def on_call(self, at: datetime) -> "tuple[Duty, ...]":
        """The people to call at a time, level by level, each once."""
        duties: list[Duty] = []
        for duty in (*(self._duty(name, at) for name in self.levels(at)), *self._last()):
            if duty and duty.person not in [d.person for d in duties]:
                duties.append(duty)
        return tuple(duties)

    def problems(self, now: datetime, *, production: bool) -> list[str]:
        """List faults: uncovered serving hours, too few levels, placeholders where they are not allowed."""
        found = [f"{key}: a placeholder; put a real person in" for key, p in self.people.items() if production and p.placeholder]
        gap: tuple[datetime, int] | None = None
        for begin, end in pairwise(self._changes(now)):
            levels = len(self.on_call(begin)) if self.serving.at(begin) else LEAST_LEVELS
            if gap and levels != gap[1]:
                found.append(_gap(*gap, begin))
            if levels >= LEAST_LEVELS:
                gap = None
            elif gap is None or gap[1] != levels:
                gap = (begin, levels)
            if gap and end >= now + HORIZON:
                found.append(_gap(*gap, end))
        return found

    def _changes(self, now: datetime) -> list[datetime]:
        """Every local time in the next 90 days at which coverage can change."""
        zone, end = ZoneInfo(self.timezone), now + HORIZON
        moments = {now, end} | {moment for o in self.overrides for moment in (o.begin, o.end)}
        day = now.astimezone(zone).date() - timedelta(days=1)
        while day <= end.astimezone(zone).date():
            times = {time(0, 0), self.change_at, self.serving.begin, self.serving.end}
            moments |= {datetime.combine(day, at, zone) for at in times}
            day += timedelta(days=1)
        # By UTC: two local times compare by their clocks, which a change of the clocks makes go back.
        return [m.astimezone(zone) for m in sorted({m.astimezone(UTC) for m in moments}) if now <= m <= end]

    def _duty(self, name: str, at: datetime) -> "Duty | None":
        zone, schedule = ZoneInfo(self.timezone), self.schedules[name]
        overrides = [o for o in self.overrides if o.schedule == name]
        for override in overrides:
            if override.begin <= at < override.end:
                return Duty(self.people[override.person], override.end.astimezone(zone))
        first = datetime.combine(schedule.start, self.change_at, zone)
        if at < first:
            return None
        local = at.astimezone(zone)
        passed = (local.date() - schedule.start).days - (local.time() < self.change_at)
        turn = passed // schedule.days
        turn_ends = datetime.combine(schedule.start + timedelta(days=(turn + 1) * schedule.days), self.change_at, zone)
        until = min([turn_ends, *(o.begin for o in overrides if o.begin > at)], key=datetime.timestamp)
        return Duty(self.people[schedule.people[turn % len(schedule.people)]], until.astimezone(zone))

    def _last(self) -> "Iterator[Duty]":
        yield from (Duty(self.people[key], None) for key in self.last)


@dataclass(frozen=True, slots=True)
class Duty:
    """A person's turn and its end, in the rotation's time zone; None for a permanent level."""

    person: Person
    until: datetime | None


def _gap(begin: datetime, levels: int, end: datetime) -> str:
    return f"{begin:%Y-%m-%d %H:%M %Z} to {end:%Y-%m-%d %H:%M %Z}: {levels} of at least {LEAST_LEVELS} levels are covered"


def load_rotation(path: Path) -> Rotation:
    """Read the file. Raises Misconfigured naming what is wrong."""
    if not path.is_file():
        raise Misconfigured(f"{path} does not exist. OCTANT_ROTATION_FILE names the on-call rotation.")
    try:
        return Rotation.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise Misconfigured(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise Misconfigured(f"{path} is not usable:\n  " + "\n  ".join(lines)) from None
