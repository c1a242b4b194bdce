"""The words of a page: what is wrong now, as the first page says it, where that explains the alert."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import just_now as facts
from app.audit.overview import overview
from app.budget.budget import Budget
from app.console.diagnosis import LATELY
from app.console.health import ALL_AWAY, LATEST, Summary, last_minutes, now_of, stops_of, summary, without_valkey
from app.console.ranges import Range
from app.domain.money import MicroUSD
from app.oncall.paging.alarms import Alarm
from app.oncall.paging.policy import Diagnose
from app.oncall.switch import KillSwitch
from app.releases.manifest import Release
from app.releases.releases import Releases

Found = TypeVar("Found")
SLO = "slo"  # the label of an objective's alerts
_SLOW = ("answers are slow", "a provider is slow", "calls hang")
FITS: Mapping[str, tuple[str, ...]] = {  # by objective: how the symptoms begin that explain why it is missed
    "availability": (
        ALL_AWAY, "a provider ", "calls hang", "Valkey is away", "providers_unavailable", "providers_rate_limited",
        "deadline_exceeded", "dependency_unavailable", "output_invalid", "internal_error",
    ),
    "latency": _SLOW,
    "first_token": _SLOW,
    "cost": ("money is spent faster than usual",),
    "eval_score": ("answers drift",),
}  # fmt: skip


def diagnosing(engine: AsyncEngine, valkey: Redis, switch: KillSwitch, budget: Budget, releases: Releases) -> Diagnose:
    """A function for `Pages`."""

    async def diagnose(alarm: Alarm) -> str | None:
        if (objective := alarm.labels.get(SLO)) not in FITS:
            return None
        live = releases.current if releases.known else None
        return explaining(await _of_now(engine, valkey, switch, budget.policy.global_daily_cap, live), str(objective))

    return diagnose


def explaining(found: Summary, objective: str) -> str:
    """The first sentence that explains why an objective is missed; empty where none does."""
    fitting = (words for words in found.said if found.symptoms.get(words, "-").startswith(FITS[objective]))
    return next(fitting, "").removeprefix(LATEST)


async def _of_now(engine: AsyncEngine, valkey: Redis, switch: KillSwitch, cap: MicroUSD, live: Release | None) -> Summary:
    """What the first page would say of the last minutes. Raises SQLAlchemyError or OSError where the records cannot be read."""
    at = datetime.now(UTC)
    range_ = Range(at - LATELY, at, "15m")
    end = last_minutes(range_) or range_
    seen, latest, recent, now = await asyncio.gather(
        overview(engine, range_.since, at, range_.width),
        overview(engine, end.since, at, end.width, with_states=False),
        facts.just_now(engine, at),
        now_of(valkey, cap),
        return_exceptions=True,
    )
    if isinstance(seen, BaseException):
        raise seen
    away = isinstance(now, RedisError | OSError)
    found = summary(
        seen, range_, _read(latest), _read(now), stops_of(switch.stopped_words, switch.stopped, live), recent=_read(recent)
    )
    return without_valkey(found) if away else found


def _read(found: Found | BaseException) -> Found | None:
    """What was read; None where its store does not answer. Raises what is no fault of a store."""
    if not isinstance(found, BaseException):
        return found
    if isinstance(found, SQLAlchemyError | RedisError | OSError):
        return None
    raise found
