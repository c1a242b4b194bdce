"""Canary releases in Postgres: one at a time gets a share of the users, and is stopped by the evidence of its bad events (B4).

The service itself can only stop a canary, once, and the row keeps the counts that it stopped by. It never starts one, never makes
the share larger and never promotes one: operators do. So no decision of a person is overridden.
"""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Row, RowMapping, and_, case, func, insert, select, text, true, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD, to_dollars
from app.releases.bad_events import METRICS, SCORED_LOW, SEEN, Limits, as_json, from_json
from app.releases.evidence import Count, Verdict, is_void, judge, tolerable, worse
from app.releases.tables import canaries, canary_users

Cause = Literal["", "first_users", "cap", "split", "evidence"]  # of a stop by the service
CAUSES: tuple[Cause, ...] = get_args(Cause)[1:]
RUNNING, STOPPED, PROMOTED = "running", "stopped", "promoted"
SERVICE = "octant"  # ended by the service, not by an operator
_RUNNING = select(canaries).where(canaries.c.state == RUNNING)  # read every two seconds: built once
FIRST_USERS = 5  # if the first users of a canary all fail, while most others are served, no statistics are needed

# The live release's 95th percentiles, from its calls of the last week; targets with fewer than 20 calls have none.
_LIMITS = text(
    """
    SELECT target,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY cost) AS cost
    FROM calls WHERE release = :release AND outcome = 'ok' AND at > now() - interval '7 days'
    GROUP BY target HAVING count(*) >= 20
    """
)

_ANSWERED_BY = text(
    """
    SELECT tenant, request_id, release FROM calls
    WHERE request_id = ANY(:ids) AND release = ANY(:releases) AND at > now() - interval '7 days'
    """
)

_IS_SCORED = text("SELECT count(*) > 0 FROM eval_position WHERE scored_at > now() - interval '1 hour'")

# Scores are written in rounds, each of later calls than the one before, so the time of a call says what has been read.
_SCORED_LOW = text(
    """
    SELECT at, tenant, "user", release FROM eval_scores
    WHERE fair AND NOT passed AND at > :after AND release = ANY(:releases) ORDER BY at
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One canary. ``shares`` are those of its steps so far; the last is the present one."""

    id: int
    release: str
    against: str
    state: str
    shares: tuple[float, ...]
    tenants: frozenset[str]
    limits: Mapping[str, Limits]
    cap: MicroUSD
    spent: MicroUSD
    started_at: datetime
    deadline: datetime
    by: str
    reason: str
    ended_at: datetime | None = None
    ended_by: str | None = None
    verdict: str | None = None
    evidence: Mapping[str, Any] | None = None
    unproven: Sequence[str] | None = None
    metrics: tuple[str, ...] = METRICS

    @property
    def share(self) -> float:
        """The share of the users that gets it now."""
        return self.shares[-1]


@dataclass(frozen=True, slots=True)
class Event:
    """One user's first bad event in a metric, or first call at all (`SEEN`)."""

    metric: str
    digest: str
    has_canary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The counts of a canary and what follows from them. ``why`` is a sentence for operators, ``cause`` a word for programs."""

    verdict: Verdict
    why: str
    cause: Cause = ""
    seen: Sequence[Count] = ()
    metrics: Mapping[str, Sequence[Count]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The two integers a metric and step, with the shares."""
        counted = {SEEN: self.seen, **self.metrics}
        return {name: [[c.canary, c.users, c.share] for c in counts] for name, counts in counted.items()}


def digest(key: bytes, canary: int, tenant: str, user: str) -> str:
    """A user in `canary_users`: the same for each metric, and unlike the digest in any other canary."""
    name = f"{canary}\0{tenant}\0{user}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, b"user\0" + name, hashlib.sha256).hex()[:32]


async def start(connection: AsyncConnection, **values: Any) -> int:  # noqa: ANN401 - the columns
    """Start a canary. Raises Misconfigured where one is running.

    Its metrics are fixed here: scores are one where the evals score production, or their lack would hold up each promotion.
    """
    found = await connection.execute(_LIMITS, {"release": values["against"]})
    limits = {row.target: Limits(row.latency_ms, row.cost) for row in found}
    is_scored = (await connection.execute(_IS_SCORED)).scalar_one()
    values["metrics"] = [*METRICS, *([SCORED_LOW] if is_scored else [])]
    try:
        statement = insert(canaries).values(state=RUNNING, limits=as_json(limits), **values).returning(canaries.c.id)
        return int((await connection.execute(statement)).scalar_one())
    except IntegrityError:
        raise Misconfigured("A canary is running. `octant release status` shows it; `octant release abort` ends it.") from None


async def running(connection: AsyncConnection) -> Canary | None:
    """The canary that is running."""
    row = (await connection.execute(_RUNNING)).mappings().one_or_none()
    return _canary(row) if row else None


async def newest(connection: AsyncConnection, release: str | None = None) -> Canary | None:
    """The last canary, of a ``release`` if one is named, however it ended."""
    which = canaries.c.release == release if release else true()
    statement = select(canaries).where(which).order_by(canaries.c.id.desc()).limit(1)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return _canary(row) if row else None


async def widen(connection: AsyncConnection, canary: Canary, share: float) -> None:
    """Begin the next step. Users who have counted stay counted."""
    shares = [*canary.shares, share]
    await connection.execute(update(canaries).where(canaries.c.id == canary.id).values(shares=shares))


async def end(connection: AsyncConnection, canary: Canary, state: str, *, by: str, verdict: str, evidence: Any) -> bool:  # noqa: ANN401
    """End a canary that still runs. Returns False where another has ended it before."""
    values = {"state": state, "ended_by": by, "verdict": verdict, "evidence": evidence, "ended_at": func.now()}
    statement = update(canaries).where(and_(canaries.c.id == canary.id, canaries.c.state == RUNNING)).values(values)
    return bool((await connection.execute(statement)).rowcount)


async def decide(connection: AsyncConnection, canary: Canary, state: str, *, by: str, verdict: str, evidence: Any) -> None:  # noqa: ANN401
    """End a canary as an operator decides. Raises Misconfigured where the service or another operator ended it before."""
    if not await end(connection, canary, state, by=by, verdict=verdict, evidence=evidence):
        name = canary.release
        raise Misconfigured(f"The canary {name} has ended in this moment: `octant release why {name}` says why.")


async def note(engine: AsyncEngine, canary: Canary, events: Iterable[Event], spent: int) -> Judgement | None:
    """Count events, judge, and stop the canary if that is the verdict. Returns the judgement if it was stopped here."""
    rows = [
        {"canary": canary.id, "metric": e.metric, "digest": e.digest, "has_canary": e.has_canary, "step": len(canary.shares) - 1}
        for e in events
    ]
    async with engine.begin() as connection:
        # Locks the row, so that replicas judge one after the other, each with what the others have counted.
        still = and_(canaries.c.id == canary.id, canaries.c.state == RUNNING)
        more = await connection.execute(update(canaries).where(still).values(spent=canaries.c.spent + spent))
        if not more.rowcount:
            return None  # what is counted after the end would change what it was ended by
        if rows:
            await connection.execute(postgresql.insert(canary_users).on_conflict_do_nothing(), rows)
        judged = await judgement(connection, canary.id)
        if judged.verdict != "stop":
            return None
        ended = await end(connection, canary, STOPPED, by=SERVICE, verdict=judged.why, evidence=judged.as_json())
        return judged if ended else None


async def releases_of(engine: AsyncEngine, request_ids: Iterable[str], canary: Canary) -> dict[tuple[str, str], str]:
    """The release that answered each request, by tenant and request id, of those that the canary is about."""
    async with engine.connect() as connection:
        rows = await connection.execute(_ANSWERED_BY, {"ids": list(request_ids), "releases": [canary.release, canary.against]})
        return {(row.tenant, row.request_id): row.release for row in rows}


async def scored_low(engine: AsyncEngine, canary: Canary, after: datetime) -> Sequence[Row[Any]]:
    """Calls since ``after`` whose answer the evals scored as wrong, oldest first, of a sample without regard of the release."""
    async with engine.connect() as connection:
        values = {"after": after, "releases": [canary.release, canary.against]}
        return (await connection.execute(_SCORED_LOW, values)).all()


async def judgement(connection: AsyncConnection, canary_id: int) -> Judgement:
    """Judge a canary by its rows. Any replica, and any reader later, gets the same."""
    canary = _canary((await connection.execute(select(canaries).where(canaries.c.id == canary_id))).mappings().one())
    users = canary_users.c
    counted: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    statement = (
        select(users.metric, users.step, func.count().filter(users.has_canary), func.count())
        .where(users.canary == canary_id)
        .group_by(users.metric, users.step)
    )
    for metric, step, of_canary, everyone in await connection.execute(statement):
        counted[metric][step] = (of_canary, everyone)
    counts = {
        metric: tuple(Count(*counted[metric].get(step, (0, 0)), share) for step, share in enumerate(canary.shares))
        for metric in (SEEN, *canary.metrics)
    }
    seen = counts.pop(SEEN)
    all_failed = not _outage(seen, counts["failed"]) and await _first_all_failed(connection, canary_id)
    verdict, cause, why = _verdict(canary, seen, counts, all_failed=all_failed)
    return Judgement(verdict=verdict, why=why, cause=cause, seen=seen, metrics=counts)


def _verdict(
    canary: Canary, seen: Sequence[Count], counts: Mapping[str, Sequence[Count]], *, all_failed: bool
) -> tuple[Verdict, Cause, str]:
    if all_failed:
        return (
            "stop",
            "first_users",
            f"Each of the first {FIRST_USERS} users of the canary had a failed call, and most other users had none.",
        )
    if canary.spent > canary.cap:
        return (
            "stop",
            "cap",
            f"Its calls cost ${to_dollars(canary.spent)}, more than the ${to_dollars(canary.cap)} that it may cost.",
        )
    if is_void(seen):
        dealt = ", ".join(f"{c.canary} of {c.users} at {c.share:.0%}" for c in seen)
        return "stop", "split", f"The split is not the one that was wanted ({dealt}), so nothing can be concluded."
    verdict = judge(counts.values())
    if verdict == "stop":
        name = max(counts, key=lambda metric: worse(counts[metric]))
        return (
            verdict,
            "evidence",
            f"{name}: {_described(counts[name])}; evidence that it is worse {worse(counts[name]):,.0f} to 1.",
        )
    if verdict == "promote":
        return verdict, "", "Every metric shows that it is less than twice as bad."
    lacking = [name for name, steps in counts.items() if judge([steps]) != "promote"]
    least = {name: f"{tolerable(counts[name]):.2g}" for name in lacking}
    return verdict, "", f"Too few bad events to tell in {', '.join(f'{name} ({factor} to 1)' for name, factor in least.items())}."


def _described(steps: Sequence[Count]) -> str:
    return ", ".join(
        f"{c.canary} of {c.users} users with bad events were the canary's at a share of {c.share:.0%}" for c in steps
    )


def _outage(seen: Sequence[Count], failed: Sequence[Count]) -> bool:
    """Whether most users of the live release fail too: then it is not the canary."""
    others = sum(count.users - count.canary for count in seen)
    return 2 * sum(count.users - count.canary for count in failed) > others


async def _first_all_failed(connection: AsyncConnection, canary_id: int) -> bool:
    """Whether the canary's first users all failed."""
    seen, failed = canary_users.alias("seen"), canary_users.alias("failed")
    first = (
        select(seen.c.digest)
        .where(seen.c.canary == canary_id, seen.c.metric == SEEN, seen.c.has_canary)
        .order_by(seen.c.at, seen.c.digest)
        .limit(FIRST_USERS)
        .subquery()
    )
    also = and_(failed.c.canary == canary_id, failed.c.metric == "failed", failed.c.digest == first.c.digest)
    statement = select(func.count(), func.sum(case((failed.c.digest.is_not(None), 1), else_=0)))
    users, bad = (await connection.execute(statement.select_from(first.outerjoin(failed, also)))).one()
    return bool(users == FIRST_USERS and bad == FIRST_USERS)


def _canary(row: RowMapping) -> Canary:
    values = {name: row[name] for name in Canary.__dataclass_fields__}
    values |= {"shares": tuple(row["shares"]), "tenants": frozenset(row["tenants"]), "limits": from_json(row["limits"])}
    values["metrics"] = tuple(row["metrics"])
    return Canary(**values)
