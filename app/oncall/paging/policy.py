"""The figures of paging, and what it calls in other rooms."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from app.oncall.paging.alarms import Alarm
from app.oncall.paging.message import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Times in seconds.

    Every page goes to all ``receivers``; to the ``fallback`` ones when one of the first refuses it or has not taken it
    ``fallback_after``. An acknowledgement lasts ``ack_expires``. An alert that fires again ``reopen_within`` of its end
    reopens its page. ``longest_maintenance`` bounds a maintenance window. A page joins an incident whose newest one is
    at most ``incident_window`` old. ``lease``: how long one attempt at a delivery may
    take before another process makes the next.
    """

    receivers: tuple[Name, ...]
    fallback: tuple[Name, ...] = ()
    fallback_after: float = 60.0
    ack_expires: float = 1800.0
    reopen_within: float = 300.0
    longest_maintenance: float = 28_800.0
    incident_window: float = 3600.0
    lease: float = 30.0


class IncidentForPage(Protocol):
    """Finds or opens the incident of a page, within the page's transaction."""

    async def __call__(
        self,
        session: AsyncConnection,
        *,
        dedup_key: str,
        title: str,
        severity: str,
        labels: Mapping[str, str],
        at: datetime,
        window: timedelta,
    ) -> uuid.UUID | None:
        """Return its id; None for none. ``window``: how new an incident's newest page is where this one joins it."""


Diagnose = Callable[[Alarm], Awaitable[str | None]]
"""What is wrong now, as the first page says it; empty where that does not explain the alarm, None where its text is enough."""


async def no_diagnosis(_: Alarm) -> str | None:
    """The alarm's own text is enough."""
    return None


async def no_incident(
    session: AsyncConnection,  # noqa: ARG001 - the port's
    *,
    dedup_key: str,  # noqa: ARG001
    title: str,  # noqa: ARG001
    severity: str,  # noqa: ARG001
    labels: Mapping[str, str],  # noqa: ARG001
    at: datetime,  # noqa: ARG001
    window: timedelta,  # noqa: ARG001
) -> uuid.UUID | None:
    """Open none."""
    return None
