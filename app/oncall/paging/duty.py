"""The people on call, as paging needs them. The only module here that knows the rotation."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.domain.errors import Misconfigured
from app.oncall.rotation import load_rotation

WITHOUT_ROTATION = 600.0  # seconds from level to level where the rotation cannot be read

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnCall:
    """Names by level, and the seconds after which the next level is called."""

    people: tuple[str, ...]
    escalate_after: float


FindOnCall = Callable[[datetime], OnCall]


def from_rotation(file: Path) -> FindOnCall:
    """Read the rotation at each page. One that cannot be read names no person: the page goes out all the same."""

    def find(at: datetime) -> OnCall:
        try:
            rotation = load_rotation(file)
            return OnCall(tuple(duty.person.name for duty in rotation.on_call(at)), 60.0 * rotation.escalate_after_minutes)
        except (Misconfigured, OSError) as error:
            log.warning("the rotation cannot be read, pages name no person", extra={"why": str(error)})
            return OnCall((), WITHOUT_ROTATION)

    return find
