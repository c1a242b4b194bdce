"""Figures over records, as evidence for a decision: of a tenant and its users, and of a feature by release. No texts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import bounded
from app.domain.errors import BudgetExceeded
from app.domain.records import NO_MODEL

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
MOST_RECORDS = 50
MOST_USERS = 50  # of a tenant
NEWEST = 2000  # calls that say what a prompt's calls hold

_TENANT = text("""
    SELECT count(*) AS calls,
           count(*) FILTER (WHERE outcome <> 'ok') AS not_ok,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_ms,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_ms,
           coalesce(sum(cost), 0)::bigint AS cost
    FROM calls WHERE tenant = :tenant AND at > now() - :since AND outcome <> ALL(:not_calls)
""")
_LEAST = text("""
    SELECT target, min(held)::bigint AS least FROM (
        SELECT target, held FROM calls WHERE held > 0 AND at > now() - :since ORDER BY at DESC LIMIT :most
    ) AS newest GROUP BY target
""")
_RECORDS = text("""
    SELECT id, at, feature, target, release, provider, model, outcome, latency_ms, cost, fallbacks, degraded
    FROM calls WHERE tenant = :tenant AND at > now() - :since AND (:request = '' OR id = :request OR request_id = :request)
    ORDER BY at DESC LIMIT :most
""")
_COSTS = text("""
    SELECT release, count(*) AS calls, percentile_disc(0.5) WITHIN GROUP (ORDER BY cost) AS median_cost
    FROM calls WHERE feature = :feature AND outcome = 'ok' AND at > now() - :since GROUP BY release ORDER BY release
""")
_SCORES = text("""
    SELECT release, count(*) AS scored, count(*) FILTER (WHERE NOT passed) AS failed
    FROM eval_scores WHERE feature = :feature AND at > now() - :since GROUP BY release ORDER BY release
""")

_HOLDS = text("""
    SELECT tenant, percentile_disc(0.5) WITHIN GROUP (ORDER BY held) AS median, max(held) AS most
    FROM calls WHERE at > now() - CAST(:since AS interval) AND held > 0 GROUP BY tenant
""")
_REFUSED = text("""
    SELECT * FROM (
        SELECT tenant, "user", count(*) AS number, (sum(count(*)) OVER (PARTITION BY tenant))::bigint AS of_tenant,
               row_number() OVER (PARTITION BY tenant ORDER BY count(*) DESC, "user") AS place
        FROM calls WHERE at > now() - CAST(:since AS interval) AND outcome = :refused GROUP BY tenant, "user"
    ) AS users WHERE place <= :most ORDER BY tenant, place
""")
_ESTIMATED = text("SELECT coalesce(sum(cost), 0)::bigint FROM attempts WHERE at >= :since AND usage_estimated")


@dataclass(frozen=True, slots=True)
class Capped:
    """Calls of a tenant that a cap refused, and how many by user: those with the most, who come first."""

    calls: int
    users: Mapping[str, int]


async def refused_by_cap(engine: AsyncEngine, since: timedelta) -> dict[str, Capped]:
    """The calls of each tenant that a cap has refused in the last time. Raises SQLAlchemyError."""
    wanted = {"since": since, "refused": BudgetExceeded.code, "most": MOST_USERS}
    async with bounded(engine) as connection:
        rows = (await connection.execute(_REFUSED, wanted)).all()
    users: dict[str, dict[str, int]] = {}
    for row in rows:
        users.setdefault(row.tenant, {})[row.user] = int(row.number)
    return {row.tenant: Capped(int(row.of_tenant), users[row.tenant]) for row in rows}


async def estimated_since(engine: AsyncEngine, since: datetime) -> int:
    """Micro-dollars of attempts without final figures, which count at their upper bound (ADR 0016). Raises SQLAlchemyError."""
    async with bounded(engine) as connection:
        return int((await connection.execute(_ESTIMATED, {"since": since})).scalar_one())


async def of_tenant(engine: AsyncEngine, tenant: str, since: timedelta) -> dict[str, Any]:
    """A tenant's calls: number, share that was not answered normally, latency, micro-dollars a call. Raises SQLAlchemyError."""
    wanted = {"tenant": tenant, "since": since, "not_calls": sorted(NO_MODEL)}
    async with engine.connect() as connection:
        row = (await connection.execute(_TENANT, wanted)).mappings().one()
    calls = int(row["calls"])
    return {
        "calls": calls,
        "not_ok_share": row["not_ok"] / calls if calls else None,
        "p50_ms": row["p50_ms"],
        "p95_ms": row["p95_ms"],
        "cost_per_call": int(row["cost"]) / calls if calls else None,
    }


async def records_of(engine: AsyncEngine, tenant: str, *, request: str = "") -> list[dict[str, Any]]:
    """A tenant's newest records of the last day, or those of one call or request of the last week: ids and figures, no texts."""
    wanted = {"tenant": tenant, "since": WEEK if request else DAY, "request": request, "most": MOST_RECORDS}
    async with engine.connect() as connection:
        rows = (await connection.execute(_RECORDS, wanted)).mappings().all()
    return [{**row, "at": row["at"].isoformat()} for row in rows]


async def costs_by_release(engine: AsyncEngine, feature: str, since: timedelta) -> dict[str, dict[str, int]]:
    """The median cost of a feature's answered calls, in micro-dollars, by release. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_COSTS, {"feature": feature, "since": since})).all()
    return {row.release: {"calls": int(row.calls), "median_cost": int(row.median_cost)} for row in rows}


async def scores_by_release(engine: AsyncEngine, feature: str, since: timedelta) -> dict[str, dict[str, int]]:
    """How many of a feature's calls were scored, and how many failed, by release. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_SCORES, {"feature": feature, "since": since})).all()
    return {row.release: {"scored": int(row.scored), "failed": int(row.failed)} for row in rows}


async def holds_by_tenant(engine: AsyncEngine, since: timedelta) -> dict[str, tuple[int, int]]:
    """The median and the largest worst case that a call of each tenant held, in micro-dollars. Raises SQLAlchemyError."""
    async with bounded(engine) as connection:
        rows = (await connection.execute(_HOLDS, {"since": since})).all()
    return {row.tenant: (int(row.median), int(row.most)) for row in rows}


async def least_held(engine: AsyncEngine, prompts: Collection[str]) -> dict[str, int]:
    """The least that one of the newest calls of each prompt held, in micro-dollars. Raises SQLAlchemyError."""
    async with bounded(engine) as connection:
        rows = (await connection.execute(_LEAST, {"since": WEEK, "most": NEWEST})).all()
    return {row.target: row.least for row in rows if row.target in prompts}
