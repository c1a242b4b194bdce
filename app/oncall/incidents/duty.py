"""The rotation as reports and the hand-over message need it: time zone, serving hours, the people on duty."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from app.oncall.rotation import Rotation, load_rotation


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
        self.zone = ZoneInfo(rotation.timezone)

    def served(self, at: datetime) -> bool:
        """Whether a person must be reachable at this time."""
        return self._rotation.serving.at(at.astimezone(self.zone))

    def people(self, at: datetime) -> Sequence[str]:
        """The names of the people on duty, level by level."""
        return [duty.person.name for duty in self._rotation.on_call(at)]


def duties_of(path: Path) -> Duties:
    """The duties of a rotation's file. Raises Misconfigured."""
    return RotationDuties(load_rotation(path))
