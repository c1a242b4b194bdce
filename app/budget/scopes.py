"""The scopes of a call, and the keys that count them.

Tenants are spread over a fixed number of shards by their id. All keys of a shard share the hash tag ``{shard}``, so that one
script may use them together on a cluster; only counters grow with the number of tenants. The global cap is split: each shard
counts within its grants (`grants`).
"""

import calendar
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from app.domain.calls import Tenant
from app.domain.money import MicroUSD
from app.domain.quick import quick

ANONYMOUS = "-"
SHARDS = 16  # part of the keys: changing it starts all counters anew, from the ledger
DAY_SECONDS, MONTH_SECONDS = 3 * 24 * 3600, 40 * 24 * 3600  # how long counters are kept after their last use
NAMES = ("tenant-day", "tenant-month", "user-day", "user-month")
GLOBAL = "global-day"


@quick
@dataclass(frozen=True, slots=True)
class Scope:
    """One counter for one window; ``limit`` in micro-dollars, None: counted, not capped. ``seconds``: how long it is kept."""

    name: str
    key: str
    limit: MicroUSD | None
    window: str
    resets_at: datetime
    seconds: int


class Scopes(tuple[Scope, ...]):  # noqa: SLOT001 - it keeps what it makes
    """The scopes of a call, with what each script about it is given: made once for all calls that share them."""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Their counters."""
        return tuple(scope.key for scope in self)

    @cached_property
    def arguments(self) -> tuple[int, ...]:
        """The limit of each, then the seconds that its counter lives, then those of the global day's."""
        return (*(as_number(scope.limit) for scope in self), *(scope.seconds for scope in self), DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Windows:
    """Calendar day and month in a time zone (``2026-11-23``, ``2026-11``) and their ends, in UTC."""

    day: str
    month: str
    day_ends: datetime
    month_ends: datetime


def shard_of(tenant: str) -> int:
    """The shard of a tenant's counters."""
    return zlib.crc32(tenant.encode()) % SHARDS


def key(shard: int, *parts: str) -> str:
    """A key of a shard."""
    return ":".join((f"octant:{{{shard}}}", *parts))


def as_number(limit: int | None) -> int:
    """A limit as the scripts read it: -1 is none."""
    return -1 if limit is None else limit


def windows_of(time_zone: str, at: datetime) -> Windows:
    """The windows that contain ``at``."""
    return _windows(time_zone, int(at.timestamp()) // 60)


def scopes_of(tenant: Tenant, user: str, at: datetime, own: tuple[MicroUSD | None, MicroUSD | None]) -> Scopes:
    """The four scopes of a call at ``at``, in order of `NAMES`. ``own``: the user's own caps for day and month.

    Calls that name no user share one counter.
    """
    return _scopes(tenant, user, int(at.timestamp()) // 60, own)


@lru_cache(2048)
def _scopes(tenant: Tenant, user: str, minute: int, own: tuple[MicroUSD | None, MicroUSD | None]) -> Scopes:
    """Kept for the minute: calls of one user share them."""
    windows = _windows(tenant.time_zone, minute)
    shard = shard_of(tenant.id)
    day, month = key(shard, tenant.id, "day", windows.day), key(shard, tenant.id, "month", windows.month)
    who = f":user:{user or ANONYMOUS}"
    user_day = tenant.user_daily_cap if own[0] is None else own[0]
    user_month = tenant.user_monthly_cap if own[1] is None else own[1]
    return Scopes(
        (
            Scope("tenant-day", day, tenant.daily_cap, windows.day, windows.day_ends, DAY_SECONDS),
            Scope("tenant-month", month, tenant.monthly_cap, windows.month, windows.month_ends, MONTH_SECONDS),
            Scope("user-day", day + who, user_day, windows.day, windows.day_ends, DAY_SECONDS),
            Scope("user-month", month + who, user_month, windows.month, windows.month_ends, MONTH_SECONDS),
        )
    )


@lru_cache(maxsize=512)
def _windows(time_zone: str, minute: int) -> Windows:
    zone = UTC if time_zone == "UTC" else ZoneInfo(time_zone)  # ours needs no time zone files
    local = datetime.fromtimestamp(minute * 60, zone)
    tomorrow = local.date() + timedelta(days=1)
    days = calendar.monthrange(local.year, local.month)[1]
    next_month = local.date().replace(day=1) + timedelta(days=days)
    return Windows(
        day=local.strftime("%Y-%m-%d"),
        month=local.strftime("%Y-%m"),
        day_ends=datetime.combine(tomorrow, time(), zone).astimezone(UTC),
        month_ends=datetime.combine(next_month, time(), zone).astimezone(UTC),
    )
