"""The rotation as reports and the hand-over message need it: time zone, serving hours, the people on duty."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

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
    """The duties of the rotation's file."""

    def __init__(self, rotation: Rotation) -> None:
        """``rotation`` is the file as it is now: duties of the past are computed from it, too."""
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


def duties_of(path: Path) -> Duties:
    """The duties of a rotation's file. Raises Misconfigured."""
    return RotationDuties(load_rotation(path))
