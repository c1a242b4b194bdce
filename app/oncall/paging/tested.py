"""The newest test of paging, from `octant oncall page --test`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_NEWEST = text(
    """
    SELECT at, event, detail FROM page_events WHERE event IN ('test_answered', 'test_unanswered') ORDER BY id DESC LIMIT 1
    """
)


@dataclass(frozen=True, slots=True)
class Tested:
    """One test. ``seconds``: until the answer, or until the wait ended without one."""

    at: datetime
    answered: bool
    seconds: float


async def newest_test(engine: AsyncEngine) -> Tested | None:
    """The newest test that has ended; None where there was none."""
    async with engine.connect() as connection:
        row = (await connection.execute(_NEWEST)).one_or_none()
    return Tested(row.at, row.event == "test_answered", float(row.detail.get("seconds", 0))) if row else None
