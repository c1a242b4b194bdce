"""Flags of the guard over time, from the records: what it found, how often, and in which features. No texts, no users."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import LONGEST

PREFIX = "guard:"
_FLAGS = text(
    """
    SELECT date_bin(:width, at, :since) AS at, flag, feature, outcome, count(*) AS calls
    FROM calls, unnest(degraded) AS flag
    WHERE at >= :since AND at < :until AND cardinality(degraded) > 0 AND flag LIKE 'guard:%'
    GROUP BY 1, 2, 3, 4 ORDER BY 1
    """
)


_REQUESTS = text(
    """
    SELECT count(DISTINCT request_id) AS requests, count(*) AS calls,
           count(DISTINCT request_id) FILTER (WHERE outcome <> 'ok') AS refused
    FROM calls
    WHERE at >= :since AND at < :until AND cardinality(degraded) > 0
      AND EXISTS (SELECT FROM unnest(degraded) AS flag WHERE flag LIKE 'guard:%')
    """
)


@dataclass(frozen=True, slots=True)
class Flagged:
    """Calls with one flag, of one feature and outcome, in one step of time. ``flag``: without its prefix."""

    at: datetime
    flag: str
    feature: str
    outcome: str
    calls: int


@dataclass(frozen=True, slots=True)
class FlaggedRequests:
    """Requests with a flag on any of their calls. ``refused``: those in which a flagged call had no answer."""

    requests: int
    calls: int
    refused: int


async def flagged_requests(engine: AsyncEngine, since: datetime, until: datetime) -> FlaggedRequests:
    """Count them: a request of two calls with the same flag is one. Raises as `flags`."""
    async with engine.connect() as connection:
        await connection.execute(text(f"SET LOCAL statement_timeout = {LONGEST * 1000:.0f}"))
        row = (await connection.execute(_REQUESTS, {"since": since, "until": until})).mappings().one()
        return FlaggedRequests(**row)


async def flags(engine: AsyncEngine, since: datetime, until: datetime, width: timedelta) -> Sequence[Flagged]:
    """Read them, oldest first. Raises SQLAlchemyError, also where it takes longer than a search may, or OSError."""
    wanted = {"since": since, "until": until, "width": width}
    async with engine.connect() as connection:
        await connection.execute(text(f"SET LOCAL statement_timeout = {LONGEST * 1000:.0f}"))
        rows = (await connection.execute(_FLAGS, wanted)).mappings()
        return [Flagged(**{**row, "flag": row["flag"].removeprefix(PREFIX)}) for row in rows]
