"""Pages in figures: how many, how soon acknowledged, how soon resolved; without tests and drills.

`incidents/report.py` has more: alerts, noise, and each person's load, for which it reads the rotation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.paging.message import DEMO_RECEIVER

_PAGES = text(
    """
    SELECT triggered_at, acknowledged_at, resolved_at FROM pages
    WHERE NOT test AND labels->>'drill' IS NULL AND triggered_at >= :since AND triggered_at < :until ORDER BY triggered_at
    """
)
_TESTED = text(
    """
    WITH ended AS (
        SELECT page_id, at, event, detail FROM page_events WHERE event IN ('test_answered', 'test_unanswered')
    ), others AS (
        SELECT id AS page_id, coalesce(acknowledged_at, resolved_at, triggered_at) AS at,
               CASE WHEN acknowledged_at IS NOT NULL THEN 'test_answered'
                    WHEN status = 'resolved' THEN 'test_unanswered' ELSE 'test_waits' END AS event,
               jsonb_build_object('by', coalesce(acknowledged_by, ''),
                                  'seconds', extract(epoch FROM coalesce(acknowledged_at, resolved_at, now()) - triggered_at))
               AS detail
        FROM pages WHERE test AND NOT EXISTS (SELECT FROM ended WHERE page_id = pages.id)
    ), newest AS (
        SELECT page_id, at, event, detail FROM ended UNION ALL SELECT page_id, at, event, detail FROM others
        ORDER BY at DESC LIMIT 1
    )
    SELECT at, event, detail, ARRAY(
        SELECT DISTINCT receiver FROM page_deliveries
        WHERE page_deliveries.page_id = newest.page_id AND action = 'trigger' AND state = 'sent' ORDER BY receiver
    ) AS receivers FROM newest
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts of pages. ``mtta`` and ``mttr``: seconds, means over the handled ones, None where there is none.

    ``week``: its Monday at midnight, local time; None for the whole span.
    """

    week: datetime | None
    pages: int
    acknowledged: int
    resolved: int
    mtta: float | None
    mttr: float | None


class Handled(Protocol):
    """A page's times, in UTC."""

    @property
    def triggered_at(self) -> datetime:
        """When it began."""

    @property
    def acknowledged_at(self) -> datetime | None:
        """When a person took it."""

    @property
    def resolved_at(self) -> datetime | None:
        """When it ended."""


def figures_of(pages: Sequence[Handled], week: datetime | None = None) -> Figures:
    """Count pages and average their times. The console, reports and the readiness review use this alone."""
    acked = [(page.acknowledged_at - page.triggered_at).total_seconds() for page in pages if page.acknowledged_at]
    ended = [(page.resolved_at - page.triggered_at).total_seconds() for page in pages if page.resolved_at]
    return Figures(
        week=week, pages=len(pages), acknowledged=len(acked), resolved=len(ended),
        mtta=sum(acked) / len(acked) if acked else None,
        mttr=sum(ended) / len(ended) if ended else None,
    )  # fmt: skip


def monday_of(at: datetime, zone: ZoneInfo) -> datetime:
    """The begin of a moment's week: Monday, midnight, local time."""
    local = at.astimezone(zone)
    return datetime.combine(local.date() - timedelta(days=local.weekday()), datetime.min.time(), zone)


async def figures(engine: AsyncEngine, since: datetime, until: datetime, zone: ZoneInfo) -> tuple[Figures, Sequence[Figures]]:
    """The figures of a span, and those of its weeks that have pages. ``zone``: the rotation's."""
    async with engine.connect() as connection:
        pages = (await connection.execute(_PAGES, {"since": since, "until": until})).all()
    weeks = groupby(pages, key=lambda page: monday_of(page.triggered_at, zone))
    return figures_of(pages), [figures_of(list(found), week) for week, found in weeks]


@dataclass(frozen=True, slots=True)
class Tested:
    """One test of the pager. ``seconds``: until the answer, or until the wait ended without one. ``by``: who answered.

    ``waits``: it is open and has no answer yet; ``seconds``: since it was sent. ``receivers``: the channels that took it.
    """

    at: datetime
    answered: bool
    seconds: float
    by: str = ""
    waits: bool = False
    receivers: tuple[str, ...] = ()

    @property
    def by_a_machine(self) -> bool:
        """Whether the demo's own receiver answered, so that no person's time is known."""
        return self.by == DEMO_RECEIVER


async def newest_test(engine: AsyncEngine) -> Tested | None:
    """The newest test from `octant oncall page --test`, also one that waits, or whose command ended early; None without any."""
    async with engine.connect() as connection:
        row = (await connection.execute(_TESTED)).one_or_none()
    if row is None:
        return None
    seconds, by = float(row.detail.get("seconds", 0)), str(row.detail.get("by", ""))
    answered, waits = row.event == "test_answered", row.event == "test_waits"
    return Tested(row.at, answered, seconds, by, waits=waits, receivers=tuple(row.receivers))
