"""The people on call, as paging needs them. The only module here that knows the rotation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.domain.errors import Misconfigured
from app.oncall.rota.covers import Covers, current
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import duties

WITHOUT_ROTATION = 600.0  # seconds from level to level where the rotation cannot be read

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnCall:
    """Names by level, and the seconds after which the level after each is called."""

    people: tuple[str, ...]
    waits: tuple[float, ...]

    def wait(self, level: int) -> float:
        """Seconds until the level after ``level``, the first being 1."""
        return self.waits[level - 1] if level <= len(self.waits) else WITHOUT_ROTATION


FindOnCall = Callable[[datetime], Awaitable[OnCall]]
NO_PERSON = OnCall((), ())


def from_rotation(file: Path, covers: Covers) -> FindOnCall:
    """Read the rotation and its covers at each page. One that cannot be read names no person: the page goes out all the same."""

    async def find(at: datetime) -> OnCall:
        try:
            rotation = await asyncio.to_thread(load_rotation, file)
        except (Misconfigured, OSError) as error:
            log.warning("the rotation cannot be read, pages name no person", extra={"why": str(error)})
            return NO_PERSON
        rotation, _ = await current(rotation, covers, since=at)
        return await asyncio.to_thread(_on_call, rotation, at)

    return find


async def first_person(find: FindOnCall) -> str:
    """The person at level 1 now; empty where the rotation cannot be read."""
    return next(iter((await find(datetime.now(UTC))).people), "")


def _on_call(rotation: Rotation, at: datetime) -> OnCall:
    held = [duty for duty in duties(rotation, at) if duty.person]
    return OnCall(tuple(duty.person.name for duty in held if duty.person), tuple(60.0 * duty.minutes for duty in held))
