"""What answers cost before a fault and in it, from the records of the service that is tried.

An attempt that hangs is charged its upper bound, so a fault can cost more than it breaks.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

_SPENT = text(
    """
    SELECT count(*) FILTER (WHERE outcome = 'ok') AS answered, coalesce(sum(cost), 0)::bigint AS cost,
           coalesce(sum(cost) FILTER (WHERE usage_estimated), 0)::bigint AS bound
    FROM calls WHERE at >= :since AND at < :until
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """All calls of a time: how many were answered, micro-dollars, and the part that is an upper bound."""

    answered: int
    cost: int
    bound: int

    @property
    def each(self) -> float | None:
        """Micro-dollars an answer, those of unanswered calls included; None without an answer."""
        return self.cost / self.answered if self.answered else None


async def around(engine: AsyncEngine, begun: datetime, fault: datetime | None, ended: float | None) -> dict[str, Money]:
    """The money before the fault and in it, ``ended`` seconds after its begin.

    It says nothing of the verdict, so records that cannot be read leave it out.
    """
    if fault is None or ended is None:
        return {}
    with suppress(SQLAlchemyError):
        return {
            "before": await spent(engine, begun, fault),
            "fault": await spent(engine, fault, fault + timedelta(seconds=ended)),
        }
    return {}


async def spent(engine: AsyncEngine, since: datetime, until: datetime) -> Money:
    """The money of the calls that arrived in this time. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        row = (await connection.execute(_SPENT, {"since": since, "until": until})).mappings().one()
    return Money(**row)
