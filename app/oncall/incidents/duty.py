"""The rotation as reports and the hand-over message need it: time zone, serving hours, the people on duty.

The duty of a past time comes from the list that held then and from the covers of that time: a later list changes nothing of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from app.oncall.rota.covers import Covers, current
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import shifts

INSTANT = timedelta(microseconds=1)


class Duties(Protocol):
    """The one place where reports meet the rotation."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of weeks and serving hours."""

    def served(self, at: datetime) -> bool:
        """Whether a person must be reachable at this time."""

    def people(self, at: datetime) -> Sequence[str]:
        """The names of the people on duty, level by level."""


class RotationDuties:
    """The duties of a rotation."""

    def __init__(self, rotation: Rotation) -> None:
        """``rotation`` has its covers already, also those of the past that is read."""
        self._rotation = rotation
        self.zone = rotation.zone

    def served(self, at: datetime) -> bool:
        """Whether a person must be reachable at this time."""
        return self._rotation.serves(at)

    def people(self, at: datetime) -> Sequence[str]:
        """The names of the people on duty, level by level."""
        first: dict[int, str] = {}
        for shift in shifts(self._rotation, at, at + INSTANT):
            first.setdefault(shift.level, self._rotation.people[shift.person].name)
        return [first[level] for level in sorted(first)]


FindDuties = Callable[[datetime], Awaitable[Duties]]
"""Reads the duties, as they are from a time on."""


def duties_from(path: Path, covers: Covers) -> FindDuties:
    """Read the rotation's file and its covers at each call. A call raises Misconfigured for a file that does not fit."""

    async def find(since: datetime) -> Duties:
        rotation = await asyncio.to_thread(load_rotation, path)
        return RotationDuties((await current(rotation, covers, since=since))[0])

    return find
