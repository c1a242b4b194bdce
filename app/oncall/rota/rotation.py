"""The rotation as it stands in the file: people, layers, plan, overrides, holidays, limits (P1, P6)."""

from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from functools import cache
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from app.domain.reserved import is_reserved, is_reserved_phone
from app.domain.strict import Strict
from app.oncall.rota.clocks import Span, joined, readings

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
LEAST_LEVELS = 2


@cache
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name. Raises ValueError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from None


def _known_zone(name: str) -> str:
    zone(name)
    return name


def _phone(number: str) -> str:
    digits = e164(number)
    if not (
        digits.startswith("+") and digits[1:].isascii() and digits[1:].isdigit() and 8 <= len(digits) <= 16 and digits[1] != "0"
    ):
        raise ValueError("a phone number is written with its country, as in +49 170 1234567: 7 to 15 digits behind the plus")
    return number


def e164(number: str) -> str:
    """Return a phone number as machines dial it: without blanks, brackets and hyphens."""
    return number.translate(str.maketrans("", "", " ()-"))


def _mail(address: str) -> str:
    local, _, host = address.rpartition("@")
    if not local or "@" in local or "." not in host or any(c.isspace() for c in address):
        raise ValueError("an e-mail address is written as ada@example.com")
    return address


def _listed(value: object) -> object:
    """One value where a list may stand."""
    return value if isinstance(value, list | tuple) else [value]


Zone = Annotated[str, AfterValidator(_known_zone)]


class Person(Strict):
    """A person who can be called. ``placeholder`` people are for the example; production refuses them (P6)."""

    name: str = Field(min_length=2, max_length=100)
    phone: Annotated[str, AfterValidator(_phone)]
    mail: Annotated[str, AfterValidator(_mail)]
    timezone: Zone | None = Field(default=None, description="Where the person lives; by default the file's zone.")
    leaves: date | None = Field(default=None, description="The first day on which the person is no longer here.")
    placeholder: bool = False

    @property
    def is_placeholder(self) -> bool:
        """Whether this is an example: marked as one, or with a phone or mail address that no person can have."""
        return self.placeholder or is_reserved(self.mail.rpartition("@")[2]) or is_reserved_phone(e164(self.phone))


class Hours(Strict):
    """Hours on some days of the week, from ``begin`` until ``end``, past midnight if ``end`` is not later.

    So the same time twice, as by default, is round the clock. Hours past midnight belong to the day on which they began.
    """

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    begin: time = time(0, 0)
    end: time = time(0, 0)

    def spans(self, within: Span, at: ZoneInfo) -> list[Span]:
        """Return the spans of these hours that touch ``within``."""
        day, last = within[0].astimezone(at).date() - timedelta(days=1), within[1].astimezone(at).date()
        weekdays, length = {DAYS.index(d) for d in self.days}, timedelta(days=self.end <= self.begin)
        found = []
        while day <= last:
            if day.weekday() in weekdays:
                found.append((readings(day, self.begin, at)[0], readings(day + length, self.end, at)[1]))
            day += timedelta(days=1)
        return [span for span in joined(found) if span[0] < within[1] and within[0] < span[1]]


WindowsOfHours = Annotated[tuple[Hours, ...], BeforeValidator(_listed), Field(min_length=1)]


class Turns(Strict):
    """A dated list: from ``start`` on these people take turns, until the layer's next list starts.

    The first person of the list has the first turn. A turn lasts ``length`` weeks, days or months and ends at ``at``.
    """

    start: date = Field(alias="from")
    people: tuple[str, ...] = Field(min_length=1)
    every: Literal["week", "day", "month"] = "week"
    length: int = Field(default=1, ge=1, le=60)
    weekday: Day | None = Field(default=None, description="With `week`: the day of the hand-over; by default that of `from`.")
    monthday: int | None = Field(default=None, ge=1, le=28, description="With `month`: the same.")
    at: Annotated[tuple[time, ...], BeforeValidator(_listed)] = Field(
        default=(), description="Time of the hand-over, by default the file's `change_at`; with `day` there may be several."
    )
    timezone: Zone | None = None
    hours: Annotated[tuple[Hours, ...], BeforeValidator(_listed)] = Field(
        default=(), description="The only hours of duty. With `day`, days without any are no turn."
    )

    @model_validator(mode="after")
    def _fits(self) -> "Turns":
        if self.weekday and self.every != "week":
            raise ValueError("`weekday` goes with `every: week`")
        if self.monthday and self.every != "month":
            raise ValueError("`monthday` goes with `every: month`")
        if self.every == "month" and self.monthday is None and self.start.day > 28:
            raise ValueError("not every month has this day: set `monthday` to 28 or less")
        if len(self.at) > 1 and self.every != "day":
            raise ValueError("several times of hand-over go with `every: day`")
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("times of hand-over are in order and differ")
        if any(moment.tzinfo for moment in self.at):
            raise ValueError("a time of hand-over carries no zone; `timezone` is a field of its own")
        return self


class Level(Strict):
    """A level of the escalation: the first of the layers that has a person on duty is called."""

    layers: tuple[str, ...] = Field(min_length=1)
    minutes: int = Field(default=10, ge=1, le=120, description="Without an answer for so long the next level is called.")


class Phase(Strict):
    """A part of the plan: from a date on, at ``change_at``, these levels are called in order."""

    start: date = Field(alias="from")
    note: str = Field(default="", max_length=200)
    levels: tuple[Level, ...] = Field(min_length=1, max_length=9)
    repeat: int = Field(default=2, ge=0, le=20, description="Of earlier files: levels are called until one answers.")


class Override(Strict):
    """One person takes a duty for a time: that of a layer, or that of another person. A later override is stronger."""

    by: str
    layer: str | None = None
    instead_of: str | None = None
    begin: AwareDatetime
    end: AwareDatetime
    reason: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _fits(self) -> "Override":
        if self.begin >= self.end:
            raise ValueError("an override ends after it begins")
        if (self.layer is None) == (self.instead_of is None):
            raise ValueError("an override names either a layer or, with `instead_of`, a person")
        return self


class Holiday(Strict):
    """A day that the report counts apart, from midnight to midnight where the person lives."""

    date: date
    name: str = Field(min_length=1, max_length=100)


class Limits(Strict):
    """Bounds of what people can bear; `octant oncall check` reports everything beyond them."""

    shift_days: int = Field(default=7, ge=1, le=31, description="The longest shift at levels 1 and 2.")
    days_in_a_row: int = Field(default=14, ge=1, le=62, description="The longest time at levels 1 and 2 without a free day.")
    share: float = Field(default=0.6, gt=0, le=1, description="The largest share of level 1 that one person has.")


class Rotation(Strict):
    """The file."""

    timezone: Zone
    change_at: time
    serving: WindowsOfHours = (Hours(),)
    people: dict[str, Person] = Field(min_length=1)
    layers: dict[str, tuple[Turns, ...]] = Field(min_length=1)
    plan: tuple[Phase, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    limits: Limits = Limits()

    @property
    def zone(self) -> ZoneInfo:
        """The file's time zone, in which times are shown."""
        return zone(self.timezone)

    def served(self, within: Span) -> list[Span]:
        """Return the hours that touch a span in which a person must be reachable: sorted, apart from each other."""
        return joined(span for window in self.serving for span in window.spans(within, self.zone))

    def zone_of(self, person: str) -> ZoneInfo:
        """Where a person lives."""
        return zone(self.people[person].timezone or self.timezone)

    def with_covers(self, covers: tuple[Override, ...]) -> "Rotation":
        """Return this rotation with overrides that are stronger than the file's, in order; unknown people are left out."""
        known = tuple(c for c in covers if c.by in self.people)
        return self.model_copy(update={"overrides": (*self.overrides, *known)})


Fault = tuple[tuple[str | int, ...], str]
"""Where in the file something is wrong, and what."""


def faults(rotation: Rotation) -> list[Fault]:
    """List names that are not declared, and dates that are not in order."""
    return [
        *(fault for name in rotation.layers for fault in _faults_of_layer(rotation, name)),
        *_faults_of_plan(rotation),
        *_faults_of_overrides(rotation),
    ]


def _faults_of_layer(rotation: Rotation, name: str) -> Iterator[Fault]:
    lists = rotation.layers[name]
    if not lists:
        yield ("layers", name), "a layer has at least one list of people"
    for i, turns in enumerate(lists):
        for k, person in enumerate(turns.people):
            yield from _unknown(person, rotation.people, ("layers", name, i, "people", k), "person")
        if i and turns.start <= lists[i - 1].start:
            yield ("layers", name, i, "from"), "lists are in order of their dates, one a day"


def _faults_of_plan(rotation: Rotation) -> Iterator[Fault]:
    for i, phase in enumerate(rotation.plan):
        for k, level in enumerate(phase.levels):
            for n, layer in enumerate(level.layers):
                yield from _unknown(layer, rotation.layers, ("plan", i, "levels", k, "layers", n), "layer")
        if i and phase.start <= rotation.plan[i - 1].start:
            yield ("plan", i, "from"), "the parts of the plan are in order of their dates"


def _faults_of_overrides(rotation: Rotation) -> Iterator[Fault]:
    for i, override in enumerate(rotation.overrides):
        yield from _unknown(override.by, rotation.people, ("overrides", i, "by"), "person")
        yield from _unknown(override.instead_of, rotation.people, ("overrides", i, "instead_of"), "person")
        yield from _unknown(override.layer, rotation.layers, ("overrides", i, "layer"), "layer")


def _unknown(name: str | None, among: Mapping[str, object], where: tuple[str | int, ...], kind: str) -> Iterator[Fault]:
    if name is not None and name not in among:
        yield where, f"{name} is no {kind} of this file"
