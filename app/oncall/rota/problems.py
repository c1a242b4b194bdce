"""Finds faults of a rotation in the next 90 days: gaps, doubles, one person who carries too much, placeholders (P1, P6).

The hours of duty must be covered by at least two levels. The bounds of shifts and shares hold for levels 1 and 2; a level above
them may be one person for ever, such as a manager.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta

from app.oncall.rota.clocks import Span, common, hours, joined, readings
from app.oncall.rota.rotation import LEAST_LEVELS, Rotation, e164
from app.oncall.rota.shifts import Segment, Shift, phases, segments, shifts

HORIZON = timedelta(days=90)
CLOCKS = timedelta(hours=2)
"""A week in which the clocks change is a little longer, and counts as a week."""


def problems(rotation: Rotation, now: datetime, *, production: bool) -> list[str]:
    """List everything that keeps the rotation from being relied on, for the next 90 days.

    ``production``: placeholders are refused as well.
    """
    now = now.astimezone(UTC)
    end = now + HORIZON
    parts = list(segments(rotation, now, end))
    held = [s for s in shifts(rotation, now, end) if s.level <= LEAST_LEVELS]
    found = list(_placeholders(rotation)) if production else []
    found += _phones(rotation)
    found += _few_levels(rotation, now)
    found += _gaps(rotation, parts, (now, end))
    found += _doubles(rotation, parts)
    found += _shares(rotation, parts)
    found += _long_shifts(rotation, held)
    found += _in_a_row(rotation, held)
    found += _leaving(rotation, shifts(rotation, now, end))
    return found


def notes(rotation: Rotation, now: datetime) -> list[str]:
    """List parts of the file that do nothing. None of them keeps the rotation from working."""
    found = [f"{name}: no part of the plan calls this layer" for name in rotation.layers if name not in _called(rotation)]
    named = {p for lists in rotation.layers.values() for turns in lists for p in turns.people} | {
        o.by for o in rotation.overrides
    }
    found += [f"{key}: in no list and no override" for key in rotation.people if key not in named]
    for override in rotation.overrides:
        words = f"the override of {override.instead_of or override.layer} by {override.by}"
        if override.end <= now:
            found.append(f"{words} ended on {_local(rotation, override.end)}: it can be removed")
        elif override.instead_of and not _is_used(rotation, override.by, override.instead_of, (override.begin, override.end)):
            found.append(f"{words} changes nothing: {override.instead_of} has no duty then")
    return found


def _called(rotation: Rotation) -> set[str]:
    return {layer for phase in rotation.plan for level in phase.levels for layer in level.layers}


def _is_used(rotation: Rotation, by: str, instead_of: str, span: Span) -> bool:
    held = shifts(rotation, *span)
    return any(s.person == by and s.instead_of == instead_of for s in held) or by == instead_of


def _placeholders(rotation: Rotation) -> Iterator[str]:
    for key, person in rotation.people.items():
        if person.is_placeholder:
            yield f"{key}: a placeholder; put a real person in"


def _phones(rotation: Rotation) -> Iterator[str]:
    by_phone = defaultdict(list)
    for key, person in rotation.people.items():
        by_phone[e164(person.phone)].append(key)
    for phone, keys in by_phone.items():
        if len(keys) > 1:
            yield f"{' and '.join(keys)} have the same phone, {phone}"


def _few_levels(rotation: Rotation, now: datetime) -> Iterator[str]:
    for phase, (_, end) in phases(rotation):
        if len(phase.levels) < LEAST_LEVELS and end > now:
            yield f"the plan from {phase.start} has {len(phase.levels)} of at least {LEAST_LEVELS} levels"


def _gaps(rotation: Rotation, parts: Iterable[Segment], within: Span) -> Iterator[str]:
    """Serving hours in which fewer than two levels have a person, joined while the number stays the same."""
    served = joined(span for window in rotation.serving for span in window.spans(within, rotation.zone))
    by_count: dict[int, list[Span]] = defaultdict(list)
    for part in parts:
        covered = sum(1 for people in part.levels if people)
        if covered < LEAST_LEVELS:
            by_count[covered].append((part.begin, part.end))
    gaps = [(span, count) for count, spans in by_count.items() for span in common(joined(spans), served)]
    for span, count in sorted(gaps):
        begin, end = max(span[0], within[0]), min(span[1], within[1])
        yield f"{_span(rotation, (begin, end))}: {count} of at least {LEAST_LEVELS} levels are covered"


def _doubles(rotation: Rotation, parts: Iterable[Segment]) -> Iterator[str]:
    """A person at two levels at once: the second call reaches the phone that did not answer the first."""
    spans: dict[tuple[str, tuple[int, ...], bool], list[Span]] = defaultdict(list)
    for part in parts:
        people = {person for level in part.levels for person in level}
        for person in people:
            levels = tuple(n for n, level in enumerate(part.levels, start=1) if person in level)
            if len(levels) > 1:
                spans[person, levels, len(people) == 1].append((part.begin, part.end))
    for (person, levels, alone), found in sorted(spans.items()):
        rest = ", and no other person is on call" if alone else ""
        for span in joined(found):
            yield f"{_span(rotation, span)}: {person} is at levels {' and '.join(map(str, levels))}{rest}"


def _shares(rotation: Rotation, parts: Iterable[Segment]) -> Iterator[str]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for part in parts:
        for person in part.levels[0]:
            spans[person].append((part.begin, part.end))
    total = hours(joined(span for found in spans.values() for span in found))
    for person, found in spans.items():
        if hours(found) > rotation.limits.share * total:
            share = f"{hours(found) / total:.0%} of level 1 in the next {HORIZON.days} days"
            yield f"{person} has {share}, more than {rotation.limits.share:.0%}: a single point of failure"


def _long_shifts(rotation: Rotation, held: Iterable[Shift]) -> Iterator[str]:
    most = timedelta(days=rotation.limits.shift_days)
    for shift in held:
        if shift.end - shift.begin > most + CLOCKS:
            days = (shift.end - shift.begin) / timedelta(days=1)
            span = _span(rotation, (shift.begin, shift.end))
            yield f"{span}: a shift of {days:.1f} days for {shift.person}, more than {most.days}"


def _in_a_row(rotation: Rotation, held: Iterable[Shift]) -> Iterator[str]:
    most = timedelta(days=rotation.limits.days_in_a_row)
    by_person: dict[str, list[Span]] = defaultdict(list)
    for shift in held:
        by_person[shift.person].append((shift.begin, shift.end + timedelta(days=1)))  # a free day in between ends the row
    for person, spans in by_person.items():
        for begin, end in joined(spans):
            row = end - timedelta(days=1) - begin
            if row > most + CLOCKS:
                span = _span(rotation, (begin, end - timedelta(days=1)))
                yield f"{span}: {person} is on call for {row / timedelta(days=1):.1f} days in a row, more than {most.days}"


def _leaving(rotation: Rotation, held: Iterable[Shift]) -> Iterator[str]:
    for key, person in rotation.people.items():
        if person.leaves is None:
            continue
        gone = readings(person.leaves, time(0), rotation.zone_of(key))[0]
        late = [s for s in held if s.person == key and s.end > gone]
        if late:
            first = _local(rotation, max(late[0].begin, gone))
            yield f"{key} leaves on {person.leaves} and has {len(late)} shifts after that, the first on {first}"


def _local(rotation: Rotation, moment: datetime) -> str:
    return f"{moment.astimezone(rotation.zone):%Y-%m-%d %H:%M %Z}"


def _span(rotation: Rotation, span: Span) -> str:
    return f"{_local(rotation, span[0])} to {_local(rotation, span[1])}"
