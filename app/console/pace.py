"""How fast money goes, and what that makes of the day: for the first page, and for `octant status`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.exposure import still_allowed
from app.budget.standing import Everything, spending_began, spent_since
from app.console import formats
from app.security.keys.administration import KeyAdministration

PACE, NEWEST = timedelta(hours=1), timedelta(minutes=5)
FASTER = 2  # times the last hour's pace

Spent = tuple[list[int], int]
"""Micro-dollars of the last hour and of the last five minutes, and what the caps still allow of the day."""


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast money goes, in micro-dollars. ``by``: what the day has cost at its end, at the pace ``an_hour``.

    That pace is of the last hour, or of the time since the first call (`paces`).
    ``capped``: the pace would cost more than the caps allow, so ``by`` is what they do.
    ``newest``: the pace of the last five minutes, where it is far above that. ``reached``: when the global cap is, at the faster
    of the two, if it is today.
    """

    an_hour: float
    by: float
    reached: datetime | None
    newest: float | None = None
    capped: bool = False


def burn(money: Everything, spent: Sequence[int], now: datetime, allowed: int | None = None) -> Burn | None:
    """What the pace makes of today; None where nothing was spent. One method on every page, and for every range.

    Five minutes are no forecast of a day, but they are a warning: a cap comes sooner where they go on. ``spent``: micro-dollars
    of the last hour and of the last five minutes. ``allowed``: what the tenants' caps let them spend until the day ends; None:
    unknown.
    """
    last_hour, in_newest = spent
    if last_hour <= 0:
        return None
    newest = in_newest * (PACE / NEWEST)
    faster = newest if newest > FASTER * last_hour else None
    left = (money.resets_at - now) / PACE
    pace = faster or float(last_hour)
    most = money.cap if allowed is None else min(money.cap, money.spent + allowed)
    soon = money.spent < money.cap <= most and money.cap < money.spent + pace * left
    reached = now + PACE * ((money.cap - money.spent) / pace) if soon else None
    by, most = money.spent + last_hour * left, max(most, money.spent)
    return Burn(float(last_hour), min(by, most), reached, faster, capped=by > most)


def pace_words(pace: Burn) -> str:
    """The forecast in a part of a sentence, for the first page and `octant status`."""
    newest = f"; the last 5 min's pace is {formats.usd(pace.newest)} an hour" if pace.newest else ""
    capped = ", the most that the caps allow" if pace.capped else ""
    return (
        f"at the pace of the last hour or since the first call, {formats.usd(pace.an_hour)} an hour:"
        f" {formats.usd(pace.by)} by the end of the day in UTC{capped}{newest}"
    )


async def paces(engine: AsyncEngine, now: datetime) -> list[int]:
    """Micro-dollars of an hour and of the last five minutes, for `burn`. Raises SQLAlchemyError.

    A service that has spent for less than an hour has the hour's at its pace until now: nothing is known of the time before.
    """
    spent, newest = await spent_since(engine, now - PACE, now - NEWEST)
    began = await spending_began(engine, now - PACE)
    return [round(spent * (PACE / max(now - began, NEWEST))) if began else spent, newest]


async def paces_and_caps(engine: AsyncEngine, valkey: Redis, keys: KeyAdministration, now: datetime) -> Spent:
    """The paces, and what the tenants' caps still allow of this day in UTC, for `burn`. Raises what both clients raise."""

    async def allowed() -> int:
        return await still_allowed(valkey, await keys.list_tenants(), now)

    spent, left = await asyncio.gather(paces(engine, now), allowed())
    return spent, left
