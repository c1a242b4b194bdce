"""Detects a changed cost per call of a feature (C10).

The test is the two-sample Kolmogorov-Smirnov test on the cost per call: the last hour against the week before it, at a level of
one in a thousand. The medians must also differ by a factor of one and a half, because with many calls an unimportant difference
is significant too.
(Smirnov 1939; the critical value is sqrt(-ln(a / 2) / 2) * sqrt((n + m) / (n * m)).)
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.tables import ledger

LEVEL = 0.001
LEAST_CALLS = 200
MOST_CALLS = 5_000
LEAST_RATIO = 1.5
RECENT, BEFORE = timedelta(hours=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Drift:
    """A feature whose cost per call changed: ``ratio`` of the medians, ``distance`` of the distributions (0 to 1)."""

    feature: str
    ratio: float
    distance: float


def drifted(feature: str, before: Sequence[int], recent: Sequence[int]) -> Drift | None:
    """Compare the costs of calls, in micro-dollars; None if there are too few, or nothing changed."""
    if min(len(before), len(recent)) < LEAST_CALLS:
        return None
    distance = _distance(sorted(before), sorted(recent))
    critical = math.sqrt(-math.log(LEVEL / 2) / 2) * math.sqrt((len(before) + len(recent)) / (len(before) * len(recent)))
    ratio = median(recent) / max(1, median(before))
    if distance <= critical or 1 / LEAST_RATIO < ratio < LEAST_RATIO:
        return None
    return Drift(feature, ratio, distance)


async def drifts(engine: AsyncEngine, now: datetime) -> list[Drift]:
    """Compare every feature's last hour with its week before, on a random sample of each."""
    found: list[Drift] = []
    c = ledger.c
    async with engine.connect() as connection:
        features = select(c.feature).where(c.at >= now - RECENT).group_by(c.feature).having(func.count() >= LEAST_CALLS)
        for feature in (await connection.execute(features)).scalars().all():
            samples = []
            for since, until in ((now - BEFORE, now - RECENT), (now - RECENT, now)):
                wanted = select(c.amount).where(c.feature == feature, c.kind == "settled", c.at >= since, c.at < until)
                rows = await connection.execute(wanted.order_by(func.random()).limit(MOST_CALLS))
                samples.append([int(amount) for amount in rows.scalars()])
            drift = drifted(feature, *samples)
            if drift:
                found.append(drift)
    return found


def _distance(first: Sequence[int], second: Sequence[int]) -> float:
    """The largest gap between the two empirical distribution functions."""
    points = sorted({*first, *second})
    return max(abs(bisect_right(first, p) / len(first) - bisect_right(second, p) / len(second)) for p in points)
