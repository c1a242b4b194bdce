"""Pages of weeks in figures, counted by Postgres: how many, how soon acknowledged, how soon resolved; without tests.

`incidents/report.py` has more, and computes it in the process: too slow for a page that is loaded again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.paging.message import DEMO_RECEIVER

_FIGURES = text(
    """
    SELECT date_trunc('week', triggered_at AT TIME ZONE :zone) AS week, count(*) AS pages, count(acknowledged_at) AS acknowledged,
           count(resolved_at) AS resolved, extract(epoch FROM avg(acknowledged_at - triggered_at))::float AS mtta,
           extract(epoch FROM avg(resolved_at - triggered_at))::float AS mttr
    FROM pages WHERE NOT test AND triggered_at >= :since AND triggered_at < :until
    GROUP BY GROUPING SETS ((1), ()) ORDER BY 1
    """
)
_TESTED = text(
    """
    SELECT at, event, detail FROM page_events WHERE event IN ('test_answered', 'test_unanswered') ORDER BY id DESC LIMIT 1
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts of pages. ``mtta`` and ``mttr``: seconds, means over the handled ones, None where there is none.

    ``week``: its Monday at midnight, local time without a zone; None for the whole span.
    """

    week: datetime | None
    pages: int
    acknowledged: int
    resolved: int
    mtta: float | None
    mttr: float | None


async def figures(engine: AsyncEngine, since: datetime, until: datetime, zone: str) -> tuple[Figures, Sequence[Figures]]:
    """The figures of a span, and those of its weeks that have pages. ``zone``: the rotation's."""
    async with engine.connect() as connection:
        rows = await connection.execute(_FIGURES, {"since": since, "until": until, "zone": zone})
        found = [Figures(**row) for row in rows.mappings()]
    return next(one for one in found if one.week is None), [one for one in found if one.week]


@dataclass(frozen=True, slots=True)
class Tested:
    """One test of the pager. ``seconds``: until the answer, or until the wait ended without one. ``by``: who answered."""

    at: datetime
    answered: bool
    seconds: float
    by: str = ""

    @property
    def by_a_machine(self) -> bool:
        """Whether the demo's own receiver answered, so that no person's time is known."""
        return self.by == DEMO_RECEIVER


async def newest_test(engine: AsyncEngine) -> Tested | None:
    """The newest test that has ended, from `octant oncall page --test`; None where there was none."""
    async with engine.connect() as connection:
        row = (await connection.execute(_TESTED)).one_or_none()
    if row is None:
        return None
    return Tested(row.at, row.event == "test_answered", float(row.detail.get("seconds", 0)), str(row.detail.get("by", "")))
