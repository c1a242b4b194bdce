"""The next 3 a.m. of a rotation, and the persons who are called then: one answer for every page that names them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.oncall.rota.rotation import Person, Rotation
from app.oncall.rota.shifts import duties

THREE = 3


@dataclass(frozen=True, slots=True)
class Night:
    """3 a.m. of the rotation's zone. ``called``: each person with the minutes after which the person is called, in that order."""

    at: datetime
    zone: str
    called: tuple[tuple[Person, int], ...]

    @property
    def words(self) -> str:
        """The night and its persons, without a full stop."""
        when = f"At the next 3 a.m. ({self.at:%A} {self.at.day} {self.at:%B}, {self.zone})"
        named = [f"{person.name}{f' after {waited} min' if waited else ''}" for person, waited in self.called]
        return f"{when}: {', then '.join(named) or 'no person'}"


def next_night(rotation: Rotation, now: datetime) -> Night:
    """The night that comes next after ``now``. Raises ValueError for a time without a zone."""
    local = now.astimezone(rotation.zone)
    at = local.replace(hour=THREE, minute=0, second=0, microsecond=0)
    at = at if at > local else at + timedelta(days=1)
    called, waited = list[tuple[Person, int]](), 0
    for duty in duties(rotation, at.astimezone(UTC)):
        if duty.person:
            called.append((duty.person, waited))
        waited += duty.minutes
    return Night(at, rotation.zone.key, tuple(called))
