"""Shadow releases in Postgres: one at a time answers a share of the calls too, and no user gets its answers (B4).

It has a budget of its own: no tenant pays for it. It ends when that is used up, its time is over, or another release is live.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.releases.tables import shadows

RUNNING, STOPPED = "running", "stopped"
SERVICE = "octant"
_RUNNING = select(shadows).where(shadows.c.state == RUNNING)  # read every two seconds: built once

# Each answer beside the call of the live release that answered the same request; of several passes, the newest one before it.
_BESIDE = text(
    """
    SELECT count(*) AS answers,
           count(*) FILTER (WHERE s.outcome = 'ok') AS ok, count(*) FILTER (WHERE l.outcome = 'ok') AS live_ok,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY s.latency_ms) FILTER (WHERE s.outcome = 'ok') AS latency_ms,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY l.latency_ms) FILTER (WHERE l.outcome = 'ok') AS live_latency_ms,
           coalesce(sum(s.cost), 0) AS cost, coalesce(sum(l.cost), 0) AS live_cost,
           count(*) FILTER (WHERE s.passed IS NOT NULL) AS scored, count(*) FILTER (WHERE s.passed) AS passed
    FROM shadow_answers s LEFT JOIN LATERAL (
        SELECT outcome, latency_ms, cost FROM calls c
        WHERE c.tenant = s.tenant AND c.request_id = s.request_id AND c.release = :against AND c.at <= s.at
              AND c.at > s.at - interval '1 hour'
        ORDER BY c.at DESC LIMIT 1
    ) l ON true
    WHERE s.shadow = :shadow
    """
)
_LIVE_SCORES = text(
    """
    SELECT count(*) AS scored, count(*) FILTER (WHERE passed) AS passed FROM eval_scores
    WHERE release = :against AND fair AND at >= :since AND at <= coalesce(:until, now())
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One shadow release. ``share`` of the calls; ``budget`` and ``spent`` in micro-dollars."""

    id: int
    release: str
    against: str
    state: str
    share: float
    budget: MicroUSD
    spent: MicroUSD
    by: str
    reason: str
    started_at: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    why: str | None = None


async def start(connection: AsyncConnection, **values: Any) -> None:  # noqa: ANN401 - the columns
    """Start a shadow. Raises Misconfigured where one is running."""
    try:
        await connection.execute(insert(shadows).values(state=RUNNING, **values))
    except IntegrityError:
        raise Misconfigured(
            "A shadow is running. `octant release status` shows it; `octant release shadow stop` ends it."
        ) from None


async def running(connection: AsyncConnection) -> Shadow | None:
    """The shadow that is running."""
    row = (await connection.execute(_RUNNING)).mappings().one_or_none()
    return _shadow(row) if row else None


async def newest(connection: AsyncConnection, release: str) -> Shadow | None:
    """The last shadow of a release."""
    statement = select(shadows).where(shadows.c.release == release).order_by(shadows.c.id.desc()).limit(1)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return _shadow(row) if row else None


async def end(connection: AsyncConnection, *, by: str, why: str) -> Shadow | None:
    """End the shadow that runs. Returns it; None where none did."""
    values = {"state": STOPPED, "ended_by": by, "why": why, "ended_at": func.now()}
    statement = update(shadows).where(shadows.c.state == RUNNING).values(values).returning(*shadows.c)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return _shadow(row) if row else None


async def note_spent(engine: AsyncEngine, shadow: Shadow, amount: int, *, refused: bool) -> bool:
    """Add to what a shadow has spent, and end it where it may go on no longer. Returns whether it goes on.

    ``refused``: its budget left no room for a further call.
    """
    still = and_(shadows.c.id == shadow.id, shadows.c.state == RUNNING)
    async with engine.begin() as connection:
        statement = update(shadows).where(still).values(spent=shadows.c.spent + amount)
        row = (await connection.execute(statement.returning(shadows.c.spent, func.now().label("now")))).one_or_none()
        if row is None:
            return False
        if refused or row.spent >= shadow.budget:
            await end(connection, by=SERVICE, why="Its budget has no room for a further call.")
        elif row.now >= shadow.until:
            await end(connection, by=SERVICE, why="Its time is over.")
        else:
            return True
        return False


async def beside_live(connection: AsyncConnection, shadow: Shadow) -> Mapping[str, Any]:
    """The measures of a shadow's answers and of the live release's on the same requests, and the scores of both."""
    found = await connection.execute(_BESIDE, {"shadow": shadow.id, "against": shadow.against})
    since = {"against": shadow.against, "since": shadow.started_at, "until": shadow.ended_at}
    live = (await connection.execute(_LIVE_SCORES, since)).mappings().one()
    return {**found.mappings().one(), "live_scored": live["scored"], "live_passed": live["passed"]}


def _shadow(row: RowMapping) -> Shadow:
    return Shadow(**row)
