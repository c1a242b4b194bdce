"""How the service does over a stretch of time, from the records: rates, latency, money, providers. No texts, no users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit import provider_state
from app.audit.failed_answers import Failed, failed_answers
from app.audit.provider_state import ProviderState
from app.audit.searching import one_moment
from app.domain.provider_errors import FAULTS
from app.domain.records import CANCELLED, NO_MODEL, REFUSALS

# One reading of calls for both: figures of calls, and of the requests that made them. A request is known by its trace and its id,
# because callers choose either; its time goes from its arrival to the end of its last call, so tools between calls count, too.
# Of a request that crosses an end of the range, the calls within count. What was refused on purpose reached no model: it is
# counted apart, and its few milliseconds are in no latency, nor its nothing in a cost.
_OF_CALLS = (
    "calls", "ok", "refused", "retried", "fallen_back", "repaired", "degraded", "latency", "ttft", "cost", "estimated",
    "cost_bands",
)  # fmt: skip
_REQUEST = "trace_id, request_id"
# Calls and their attempts lie in the same day's partition and carry the same `at`: the join stays within the range.
_SERIES = text(f"""
    WITH tried AS (
        SELECT call_id, count(*) AS number, count(DISTINCT (provider, model)) AS targets,
        bool_or(cardinality(violations) > 0) AS repaired, sum(cost) FILTER (WHERE usage_estimated) AS estimated
        FROM attempts WHERE at >= :since AND at < :until GROUP BY call_id
    ), seen AS (
        SELECT id, {_REQUEST}, outcome, fallbacks, degraded, latency_ms, ttft_ms, cost, outcome <> ALL(:refused) AS let_through,
               date_bin(:width, at, :since) AS step, at - coalesce(before_ms, 0) * interval '1 ms' AS arrived,
               at + latency_ms * interval '1 ms' AS ended
        FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:not_calls)
    ), by_call AS (
        SELECT step,
               count(*) FILTER (WHERE let_through) AS calls,
               count(*) FILTER (WHERE outcome = 'ok') AS ok,
               count(*) FILTER (WHERE NOT let_through) AS refused,
               count(*) FILTER (WHERE let_through AND number > targets AND repaired IS NOT TRUE) AS retried,
               count(*) FILTER (WHERE fallbacks > 0 AND outcome = 'ok') AS fallen_back,
               count(*) FILTER (WHERE let_through AND repaired) AS repaired,
               count(*) FILTER (WHERE let_through AND cardinality(degraded) > 0) AS degraded,
               percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE let_through) AS latency,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms) FILTER (WHERE let_through) AS ttft,
               coalesce(sum(cost), 0)::bigint AS cost, coalesce(sum(estimated), 0)::bigint AS estimated,
               percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY cost) FILTER (WHERE let_through) AS cost_bands
        FROM seen LEFT JOIN tried ON tried.call_id = seen.id GROUP BY GROUPING SETS ((step), ())
    ), asked AS (
        SELECT min(step) AS step, sum(cost)::bigint AS cost, 1000 * extract(epoch FROM max(ended) - min(arrived)) AS took
        FROM seen GROUP BY {_REQUEST} HAVING bool_or(let_through OR cost > 0)
    ), by_request AS (
        SELECT step, count(*) AS requests, sum(cost)::bigint AS request_cost,
               percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY took::double precision) AS request_latency,
               percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY cost) AS request_cost_bands
        FROM asked GROUP BY GROUPING SETS ((step), ())
    ), priced AS (
        SELECT width_bucket(cost::double precision, CAST(:edges AS double precision[])) AS bound, count(*) AS number
        FROM asked GROUP BY 1
    )
    SELECT by_call.step AS at, {", ".join(f"by_call.{name}" for name in _OF_CALLS)},
           coalesce(requests, 0) AS requests, coalesce(request_cost, 0) AS request_cost, request_latency, request_cost_bands,
           (SELECT jsonb_object_agg(bound, number) FROM priced) AS priced
    FROM by_call LEFT JOIN by_request ON by_request.step IS NOT DISTINCT FROM by_call.step
""")  # noqa: S608 - names are constants
_COSTS = text("""
    SELECT width_bucket(cost::double precision, CAST(:edges AS double precision[])) AS step, count(*) AS calls
    FROM calls WHERE at >= :since AND at < :until AND outcome <> ALL(:not_calls) AND outcome <> ALL(:refused) GROUP BY 1
""")
_PROVIDERS = text("""
    SELECT provider, date_bin(:width, at, :since) AS at, count(*) FILTER (WHERE outcome <> :cancelled) AS attempts,
           count(*) FILTER (WHERE outcome = ANY(:faults)) AS failed
    FROM attempts WHERE at >= :since AND at < :until GROUP BY 1, 2 ORDER BY 1, 2
""")
_OUTCOMES = text("""
    SELECT outcome, count(*) AS calls FROM calls
    WHERE at >= :since AND at < :until AND outcome <> 'ok' AND outcome <> ALL(:not_calls)
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30
""")
_UNNEEDED = text("SELECT count(*) AS calls FROM calls WHERE at >= :since AND at < :until AND outcome = ANY(:not_calls)")
_FIRST = text("SELECT min(at) AS at FROM calls WHERE at < :until")
_SCORES = text(
    "SELECT count(*) AS scored, count(*) FILTER (WHERE passed) AS passed FROM eval_scores WHERE at >= :since AND at < :until"
)
_MARKS = text("""
    SELECT at, action, subject FROM actions WHERE at >= :since AND at < :until AND outcome = 'ok'
      AND (action = ANY(:actions) OR (action LIKE 'kill %' AND action <> 'kill self-test'))
    ORDER BY number DESC LIMIT 50
""")
MARKED = (
    "rollback", "resume", "release activate", "release canary", "release promote", "release abort", "incident open",
    "budget set", "key revoke", "rollback --force", "release activate --force", "release canary --force",
    "release promote --force",
)  # fmt: skip
EDGES = tuple(digit * 10**zeros for zeros in range(1, 8) for digit in (1, 2, 5))  # micro-dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Calls within one step, or within all. ``latency``: p50, p95, p99; ``cost_bands``: p50, p95; None without calls.

    ``refused``: calls that a cap, a rate limit or an operator's stop refused; they are in no other figure.
    ``fallen_back``: answered by another model than the first of their route. ``estimated``: the part of ``cost`` for attempts
    without final figures, at their upper bound (ADR 0016).

    ``requests``: those of callers whose first call is within; ``request_cost`` is of all of them, ``request_latency`` and
    ``request_cost_bands`` of each, with all its calls. Times in milliseconds, money in micro-dollars.
    """

    at: datetime | None
    calls: int
    ok: int
    refused: int
    retried: int
    fallen_back: int
    repaired: int
    degraded: int
    latency: Sequence[float] | None
    ttft: float | None
    cost: int
    estimated: int
    cost_bands: Sequence[int] | None
    requests: int
    request_cost: int
    request_latency: Sequence[float] | None
    request_cost_bands: Sequence[int] | None

    @property
    def failed(self) -> int:
        """Calls that were not answered normally."""
        return self.calls - self.ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """``series`` has every step, also those without calls. ``costs``: calls and requests by least micro-dollars of their step.

    ``providers``: by provider and step, attempts that had a result of their own, and those that count against the provider.
    ``states``: at the range's end. ``unneeded``: calls in no figure, as they needed no model. ``marks``: what operators changed.
    ``failed_answers``: the most frequent ones of 4xx and 5xx. ``first``: the oldest call on record, if the first step has none.
    ``earlier``: whether the first step has calls, or any is on record from before the range.
    """

    total: Bucket
    series: Sequence[Bucket]
    costs: Sequence[tuple[int, int, int]]
    providers: dict[str, dict[datetime, tuple[int, int]]]
    states: Mapping[str, ProviderState]
    outcomes: Sequence[tuple[str, int]]
    unneeded: int
    scored: int
    passed: int
    marks: Sequence[tuple[datetime, str, str]]
    failed_answers: Sequence[Failed] = ()
    earlier: bool = True
    first: datetime | None = None

    @property
    def began(self) -> datetime | None:
        """When the first call came, if that was within the range."""
        return None if self.earlier else self.first


async def overview(
    engine: AsyncEngine, since: datetime, until: datetime, width: timedelta, *, with_states: bool = True
) -> Overview:
    """Read it. Raises SQLAlchemyError, also where it takes longer than a search may.

    ``with_states``: providers' states are read, too. They take the hour before ``until``, however short the range.
    """
    wanted = {
        "since": since,
        "until": until,
        "width": width,
        "not_calls": sorted(NO_MODEL),
        "faults": sorted(FAULTS),
        "cancelled": CANCELLED,
        "refused": sorted(REFUSALS),
        "edges": list(EDGES),
        "actions": list(MARKED),
    }
    async with one_moment(engine) as connection:
        rows = await _rows(connection, _SERIES, wanted)
        costs = await _rows(connection, _COSTS, wanted)
        attempts = await _rows(connection, _PROVIDERS, wanted)
        states = await _rows(connection, provider_state.STATES, provider_state.parameters(until)) if with_states else []
        outcomes = await _rows(connection, _OUTCOMES, wanted)
        [unneeded] = await _rows(connection, _UNNEEDED, wanted)
        [scores] = await _rows(connection, _SCORES, wanted)
        marks = await _rows(connection, _MARKS, wanted)
        failed = await failed_answers(connection, since, until)
        began = any(row["at"] == since for row in rows)  # a range that begins with calls needs none before it
        first = None if began else (await _rows(connection, _FIRST, wanted))[0]["at"]
    requests = next((row["priced"] for row in rows), None) or {}  # the same in each row
    found = {row["at"]: Bucket(**{name: value for name, value in row.items() if name != "priced"}) for row in rows}
    providers: dict[str, dict[datetime, tuple[int, int]]] = {}
    for row in attempts:
        providers.setdefault(row["provider"], {})[row["at"]] = row["attempts"], row["failed"]
    steps = range(-(-(until - since) // width))
    return Overview(
        total=found.get(None) or _empty(None),
        series=[found.get(since + n * width) or _empty(since + n * width) for n in steps],
        costs=_steps({row["step"]: row["calls"] for row in costs}, {int(step): number for step, number in requests.items()}),
        providers=providers,
        states=provider_state.states_of(states),
        outcomes=[(row["outcome"], row["calls"]) for row in outcomes],
        unneeded=unneeded["calls"],
        scored=scores["scored"],
        passed=scores["passed"],
        marks=[(row["at"], row["action"], row["subject"]) for row in reversed(marks)],
        failed_answers=failed,
        earlier=began or (first is not None and first < since),
        first=first,
    )


def _steps(calls: Mapping[int, int], requests: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Calls and requests by the least micro-dollars of their step. Both are by the number of `EDGES` that they reach."""
    return [(EDGES[step - 1] if step else 0, calls.get(step, 0), requests.get(step, 0)) for step in sorted({*calls, *requests})]


def _empty(at: datetime | None) -> Bucket:
    return Bucket(
        at=at, calls=0, ok=0, refused=0, retried=0, fallen_back=0, repaired=0, degraded=0, latency=None, ttft=None, cost=0,
        estimated=0, cost_bands=None, requests=0, request_cost=0, request_latency=None, request_cost_bands=None,
    )  # fmt: skip


async def _rows(connection: AsyncConnection, statement: TextClause, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(statement, wanted)).mappings()]
