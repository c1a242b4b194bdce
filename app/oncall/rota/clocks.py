"""Times on a wall clock as instants.

People hand over by the clock on the wall. When the clocks change, a time such as 02:30 exists twice or not at all, and it is
uncertain which of two instants is meant. Here both are used: a duty begins at the first and ends at the last, so the two people
overlap and no hour is empty.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]
"""From an instant until another, both in UTC; the second is not part of it."""


def readings(day: date, at: time, zone: ZoneInfo) -> Span:
    """Return the first and the last instant, in UTC, that a local time can mean. Nearly always they are equal."""
    local = datetime.combine(day, at, zone)
    one, other = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    return (one, other) if one <= other else (other, one)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Sort spans and join those that touch or overlap."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif begin < end:
            found.append((begin, end))
    return found


def common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return the spans that lie in both. Each argument is sorted, its spans do not overlap."""
    found, i, k = [], 0, 0
    while i < len(some) and k < len(others):
        begin, end = max(some[i][0], others[k][0]), min(some[i][1], others[k][1])
        if begin < end:
            found.append((begin, end))
        if some[i][1] <= others[k][1]:
            i += 1
        else:
            k += 1
    return found


def without(some: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Return what is left of spans outside of ``holes``. Each argument is sorted, its spans do not overlap."""
    found, k = [], 0
    for begin, end in some:
        at = begin
        while k < len(holes) and holes[k][1] <= begin:
            k += 1
        for hole in holes[k:]:
            if hole[0] >= end:
                break
            if at < hole[0]:
                found.append((at, hole[0]))
            at = max(at, hole[1])
        if at < end:
            found.append((at, end))
    return found


def hours(spans: Iterable[Span]) -> float:
    """Return how many real hours spans last together."""
    return sum((end - begin).total_seconds() for begin, end in spans) / 3600
