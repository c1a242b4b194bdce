"""Requests of callers, each with all its calls: the list behind the overview's figures of requests.

A request is what `overview` counts as one: the calls within a range of one trace and one request id that needed a model, at
least one of which was let through or cost something. Its time goes from its arrival to the end of its last call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import one_moment
from app.domain.records import NO_MODEL, REFUSALS

Sort = Literal["at", "latency_ms", "cost"]
SORTS: tuple[str, ...] = get_args(Sort)
EARLIER = {"took_ms": "latency_ms"}  # a name that scripts and addresses may still have
MOST = 2**62

_ASKED = """
    WITH seen AS (
        SELECT trace_id, request_id, outcome, feature, tenant, "user", release, cost, outcome <> ALL(:refused) AS let_through,
               at - coalesce(before_ms, 0) * interval '1 ms' AS arrived, at + latency_ms * interval '1 ms' AS ended
        FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:not_calls)
    ), asked AS (
        SELECT trace_id, request_id, min(arrived) AS at, count(*) FILTER (WHERE let_through) AS calls,
               count(*) FILTER (WHERE let_through AND outcome <> 'ok') AS failed, sum(cost)::bigint AS cost,
               (1000 * extract(epoch FROM max(ended) - min(arrived)))::double precision AS latency_ms,
               min(feature) AS feature, min(tenant) AS tenant, min("user") AS "user", min(release) AS release
        FROM seen GROUP BY trace_id, request_id HAVING bool_or(let_through OR cost > 0)
    )
"""
_ROWS = "SELECT * FROM asked WHERE cost BETWEEN :least AND :most ORDER BY {} DESC, trace_id, request_id LIMIT :limit OFFSET :skip"
_TOTAL = """
    SELECT count(*) AS requests, coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(cost), 0)::bigint AS cost,
           count(*) FILTER (WHERE failed > 0) AS failed,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms
    FROM asked WHERE cost BETWEEN :least AND :most
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A search. ``least`` and ``most``: micro-dollars of a request, both included. ``skip``: rows of earlier pages."""

    since: datetime
    until: datetime
    sort: Sort = "at"
    least: int = 0
    most: int = MOST
    limit: int = 50
    skip: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All requests of a search, whatever its page. ``failed``: those with a failed call. ``latency_ms``: p50 and p95."""

    requests: int
    calls: int
    cost: int
    failed: int
    latency_ms: Sequence[float] | None


def sort_of(name: str) -> Sort | None:
    """The order of this name, None where there is none."""
    now = EARLIER.get(name, name)
    return next((sort for sort in get_args(Sort) if sort == now), None)


async def find_requests(engine: AsyncEngine, wanted: Wanted) -> tuple[Sequence[dict[str, Any]], Total]:
    """One page and the total, of one moment. Raises SQLAlchemyError, also for what takes longer than a search may."""
    values = {
        "since": wanted.since, "until": wanted.until, "least": wanted.least, "most": wanted.most, "limit": wanted.limit,
        "skip": wanted.skip, "refused": sorted(REFUSALS), "not_calls": sorted(NO_MODEL),
    }  # fmt: skip
    async with one_moment(engine) as connection:
        rows = (await connection.execute(text(_ASKED + _ROWS.format(wanted.sort)), values)).mappings().all()
        total = (await connection.execute(text(_ASKED + _TOTAL), values)).mappings().one()
    return [dict(row) for row in rows], Total(**total)
