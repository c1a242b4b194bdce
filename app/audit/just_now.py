"""The last two minutes, by tenant, kind of failure, caller and model: facts on what has just begun, or is just over.

Most queries read two minutes of one index, or three of the few counts of failed answers; those on what was usual read a quarter
of an hour, and that on calls since the last answer an hour at most.
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

from app.audit.failed_answers import COUNTED_BY, MOST_KEY
from app.audit.provider_state import LATELY
from app.audit.searching import one_moment
from app.domain.records import MISTAKES, NO_MODEL, REFUSALS

ENDED = COUNTED_BY + LATELY  # since the minute in which failed answers of a kind were counted: one has passed without them
JUST_NOW = timedelta(minutes=2)  # what began then is diluted by the calls of a longer range
BEFORE = timedelta(minutes=15)  # what was usual until then
BUSIER, IDLE = 5, 20  # times a tenant's usual calls of two minutes; those that surprise no one
NEWEST = 20  # calls of a tenant that say what happens to it now
DRIFT_IS_NEWS = timedelta(hours=1)  # after that it stands on its own page alone

_CALLS = text("""
    WITH seen AS (
        SELECT tenant, outcome, stream, at, request_id,
               row_number() OVER (PARTITION BY tenant ORDER BY at DESC) <= :newest AS newest, target,
               max(at) FILTER (WHERE outcome <> 'ok' AND outcome <> ALL(:refused)) OVER () AS failed_at,
               max(at) FILTER (WHERE outcome = ANY(:refused)) OVER (PARTITION BY tenant) AS refused_at
        FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:not_calls)
    )
    SELECT tenant, outcome, count(*) AS calls, count(*) FILTER (WHERE stream) AS streams, max(at) AS at,
           max(failed_at) AS failed_at, count(*) FILTER (WHERE at > failed_at) AS later,
           count(*) FILTER (WHERE newest) AS newest, mode() WITHIN GROUP (ORDER BY target) AS target,
           count(*) FILTER (WHERE at > refused_at) AS let_in, (array_agg(request_id ORDER BY at DESC))[1] AS request_id
    FROM seen GROUP BY tenant, outcome
""")
# The user with the most refused calls of each tenant.
_REFUSED_USERS = text("""
    SELECT DISTINCT ON (tenant) tenant, "user", count(*) AS calls FROM calls
    WHERE at >= :since AND at < :until AND outcome = ANY(:refused) GROUP BY tenant, "user" ORDER BY tenant, calls DESC, "user"
""")
# The calls since the last answered one: a fault that lasts longer than two minutes began before them. A caller's own mistakes say
# nothing of a fault, however many come in a row.
_FAILING = text("""
    SELECT count(*) AS calls, min(at) AS since FROM calls
    WHERE at >= CAST(:until AS timestamptz) - interval '1 hour' AND at < :until
      AND outcome <> ALL(:refused) AND outcome <> ALL(:not_calls) AND outcome <> ALL(:mistakes) AND outcome <> 'cancelled'
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
# Calls of the kinds that were made before, too, and what they would have cost then: where cheap calls end, the mean rises. Beside
# it the tenant that sends most above its usual number, by the seconds since the first call of all where those are fewer: of less
# than two minutes before, nothing is usual yet.
_BEFORE = text("""
    WITH known AS (
        SELECT CASE WHEN EXISTS (SELECT FROM calls WHERE at < :begin) THEN CAST(:before AS float) ELSE extract(epoch FROM
               :since - (SELECT min(at) FROM calls WHERE at >= :begin AND at < :until))::float END AS seconds
    ), kinds AS (
        SELECT tenant, grouping(tenant) = 0 AS of_tenant,
               count(*) FILTER (WHERE at >= :since AND let_in) AS calls, count(*) FILTER (WHERE at >= :since) AS sent,
               sum(cost) FILTER (WHERE at >= :since) AS cost, count(*) FILTER (WHERE at < :since AND let_in) AS calls_before,
               sum(cost) FILTER (WHERE at < :since) AS cost_before, count(*) FILTER (WHERE at < :since) AS sent_before
        FROM (SELECT *, outcome <> ALL(:refused) AS let_in FROM calls
              WHERE at >= :begin AND at < :until AND outcome <> ALL(:not_calls)) AS seen
        GROUP BY GROUPING SETS ((feature, target), (tenant))
    )
    SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(calls_before), 0)::bigint AS calls_before,
           coalesce(sum(cost), 0)::bigint AS cost, coalesce(sum(calls * cost_before / calls_before), 0)::float AS usual,
           (SELECT jsonb_build_object('tenant', tenant, 'calls', sent, 'before', sent_before, 'cost', cost, 'known', seconds)
            FROM kinds, known WHERE of_tenant AND sent > 0 AND seconds >= :now
            ORDER BY sent - :busier * greatest(sent_before * CAST(:now AS float) / seconds, :idle) DESC, tenant LIMIT 1) AS most
    FROM kinds WHERE NOT of_tenant AND calls > 0 AND calls_before > 0
""")
_SENDERS = text("""
    WITH sent AS (
        SELECT grouping(key_id) = 0 AS of_key, key_id, "user", count(*) AS calls FROM calls
        WHERE at >= :since AND at < :until AND tenant = :tenant AND outcome <> ALL(:not_calls)
        GROUP BY GROUPING SETS ((key_id), ("user"))
    )
    SELECT DISTINCT ON (of_key) of_key, coalesce(key_id, "user") AS name, calls FROM sent ORDER BY of_key DESC, calls DESC, name
""")
_DRIFTED = text(
    "SELECT feature, drifted_at AS at FROM eval_drift WHERE drifted_at >= :drifted AND drifted_at < :until ORDER BY 1"
)
# Of a caller's own mistakes; refusals on purpose are calls. They are counted by the minute, so calls beside them are, too. Paths
# that do not exist are tried by every scanner of the internet: they are no caller's.
_MISTAKES = text(f"""
    WITH kinds AS (
        SELECT tenant, status, code, sum(answers)::bigint AS answers, (array_agg(key_id ORDER BY at DESC))[1] AS last_key,
               (array_agg(request_id ORDER BY at DESC))[1] AS request_id, jsonb_agg(keys) AS keys
        FROM failed_answers
        WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
          AND status BETWEEN 400 AND 499 AND code <> ALL(:refused) AND path <> 'unmatched'
        GROUP BY tenant, status, code HAVING max(at) > :ended
    )
    SELECT tenant, status, code, answers, request_id, coalesce(most.key, last_key) AS key_id,
           (SELECT count(*) FROM calls WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
              AND outcome <> ALL(:not_calls)) AS calls
    FROM kinds LEFT JOIN LATERAL ({MOST_KEY}) most ON true ORDER BY answers DESC, tenant, code LIMIT 1
""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class RefusedTenant:
    """A tenant of whose ``calls`` some were ``refused`` on purpose, most with ``code``; ``let_in``: those after the last one.

    ``newest``: of its newest calls (`NEWEST`), how many were refused, and how many there are. ``user``: the one with the most
    refusals, and ``of_user`` of them; empty where they name none.
    """

    tenant: str
    code: str
    refused: int
    calls: int
    let_in: int = 0
    user: str = ""
    of_user: int = 0
    newest: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class FailedKind:
    """Calls that failed with ``code``, how many were streams, the last one's request and moment, and what most asked for."""

    code: str
    calls: int
    streams: int
    request_id: str
    at: datetime
    target: str = ""


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
class Busiest:
    """The tenant that sends most above its usual: ``calls``, those ``before`` in ``known``, micro-dollars, and its busiest key.

    ``known``: `BEFORE`, or less where the first call of all is not as long ago; two minutes at least.
    ``user``: the one of most of its calls, ``of_user``; empty where most name none. Refused calls are counted, too: after a stop
    that lasted, none would be usual.
    """

    tenant: str
    calls: int
    before: int
    cost: int
    key_id: str
    of_key: int
    user: str = ""
    of_user: int = 0
    known: timedelta = BEFORE

    @property
    def usual(self) -> float:
        """The calls of two minutes before."""
        return self.before * (JUST_NOW / self.known)


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

    ``failing``: calls since the last answer of the last hour, all failed, but for a caller's own mistakes, the first of them at
    ``failing_since``. ``drifted``: features whose answers were found to have drifted in the last hour, and when.
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
    busiest: Busiest | None = None
    drifted: Sequence[tuple[str, datetime]] = ()


async def just_now(engine: AsyncEngine, until: datetime) -> JustNow:
    """Read it. Raises SQLAlchemyError, also where it takes longer than a search may."""
    since = until - JUST_NOW
    wanted = {
        "since": since, "until": until, "not_calls": sorted(NO_MODEL), "refused": sorted(REFUSALS), "newest": NEWEST,
        "mistakes": sorted(MISTAKES), "busier": BUSIER, "idle": IDLE, "ended": until - ENDED,
        "now": JUST_NOW.total_seconds(), "before": BEFORE.total_seconds(),
        "begin": since - BEFORE, "drifted": until - DRIFT_IS_NEWS,
    }  # fmt: skip
    async with one_moment(engine) as connection:
        found = [
            [dict(row) for row in (await connection.execute(query, wanted)).mappings()]
            for query in (_CALLS, _DEAREST, _MISTAKES, _FAILING, _REFUSED_USERS, _DRIFTED)
        ]
        cost, busiest = await _before(connection, wanted)
    calls, dearest, mistakes, [failing], users, drifted = found
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
        busiest=busiest,
        drifted=[(row["feature"], row["at"]) for row in drifted],
    )


async def _before(connection: AsyncConnection, wanted: dict[str, Any]) -> tuple[Cost, Busiest | None]:
    """The query that reads most is the last: where it takes too long, the other facts are known all the same."""
    try:
        async with connection.begin_nested():
            row = dict((await connection.execute(_BEFORE, wanted)).mappings().one())
            most = row.pop("most")
            senders = (await connection.execute(_SENDERS, wanted | {"tenant": most["tenant"]})).all() if most else []
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        return Cost(), None
    if not senders:
        return Cost(**row), None
    key, user = senders
    most["known"] = timedelta(seconds=most["known"])
    return Cost(**row), Busiest(**most, key_id=key.name, of_key=key.calls, user=user.name, of_user=user.calls)


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
            newest = _sum(refused, "newest"), _sum(of, "newest")
            found.append(RefusedTenant(tenant, code, *sums, user=most["user"], of_user=int(most["calls"]), newest=newest))
    return sorted(found, key=lambda one: (-one.refused, one.tenant))


def _failures(rows: Sequence[dict[str, Any]]) -> list[FailedKind]:
    """The kinds of failures, the most frequent first."""
    found = []
    for code, of in _by(rows, "outcome").items():
        last, most = max(of, key=lambda row: row["at"]), max(of, key=lambda row: int(row["calls"]))
        found.append(FailedKind(code, _sum(of, "calls"), _sum(of, "streams"), last["request_id"], last["at"], most["target"]))
    return sorted(found, key=lambda one: (-one.calls, one.code))
