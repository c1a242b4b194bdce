"""Which open incident a page belongs to: several alerts of one fault are one incident.

Each alert still calls a person: pages are never held back, only gathered. The rule is time and place, as responders know it from
their pagers. A page joins the incident whose newest page is younger than the window, unless their labels say that they are
apart. Pages of one tenant or feature never mix with others: a customer's spent cap is no part of an outage.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Executable, Result, text

SAME = ("tenant", "feature", "drill")  # equal, or missing on both sides
NOT_APART = ("provider", "component")  # equal where both have it: an alert on all callers' errors names no provider
LOCK = 0x0CAA

Labels = Mapping[str, str]

_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
_OPEN = text(
    """
    SELECT i.id, greatest(i.opened_at, max(p.triggered_at)) AS newest,
           coalesce(jsonb_agg(p.labels) FILTER (WHERE p.id IS NOT NULL), '[]') AS labels,
           coalesce(bool_or(p.dedup_key = :key), false) AS known
    FROM incidents i LEFT JOIN pages p ON p.incident_id = i.id AND NOT p.test
    WHERE i.status = 'open' GROUP BY i.id ORDER BY newest DESC
    """
)


class Session(Protocol):
    """A transaction of SQLAlchemy: a connection or a session."""

    async def execute(self, statement: Executable, parameters: Any = None, /) -> Result[Any]:  # noqa: ANN401 - SQLAlchemy's
        """Run a statement."""


async def open_incident(session: Session, key: str, labels: Labels, at: datetime, *, window: timedelta) -> UUID | None:
    """The open incident that a page of this group joins; None where it opens its own.

    An incident that already has a page of the group is it at any time; an empty window joins no others. The lock is held to the
    end of the transaction: of alerts that come at the same time, the first opens the incident and the others see it.
    """
    await session.execute(_LOCK, {"lock": LOCK})
    found = (await session.execute(_OPEN, {"key": key})).all()
    known = [row.id for row in found if row.known]
    # One that an operator opened has no page yet: as far as we know it is about all callers.
    near = [r.id for r in found if r.newest > at - window and all(fits(labels, other) for other in r.labels or [{}])]
    return next(iter((*known, *near)), None)


def fits(one: Labels, other: Labels) -> bool:
    """Whether the labels of two pages can be of one fault."""
    return all(one.get(name, "") == other.get(name, "") for name in SAME) and all(
        one[name] == other[name] for name in NOT_APART if one.get(name) and other.get(name)
    )
