"""The evidence of a canary over time, made again from its counted users: how it climbed towards a verdict.

Each user counts once a metric, with the time. So the sums up to any moment give the verdict of that moment, as it was then.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.releases.canaries import Canary
from app.releases.evidence import ALPHA, BETA, Count, log10_of, tolerable, worse

POINTS = 120
_COUNTED = text(
    """
    SELECT date_bin(:width, at, :since) AS at, metric, step, count(*) FILTER (WHERE has_canary) AS canary, count(*) AS users
    FROM canary_users WHERE canary = :id AND metric = ANY(:metrics) GROUP BY 1, 2, 3 ORDER BY 1
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The evidence at one moment, each as a share of what a verdict needs: 1 is enough, 0 is none.

    ``stop``: of the metric with the most evidence that the canary is worse; ``promote``: of the metric with the least that it is
    tolerable. ``worst`` and ``least`` name these metrics.
    """

    at: datetime
    stop: float
    promote: float
    worst: str
    least: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Users counted within one step of time, by metric and step of the canary."""

    at: datetime
    metric: str
    step: int
    canary: int
    users: int


async def read(connection: AsyncConnection, canary: Canary) -> Sequence[Point]:
    """The evidence from a canary's start to now, or to its end. Raises SQLAlchemyError."""
    until = canary.ended_at or datetime.now(UTC)
    width = max(timedelta(seconds=1), (until - canary.started_at) / POINTS)
    wanted = {"id": canary.id, "width": width, "since": canary.started_at, "metrics": list(canary.metrics)}
    rows = [Counted(**row) for row in (await connection.execute(_COUNTED, wanted)).mappings()]
    return points(rows, canary.metrics, canary.shares, canary.started_at, until, width)


def points(
    rows: Iterable[Counted],
    metrics: Sequence[str],
    shares: Sequence[float],
    since: datetime,
    until: datetime,
    width: timedelta = timedelta(),
) -> Sequence[Point]:
    """The evidence after each row's time, from ``since`` to ``until``. Pure; ``rows`` in the order of time."""
    sums: Mapping[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    by_time: dict[datetime, list[Counted]] = defaultdict(list)
    for row in rows:
        by_time[row.at].append(row)
    found = [_point(since, sums, metrics, shares)]
    for at, counted in by_time.items():
        for row in counted:
            canary, users = sums[row.metric].get(row.step, (0, 0))
            sums[row.metric][row.step] = canary + row.canary, users + row.users
        found.append(_point(min(until, at + width), sums, metrics, shares))
    found.append(_point(until, sums, metrics, shares))
    return found


def towards(metric_worse: float, metric_tolerable: float, metrics: int) -> tuple[float, float]:
    """Evidence as shares of what a stop needs and of what a promotion needs, between 0 and 1."""
    stop = log10_of(metric_worse) / math.log10(metrics / ALPHA)
    promote = log10_of(metric_tolerable) / math.log10(1 / BETA)
    return min(1.0, max(0.0, stop)), min(1.0, max(0.0, promote))


def _point(
    at: datetime, sums: Mapping[str, Mapping[int, tuple[int, int]]], metrics: Sequence[str], shares: Sequence[float]
) -> Point:
    counts = {
        metric: [Count(*sums.get(metric, {}).get(step, (0, 0)), share) for step, share in enumerate(shares)] for metric in metrics
    }
    worst = max(metrics, key=lambda metric: worse(counts[metric]))
    least = min(metrics, key=lambda metric: tolerable(counts[metric]))
    stop, promote = towards(worse(counts[worst]), tolerable(counts[least]), len(metrics))
    return Point(at=at, stop=stop, promote=promote, worst=worst, least=least)
