"""The people on call: who, at which level, from when until when. Pure functions of the rotation; all instants are in UTC."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from app.oncall.rota.clocks import Span, common, joined, readings, without
from app.oncall.rota.rotation import Hours, Level, Override, Person, Phase, Rotation
from app.oncall.rota.turns import HandOvers

FAR = datetime(9000, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
AHEAD = timedelta(days=62)
"""The end of a duty is searched so far ahead."""
AROUND = timedelta(days=35)
"""Hours of duty and layers that fill another's hours are computed so far around the time in question."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A person's duty, from ``begin`` until ``end``. ``instead_of`` names the person whose duty an override took."""

    level: int
    layer: str
    person: str
    begin: datetime
    end: datetime
    instead_of: str = ""

    @property
    def hours(self) -> float:
        """Its length in real hours: a day on which the clocks change has 23 or 25."""
        return (self.end - self.begin).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Duty:
    """A level at one time: the person to call, until when, and the minutes to wait for an answer.

    ``until`` is None for a duty that lasts longer than 62 days. ``also`` names others whose duty overlaps while the clocks
    change. ``person`` is None while no person is on duty.
    """

    level: int
    key: str
    person: Person | None
    until: datetime | None
    minutes: int
    also: tuple[str, ...] = ()
    instead_of: str = ""


def on_call(rotation: Rotation, at: datetime, level: int) -> Person | None:
    """Return the person to call at a level, the first being 1. None: the level does not exist, or is not covered then.

    Raises ValueError for a time without a zone.
    """
    held = (s for s in shifts(rotation, at, at + INSTANT) if s.level == level)
    return next((rotation.people[s.person] for s in held), None)


def duties(rotation: Rotation, at: datetime) -> list[Duty]:
    """Return every level at a time, in the order of calling. Raises ValueError for a time without a zone."""
    moment = _utc(at)
    phase = phase_at(rotation, moment)
    if phase is None:
        return []
    coming = shifts(rotation, moment, moment + AHEAD)
    return [
        _duty(rotation, number, level.minutes, [s for s in coming if s.level == number], moment)
        for number, level in enumerate(phase.levels, start=1)
    ]


def shifts(rotation: Rotation, start: datetime, end: datetime) -> list[Shift]:
    """Return the shifts that touch a time, whole, by their beginnings and levels. Raises ValueError for a time without a zone."""
    start, end = _utc(start), _utc(end)
    found: list[Shift] = []
    for phase, (begin, until) in phases(rotation):
        if begin >= end or until <= start:
            continue
        for number, level in enumerate(phase.levels, start=1):
            held = _level(rotation, level, max(start, begin), min(end, until))
            found += [replace(s, level=number, begin=max(s.begin, begin), end=min(s.end, until)) for s in held]
    return sorted((s for s in found if s.begin < s.end), key=lambda s: (s.begin, s.level, s.end))


def phases(rotation: Rotation) -> list[tuple[Phase, Span]]:
    """Return the parts of the plan, each from its date at `change_at` until the next one's."""
    begins = [readings(phase.start, rotation.change_at, rotation.zone)[0] for phase in rotation.plan]
    return [(phase, span) for phase, span in zip(rotation.plan, pairwise([*begins, FAR]), strict=True)]


def phase_at(rotation: Rotation, at: datetime) -> Phase | None:
    """Return the part of the plan that holds at a time. None: the plan begins later."""
    moment = _utc(at)
    return next((phase for phase, (begin, end) in phases(rotation) if begin <= moment < end), None)


def layer_shifts(rotation: Rotation, name: str, start: datetime, end: datetime) -> list[Shift]:
    """Return a layer's shifts that touch a time, whole, with overrides applied. Their level is 0."""
    lists = rotation.layers[name]
    overs = [HandOvers.of(rotation, turns) for turns in lists]
    begins = [over.span(0) for over in overs]
    found: list[Shift] = []
    for over, (begin, _), (_, until) in zip(overs, begins, [*begins[1:], (FAR, FAR)], strict=True):
        if begin >= end or until <= start:
            continue
        for turn in over.between(max(start, begin), min(end, until)):
            span = (turn.begin, min(turn.end, until))
            if span[0] < span[1]:
                found += [Shift(0, name, turn.person, *part) for part in _in_hours(over, span, (start, end))]
    for override in rotation.overrides:
        found = _overridden(found, override, name)
    return sorted((s for s in found if s.begin < end and start < s.end), key=lambda s: (s.begin, s.end))


def spans_of(held: Sequence[Shift]) -> list[Span]:
    """Return the time that shifts cover together."""
    return joined((s.begin, s.end) for s in held)


@dataclass(frozen=True, slots=True)
class Segment:
    """A time in which nothing changes: the people on duty, by level."""

    begin: datetime
    end: datetime
    levels: tuple[frozenset[str], ...]


def segments(rotation: Rotation, start: datetime, end: datetime, levels: int = 9) -> Iterator[Segment]:
    """Yield a time cut wherever a person or level changes, without gaps."""
    start, end = _utc(start), _utc(end)
    held = [s for s in shifts(rotation, start, end) if s.level <= levels]
    edges = sorted({start, end} | {edge for s in held for edge in (s.begin, s.end) if start < edge < end})
    people: list[list[set[str]]] = [[set() for _ in range(levels)] for _ in edges]
    for shift in held:
        first = bisect_left(edges, max(shift.begin, start))
        for index in range(first, bisect_left(edges, min(shift.end, end))):
            people[index][shift.level - 1].add(shift.person)
    for (begin, until), sets in zip(pairwise(edges), people, strict=False):
        yield Segment(begin, until, tuple(map(frozenset, sets)))


def _level(rotation: Rotation, level: Level, start: datetime, end: datetime) -> list[Shift]:
    """A level's shifts: the first layer's, then in the hours that it leaves the next one's."""
    if len(level.layers) == 1:
        return layer_shifts(rotation, level.layers[0], start, end)
    found: list[Shift] = []
    for name in level.layers:
        taken = spans_of(found)
        for shift in layer_shifts(rotation, name, start - AROUND, end + AROUND):
            found += [replace(shift, begin=b, end=e) for b, e in without([(shift.begin, shift.end)], _near(taken, shift))]
    return [s for s in found if s.begin < end and start < s.end]


def _near(taken: Sequence[Span], shift: Shift) -> Sequence[Span]:
    """The taken spans that can touch a shift."""
    first = bisect_left(taken, shift.begin, key=lambda span: span[1])
    last = bisect_left(taken, shift.end, key=lambda span: span[0])
    return taken[first:last]


def _in_hours(over: HandOvers, span: Span, around: Span) -> list[Span]:
    """The part of a turn that lies in its list's hours of duty."""
    if not over.turns.hours or over.turns.hours == (Hours(),):
        return [span]
    window = (max(span[0], around[0] - AROUND), min(span[1], around[1] + AROUND))
    if window[0] >= window[1]:
        return []
    return common([span], joined(part for hours in over.turns.hours for part in hours.spans(window, over.zone)))


def _overridden(found: list[Shift], override: Override, layer: str) -> list[Shift]:
    """Shifts with one override applied."""
    if override.layer not in (None, layer):
        return found
    hole = (override.begin.astimezone(UTC), override.end.astimezone(UTC))
    changed: list[Shift] = []
    for shift in found:
        hit = override.layer is not None or shift.person == override.instead_of
        if not hit or shift.end <= hole[0] or hole[1] <= shift.begin:
            changed.append(shift)
            continue
        whole = (shift.begin, shift.end)
        changed += [replace(shift, begin=b, end=e) for b, e in without([whole], [hole])]
        if override.instead_of:
            original = shift.instead_of or shift.person
            takes = "" if original == override.by else original
            changed += [replace(shift, begin=b, end=e, person=override.by, instead_of=takes) for b, e in common([whole], [hole])]
    return [*changed, Shift(0, layer, override.by, *hole)] if override.layer else changed


def _duty(rotation: Rotation, number: int, minutes: int, coming: list[Shift], at: datetime) -> Duty:
    """The level's duty at a time; it lasts until another person's, also over several turns."""
    held = [s for s in coming if s.begin <= at]
    if not held:
        return Duty(number, "", None, None, minutes)
    first = held[0]
    until = first.end
    for shift in coming:
        if shift.person == first.person and shift.begin <= until:
            until = max(until, shift.end)
    also = tuple(dict.fromkeys(s.person for s in held if s.person != first.person))
    end = until if until < at + AHEAD else None
    return Duty(number, first.person, rotation.people[first.person], end, minutes, also, first.instead_of)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} carries no time zone")
    return moment.astimezone(UTC)
