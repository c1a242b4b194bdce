"""How each provider's attempts went within a range: answered, silent, failed, slow. Beside them the calls of callers."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import bounded
from app.domain.provider_errors import ProviderTimeout
from app.domain.records import CANCELLED, NO_MODEL, REFUSALS

CALLS = "all calls"
# A stream is judged by its first token. An attempt that another one overtook was silent for at least its time.
_MEASURED = f"""
    count(*) AS number, count(*) FILTER (WHERE outcome = 'ok') AS answered,
    count(*) FILTER (WHERE outcome = '{ProviderTimeout.code}') AS silent,
    count(*) FILTER (WHERE ms >= :slow) AS slow,
    count(*) FILTER (WHERE ms >= :slow OR outcome = '{ProviderTimeout.code}') AS late,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY ms) AS bands
"""
_TIMES = text(f"""
    WITH tried AS (
        SELECT provider, outcome, coalesce(ttft_ms, latency_ms) AS ms
        FROM attempts WHERE at >= :since AND at < :until AND outcome <> :cancelled
    ), called AS (
        SELECT outcome, coalesce(ttft_ms, latency_ms) AS ms
        FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:uncounted)
    )
    SELECT provider AS name, {_MEASURED} FROM tried GROUP BY provider
    UNION ALL SELECT '{CALLS}' AS name, {_MEASURED} FROM called HAVING count(*) > 0
""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Times:
    """Attempts at a provider, or all calls: how many, how many of them were answered, or silent until a time-out; others failed.

    ``slow``: of all of these, by their own time; a time-out may be shorter, so ``late`` counts slow and silent ones, each once.
    ``p50``, ``p95``: milliseconds until the first token of a stream, or the whole answer.
    """

    name: str
    number: int
    answered: int
    silent: int
    slow: int
    late: int
    p50: float
    p95: float

    @property
    def failed(self) -> int:
        """Neither answered nor silent."""
        return self.number - self.answered - self.silent


async def attempt_times(engine: AsyncEngine, since: datetime, until: datetime, *, slow_ms: float) -> list[Times]:
    """Read them: providers by name, then `CALLS`; empty where nothing was called. Raises SQLAlchemyError or OSError.

    ``slow_ms``: from so many milliseconds on an answer counts as slow. Refused calls and those that needed no model do not count.
    """
    wanted = {
        "since": since,
        "until": until,
        "slow": slow_ms,
        "cancelled": CANCELLED,
        "uncounted": sorted({*NO_MODEL, *REFUSALS, CANCELLED}),
    }
    async with bounded(engine) as connection:
        rows = (await connection.execute(_TIMES, wanted)).all()
    found = [Times(r.name, r.number, r.answered, r.silent, r.slow, r.late, *map(float, r.bands)) for r in rows]
    return sorted(found, key=lambda one: (one.name == CALLS, one.name))
