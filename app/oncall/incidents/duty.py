"""The rotation as reports and the hand-over message need it: time zone, serving hours, the people on duty.

The duty of a past time comes from the list that held then and from the covers of that time: a later list changes nothing of it.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from app.oncall.rota.clocks import Span
from app.oncall.rota.covers import Covers, current
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import shifts

INSTANT = timedelta(microseconds=1)
Change = tuple[datetime, Sequence[str]]
"""From when on, in UTC, which people are on duty, level by level."""


class Duties(Protocol):
    """The one place where reports meet the rotation."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of weeks and serving hours."""

    def serving(self, since: datetime, until: datetime) -> Sequence[Span]:
        """The hours that touch a span in which a person must be reachable: sorted, apart from each other."""

    def changes(self, since: datetime, until: datetime) -> Sequence[Change]:
        """Who is on duty at the begin of a span, and each change in it. Neighbours differ."""

    def people(self, at: datetime) -> Sequence[str]:
        """The names of the people on duty at a time, level by level."""


class RotationDuties:
    """The duties of a rotation."""

    def __init__(self, rotation: Rotation) -> None:
        """``rotation`` has its covers already, also those of the past that is read."""
        self._rotation = rotation
        self.zone = rotation.zone

    def serving(self, since: datetime, until: datetime) -> Sequence[Span]:
        """The hours that touch a span in which a person must be reachable: sorted, apart from each other."""
        return self._rotation.served((since.astimezone(UTC), until.astimezone(UTC)))

    def changes(self, since: datetime, until: datetime) -> Sequence[Change]:
        """Who is on duty at the begin of a span, and each change in it. Neighbours differ."""
        since, until = since.astimezone(UTC), until.astimezone(UTC)
        held = shifts(self._rotation, since, until)
        edges = sorted({since} | {edge for shift in held for edge in (shift.begin, shift.end) if since < edge < until})
        levels: list[dict[int, str]] = [{} for _ in edges]
        for shift in held:  # of two that overlap while the clocks change, the one that began first
            for index in range(bisect_left(edges, shift.begin), bisect_left(edges, shift.end)):
                levels[index].setdefault(shift.level, self._rotation.people[shift.person].name)
        found: list[Change] = []
        for edge, first in zip(edges, levels, strict=True):
            people = [first[level] for level in sorted(first)]
            if not found or found[-1][1] != people:
                found.append((edge, people))
        return found

    def people(self, at: datetime) -> Sequence[str]:
        """The names of the people on duty at a time, level by level."""
        return self.changes(at, at + INSTANT)[0][1]


FindDuties = Callable[[datetime], Awaitable[Duties]]
"""Reads the duties, as they are from a time on."""


def duties_from(path: Path, covers: Covers) -> FindDuties:
    """Read the rotation's file and its covers at each call. A call raises Misconfigured for a file that does not fit."""

    async def find(since: datetime) -> Duties:
        rotation = await asyncio.to_thread(load_rotation, path)
        return RotationDuties((await current(rotation, covers, since=since))[0])

    return find
