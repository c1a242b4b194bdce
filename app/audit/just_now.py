"""The last two minutes, by tenant, kind of failure, caller and model: facts on what has just begun, or is just over.

Each query reads two minutes of one index, or three of the few counts of failed answers; that of costs a quarter of an hour.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.failed_answers import MOST_KEY
from app.audit.searching import one_moment
from app.domain.records import NO_MODEL, REFUSALS

JUST_NOW = timedelta(minutes=2)  # what began then is diluted by the calls of a longer range

_CALLS = text("""
    WITH seen AS (
        SELECT tenant, outcome, stream, at, request_id,
               max(at) FILTER (WHERE outcome <> 'ok' AND outcome <> ALL(:refused)) OVER () AS failed_at,
               max(at) FILTER (WHERE outcome = ANY(:refused)) OVER (PARTITION BY tenant) AS refused_at
        FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:not_calls)
    )
    SELECT tenant, outcome, count(*) AS calls, count(*) FILTER (WHERE stream) AS streams, max(at) AS at,
           max(failed_at) AS failed_at, count(*) FILTER (WHERE at > failed_at) AS later,
           count(*) FILTER (WHERE at > refused_at) AS let_in, (array_agg(request_id ORDER BY at DESC))[1] AS request_id
    FROM seen GROUP BY tenant, outcome
""")
# The user with the most refused calls of each tenant.
_REFUSED_USERS = text("""
    SELECT DISTINCT ON (tenant) tenant, "user", count(*) AS calls FROM calls
    WHERE at >= :since AND at < :until AND outcome = ANY(:refused) GROUP BY tenant, "user" ORDER BY tenant, calls DESC, "user"
""")
# The calls since the last answered one: a fault that lasts longer than two minutes began before them.
_FAILING = text("""
    SELECT count(*) AS calls, min(at) AS since FROM calls
    WHERE at >= CAST(:until AS timestamptz) - interval '1 hour' AND at < :until
      AND outcome <> ALL(:refused) AND outcome <> ALL(:not_calls) AND outcome <> 'cancelled'
      AND at > coalesce((SELECT max(at) FROM calls WHERE outcome = 'ok' AND at < :until
                         AND at >= CAST(:until AS timestamptz) - interval '1 hour'), '-infinity')
""")
# The dearest model. Estimates may make all of its cost: no figures came, so the worst case was charged.
_DEAREST = text("""
    SELECT provider, model, sum(cost)::bigint AS cost, count(*) AS attempts,
           count(*) FILTER (WHERE usage_estimated) AS estimated, (sum(sum(cost)) OVER ())::bigint AS of_all
    FROM attempts WHERE at >= :since AND at < :until
    GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 1
""")
# Calls of the kinds that were made before, too, and what they would have cost then: where cheap calls end, the mean rises.
_COST = text("""
    WITH kinds AS (
        SELECT count(*) FILTER (WHERE at >= :since) AS calls, sum(cost) FILTER (WHERE at >= :since) AS cost,
               count(*) FILTER (WHERE at < :since) AS calls_before, sum(cost) FILTER (WHERE at < :since) AS cost_before
        FROM calls WHERE at >= CAST(:since AS timestamptz) - interval '15 minutes' AND at < :until
          AND outcome <> ALL(:refused) AND outcome <> ALL(:not_calls)
        GROUP BY feature, target
    )
    SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(calls_before), 0)::bigint AS calls_before,
           coalesce(sum(cost), 0)::bigint AS cost, coalesce(sum(calls * cost_before / calls_before), 0)::float AS usual
    FROM kinds WHERE calls > 0 AND calls_before > 0
""")
# Of a caller's own mistakes; refusals on purpose are calls. They are counted by the minute, so calls beside them are, too. Paths
# that do not exist are tried by every scanner of the internet: they are no caller's.
_MISTAKES = text(f"""
    WITH kinds AS (
        SELECT tenant, status, code, sum(answers)::bigint AS answers, (array_agg(key_id ORDER BY at DESC))[1] AS last_key,
               (array_agg(request_id ORDER BY at DESC))[1] AS request_id, jsonb_agg(keys) AS keys
        FROM failed_answers
        WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
          AND status BETWEEN 400 AND 499 AND code <> ALL(:refused) AND path <> 'unmatched'
        GROUP BY tenant, status, code
    )
    SELECT tenant, status, code, answers, request_id, coalesce(most.key, last_key) AS key_id,
           (SELECT count(*) FROM calls WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
              AND outcome <> ALL(:not_calls)) AS calls
    FROM kinds LEFT JOIN LATERAL ({MOST_KEY}) most ON true ORDER BY answers DESC, tenant, code LIMIT 1
""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class RefusedTenant:
    """A tenant of whose ``calls`` some were ``refused`` on purpose, most with ``code``; ``let_in``: those after the last one.

    ``user``: the one with the most refusals, and ``of_user`` of them; empty where they name none.
    """

    tenant: str
    code: str
    refused: int
    calls: int
    let_in: int = 0
    user: str = ""
    of_user: int = 0


@dataclass(frozen=True, slots=True)
class FailedKind:
    """Calls that failed with ``code``, how many of them were streams, and the last one's request and moment."""

    code: str
    calls: int
    streams: int
    request_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Dearest:
    """The model that most was spent on: its cost and that of all, its attempts, and those charged as estimates."""

    provider: str
    model: str
    cost: int
    attempts: int
    estimated: int
    of_all: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Micro-dollars of ``calls``, and what as many of the same kinds would have cost, by the ``calls_before`` of them."""

    calls: int = 0
    calls_before: int = 0
    cost: int = 0
    usual: float = 0.0


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Most frequent answers of 4xx of one tenant, beside all ``calls``. ``key_id``: most went to it; ``request_id``: the last."""

    tenant: str
    status: int
    code: str
    answers: int
    key_id: str
    request_id: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JustNow:
    """See the module. ``calls``: those let through; ``later``: how many were answered after the last failure at ``failed_at``.

    ``failing``: calls since the last answer of the last hour, all failed, the first of them at ``failing_since``.
    """

    calls: int = 0
    failed: int = 0
    failed_at: datetime | None = None
    later: int = 0
    failing: int = 0
    failing_since: datetime | None = None
    refused: Sequence[RefusedTenant] = ()
    failures: Sequence[FailedKind] = ()
    cost: Cost = Cost()
    dearest: Dearest | None = None
    mistakes: Mistakes | None = None


async def just_now(engine: AsyncEngine, until: datetime) -> JustNow:
    """Read it. Raises SQLAlchemyError, also where it takes longer than a search may."""
    wanted = {"since": until - JUST_NOW, "until": until, "not_calls": sorted(NO_MODEL), "refused": sorted(REFUSALS)}
    async with one_moment(engine) as connection:
        found = [
            [dict(row) for row in (await connection.execute(query, wanted)).mappings()]
            for query in (_CALLS, _DEAREST, _MISTAKES, _FAILING, _REFUSED_USERS)
        ]
        cost = await _cost(connection, wanted)
    calls, dearest, mistakes, [failing], users = found
    through = [row for row in calls if row["outcome"] not in REFUSALS]
    failed = [row for row in through if row["outcome"] != "ok"]
    return JustNow(
        calls=_sum(through, "calls"),
        failed=_sum(failed, "calls"),
        failed_at=failed[0]["failed_at"] if failed else None,
        later=_sum((row for row in through if row["outcome"] == "ok"), "later"),
        failing=int(failing["calls"]),
        failing_since=failing["since"],
        refused=_refused(calls, {row["tenant"]: row for row in users}),
        failures=_failures(failed),
        cost=cost,
        dearest=Dearest(**dearest[0]) if dearest else None,
        mistakes=Mistakes(**mistakes[0]) if mistakes else None,
    )


async def _cost(connection: AsyncConnection, wanted: dict[str, Any]) -> Cost:
    """The query that reads most is the last: where it takes too long, the other facts are known all the same."""
    try:
        async with connection.begin_nested():
            return Cost(**(await connection.execute(_COST, wanted)).mappings().one())
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        return Cost()


def _sum(rows: Iterable[dict[str, Any]], name: str) -> int:
    return sum(int(row[name]) for row in rows)


def _by(rows: Iterable[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict[str, list[dict[str, Any]]](list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _refused(rows: Sequence[dict[str, Any]], users: Mapping[str, dict[str, Any]]) -> list[RefusedTenant]:
    """The tenants with refusals, most of them first."""
    found = []
    for tenant, of in _by(rows, "tenant").items():
        if refused := [row for row in of if row["outcome"] in REFUSALS]:
            code = max(refused, key=lambda row: int(row["calls"]))["outcome"]
            most = users[tenant]
            sums = (_sum(refused, "calls"), _sum(of, "calls"), _sum(of, "let_in"))
            found.append(RefusedTenant(tenant, code, *sums, user=most["user"], of_user=int(most["calls"])))
    return sorted(found, key=lambda one: (-one.refused, one.tenant))


def _failures(rows: Sequence[dict[str, Any]]) -> list[FailedKind]:
    """The kinds of failures, the most frequent first."""
    found = []
    for code, of in _by(rows, "outcome").items():
        last = max(of, key=lambda row: row["at"])
        found.append(FailedKind(code, _sum(of, "calls"), _sum(of, "streams"), last["request_id"], last["at"]))
    return sorted(found, key=lambda one: (-one.calls, one.code))
