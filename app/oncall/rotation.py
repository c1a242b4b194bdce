"""The on-call rotation as data in the repository: people, schedules, overrides, escalation, hand-over (P1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.domain.errors import Misconfigured

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = timedelta(days=90)
LEAST_LEVELS = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(_Strict):
    """Somebody who can be called. ``placeholder`` people are for the example; production refuses them (P6)."""

    name: str = Field(min_length=2)
    phone: str = Field(pattern=r"^\+[0-9 ()-]{7,20}$")
    mail: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    placeholder: bool = False


class Schedule(_Strict):
    """People who take turns of ``days`` each, from ``start`` on, changing at ``change_at`` in the rotation's time zone."""

    people: tuple[str, ...] = Field(min_length=1)
    start: date
    days: int = Field(default=7, ge=1, le=31)


class Override(_Strict):
    """Somebody else takes a schedule's duty for a while."""

    schedule: str
    person: str
    begin: datetime
    end: datetime


class Serving(_Strict):
    """When somebody must be reachable. ``always``, or on the days and between the times given."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = DAYS  # type: ignore[assignment]
    begin: time = time(0, 0)
    end: time = time(23, 59, 59)


class HandOver(_Strict):
    """Who is first when: the agency from ``start`` for ``agency_first_days``, then the client, with the agency as backup."""

    start: date
    agency_first_days: int = Field(default=90, ge=1)
    agency: str
    client: str


class Rotation(_Strict):
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
        ZoneInfo(self.timezone)
        return self

    def levels(self, at: datetime) -> tuple[str, ...]:
        """The schedules in the order they are called at a time: agency first, then, after the hand-over, client first."""
        handover = self.handover
        first_days_end = handover.start + timedelta(days=handover.agency_first_days)
        agency_first = at.astimezone(ZoneInfo(self.timezone)).date() < first_days_end
        return (handover.agency, handover.client) if agency_first else (handover.client, handover.agency)

    def on_call(self, at: datetime) -> "tuple[Duty, ...]":
        """Who is called at a time, level by level. Nobody is named twice."""
        duties: list[Duty] = []
        for duty in (*(self._duty(name, at) for name in self.levels(at)), *self._last(at)):
            if duty and duty.person not in [d.person for d in duties]:
                duties.append(duty)
        return tuple(duties)

    def problems(self, now: datetime, *, production: bool) -> list[str]:
        """What is wrong: uncovered serving hours, too few levels, placeholders where they may not be. Empty is well."""
        found = [f"{key}: a placeholder; put a real person in" for key, p in self.people.items() if production and p.placeholder]
        for hour in self._serving_hours(now):
            levels = len(self.on_call(hour))
            if levels < LEAST_LEVELS:
                found.append(f"{hour:%Y-%m-%d %H:%M %Z}: {levels} of at least {LEAST_LEVELS} levels are covered")
                break  # the first uncovered hour says it; hundreds would hide it
        return found

    def _serving_hours(self, now: datetime) -> Iterator[datetime]:
        zone = ZoneInfo(self.timezone)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        end = hour + HORIZON
        while hour < end:
            local = hour.astimezone(zone)
            if DAYS[local.weekday()] in self.serving.days and self.serving.begin <= local.time() <= self.serving.end:
                yield local
            hour += timedelta(hours=1)

    def _duty(self, name: str, at: datetime) -> "Duty | None":
        zone, schedule = ZoneInfo(self.timezone), self.schedules[name]
        for override in self.overrides:
            if override.schedule == name and override.begin <= at < override.end:
                return Duty(self.people[override.person], override.end)
        first = datetime.combine(schedule.start, self.change_at, zone)
        if at < first:
            return None
        local = at.astimezone(zone)
        passed = (local.date() - schedule.start).days - (local.time() < self.change_at)
        turn = passed // schedule.days
        until = datetime.combine(schedule.start + timedelta(days=(turn + 1) * schedule.days), self.change_at, zone)
        return Duty(self.people[schedule.people[turn % len(schedule.people)]], until)

    def _last(self, at: datetime) -> "Iterator[Duty]":
        yield from (Duty(self.people[key], at + HORIZON) for key in self.last)


@dataclass(frozen=True, slots=True)
class Duty:
    """Somebody's turn and its end."""

    person: Person
    until: datetime


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
