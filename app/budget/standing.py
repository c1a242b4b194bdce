"""Money as it stands, for the console: counters of many tenants, the ledger's sums, users, open alerts. Changes nothing.

Counters say what is spent and held now; the ledger has what was spent, a fraction of a second later, and answers while Valkey is
away. Amounts are micro-dollars.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.budget.alerts import one_each
from app.budget.grants import Grants
from app.budget.recheck import LONGEST_WINDOW
from app.budget.scopes import ANONYMOUS, SHARDS, key, shard_of, windows_of
from app.budget.tables import alerts, user_caps
from app.budget.valkey_answers import number
from app.domain.calls import Tenant
from app.domain.money import MicroUSD

AT_ONCE = 500  # counters in one round trip
LONGEST = "5s"  # of one statement
SORTS = ("day", "month", "share", "name")

Counted = tuple[int, int]  # spent, held

_BY_TENANT = text("""
    SELECT l.tenant, coalesce(sum(amount) FILTER (WHERE l.day = w.day), 0)::bigint AS day,
           coalesce(sum(amount) FILTER (WHERE l.month = w.month), 0)::bigint AS month
    FROM ledger l JOIN unnest(CAST(:tenants AS text[]), CAST(:days AS text[]), CAST(:months AS text[])) AS w (tenant, day, month)
      ON l.tenant = w.tenant
    WHERE l.shard = ANY(:shards) AND l.at >= :since AND (l.day = w.day OR l.month = w.month) GROUP BY 1
""")
# Rows and their total from the same lines: a page of users cannot disagree with the sum above it.
_USERS = """
    WITH own AS (
        SELECT * FROM unnest(CAST(:names AS text[]), CAST(:day_caps AS bigint[]), CAST(:month_caps AS bigint[]))
            AS o (name, own_day, own_month)
    ), spent AS (
        SELECT "user" AS name, coalesce(sum(amount) FILTER (WHERE day = :day), 0)::bigint AS day,
               coalesce(sum(amount) FILTER (WHERE month = :month), 0)::bigint AS month, max(at) AS last_at
        FROM ledger WHERE tenant = :tenant AND at >= :since AND (day = :day OR month = :month) GROUP BY 1
    ), lines AS (
        SELECT coalesce(spent.name, own.name) AS name, coalesce(day, 0) AS day, coalesce(month, 0) AS month, last_at, own_day,
               own_month, coalesce(own_day, :user_day) AS day_cap FROM spent FULL JOIN own ON own.name = spent.name
    ), total AS (
        SELECT count(*) AS users, coalesce(sum(day), 0)::bigint AS total_day, coalesce(sum(month), 0)::bigint AS total_month
        FROM lines
    )
    SELECT total.*, page.* FROM total LEFT JOIN LATERAL (
        SELECT * FROM lines ORDER BY {order} LIMIT :most OFFSET :skip
    ) AS page ON true
"""
_ORDER = {
    "day": "day DESC, month DESC, name",
    "month": "month DESC, name",
    "share": "day / nullif(day_cap, 0)::float DESC NULLS FIRST, name",
    "name": "name",
}
_OVER_TIME = text("""
    SELECT date_bin(:width, at, :since) AS at,
           CASE WHEN (CASE WHEN :tenant = '' THEN tenant ELSE "user" END) = ANY(:named)
                THEN (CASE WHEN :tenant = '' THEN tenant ELSE "user" END) END AS name,
           sum(amount)::bigint AS amount, count(*) AS entries
    FROM ledger
    WHERE shard = ANY(:shards) AND at >= :since AND at < :until AND (:tenant = '' OR tenant = :tenant)
    GROUP BY 1, 2
""")


_NAMES = text("""
    SELECT DISTINCT tenant, "user" FROM ledger WHERE tenant = ANY(:tenants) AND at >= :since AND "user" <> ''
    UNION SELECT tenant, "user" FROM user_caps WHERE tenant = ANY(:tenants)
""")
_SINCE = text("SELECT coalesce(sum(amount), 0)::bigint FROM ledger WHERE shard = ANY(:shards) AND at >= :since")
# The first entry of a time; none where there are entries of before, so that the time before it is known, too.
_BEGAN = text("""
    SELECT CASE WHEN NOT EXISTS (SELECT FROM ledger WHERE shard = ANY(:shards) AND at < :since)
           THEN (SELECT min(at) FROM ledger WHERE shard = ANY(:shards) AND at >= :since) END
""")
# Which caps are nearly used, or passed: their alerts know it, also of a cap that was lowered below what is spent.
_USED = text("""
    SELECT DISTINCT ON (tenant, scope) tenant, scope, "window", "limit", spent, ends_at FROM budget_alerts
    WHERE resolved_at IS NULL AND ends_at > :now AND share >= :share AND scope IN ('tenant-day', 'tenant-month')
    ORDER BY tenant, scope, id DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user of a tenant. ``name`` as the ledger has it; ``own``: caps of the user's own for day and month."""

    name: str
    day: int
    month: int
    last_at: datetime | None
    own: tuple[MicroUSD | None, MicroUSD | None]


@dataclass(frozen=True, slots=True)
class Users:
    """One page of a tenant's users, and how many there are in all with their sums of the day and the month."""

    lines: Sequence[UserLine]
    users: int
    day: int
    month: int


@dataclass(frozen=True, slots=True)
class Everything:
    """Today's money of all tenants, by the day in UTC. ``granted``: of the cap, given out to shards."""

    spent: int
    held: int
    granted: int
    cap: int
    resets_at: datetime

    @property
    def left(self) -> int:
        """Of the cap, neither spent nor held."""
        return max(0, self.cap - self.spent - self.held)


@dataclass(frozen=True, slots=True)
class UsedCap:
    """A tenant's cap that is nearly used, or passed. ``window``: day or month; ``spent`` with what is held."""

    tenant: str
    window: str
    spent: int
    limit: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Spending:
    """Micro-dollars by step and name over a range; the name None is all the others. ``entries``: of the ledger."""

    steps: Mapping[tuple[datetime, str | None], int]
    by_name: Mapping[str | None, int]
    entries: Mapping[str | None, int]


async def counted(valkey: Redis, keys: Sequence[str]) -> dict[str, Counted]:
    """Spent and held of these counters. Raises what the client raises."""
    found: dict[str, Counted] = {}
    for some in (keys[first : first + AT_ONCE] for first in range(0, len(keys), AT_ONCE)):
        async with valkey.pipeline(transaction=False) as pipeline:
            for name in some:
                pipeline.hmget(name, "spent", "held")
            for name, (spent, held) in zip(some, await pipeline.execute(), strict=True):
                found[name] = number(spent), number(held)
    return found


async def everything(valkey: Redis, cap: MicroUSD, now: datetime) -> Everything:
    """Today's money under the global cap. Raises what the client raises."""
    windows = windows_of("UTC", now)
    shards = await counted(valkey, [key(shard, "all", "day", windows.day) for shard in range(SHARDS)])
    granted = await Grants(valkey, cap=cap).granted(windows.day)
    spent, held = (sum(one) for one in zip(*shards.values(), strict=True))
    return Everything(spent, held, granted, cap, windows.day_ends)


async def spent_by_tenant(engine: AsyncEngine, tenants: Sequence[Tenant], now: datetime) -> dict[str, tuple[int, int]]:
    """Spent on the day and in the month that run at each tenant, from the ledger. Raises SQLAlchemyError."""
    windows = [windows_of(tenant.time_zone, now) for tenant in tenants]
    wanted = {
        "tenants": [tenant.id for tenant in tenants],
        "days": [window.day for window in windows],
        "months": [window.month for window in windows],
        "shards": list(range(SHARDS)),  # an index begins with it
        "since": now - LONGEST_WINDOW,
    }
    async with engine.connect() as connection:
        await briefly(connection)
        rows = await connection.execute(_BY_TENANT, wanted)
        return {row.tenant: (row.day, row.month) for row in rows}


async def own_caps(engine: AsyncEngine, tenant: str) -> dict[str, tuple[MicroUSD | None, MicroUSD | None]]:
    """The caps of users of their own at a tenant, by the user's id. Raises SQLAlchemyError."""
    c = user_caps.c
    wanted = select(c.user, c.daily_cap, c.monthly_cap).where(
        c.tenant == tenant, c.daily_cap.is_not(None) | c.monthly_cap.is_not(None)
    )
    async with engine.connect() as connection:
        return {row.user: (row.daily_cap, row.monthly_cap) for row in await connection.execute(wanted)}


async def users_of(
    engine: AsyncEngine,
    tenant: Tenant,
    own: Mapping[str, tuple[MicroUSD | None, MicroUSD | None]],
    now: datetime,
    *,
    sort: str = "day",
    most: int = 50,
    skip: int = 0,
) -> Users:
    """Users who spent this month or have caps of their own. ``own``: by the ledger's name. Raises SQLAlchemyError."""
    windows = windows_of(tenant.time_zone, now)
    wanted = {
        "names": list(own), "day_caps": [day for day, _ in own.values()], "month_caps": [month for _, month in own.values()],
        "tenant": tenant.id, "day": windows.day, "month": windows.month, "since": now - LONGEST_WINDOW,
        "user_day": tenant.user_daily_cap, "most": most, "skip": skip,
    }  # fmt: skip
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(text(_USERS.format(order=_ORDER[sort])), wanted)).all()
    lines = [
        UserLine(row.name or ANONYMOUS, row.day, row.month, row.last_at, (row.own_day, row.own_month))
        for row in rows
        if row.name is not None
    ]
    return Users(lines, rows[0].users, rows[0].total_day, rows[0].total_month)


async def users_by_pseudonym(engine: AsyncEngine, tenants: Collection[str], name_of: Callable[[str, str], str]) -> dict[str, str]:
    """The users of these tenants who called lately or have caps, as TENANT/USER by TENANT/PSEUDONYM. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(_NAMES, {"tenants": list(tenants), "since": datetime.now(UTC) - LONGEST_WINDOW})).all()
    return {f"{tenant}/{name_of(tenant, user)}": f"{tenant}/{user}" for tenant, user in rows}


async def over_time(
    engine: AsyncEngine, since: datetime, until: datetime, width: timedelta, *, named: Sequence[str], tenant: str = ""
) -> Spending:
    """Spending of ``named`` tenants, or users of ``tenant``, and of the others together. Raises SQLAlchemyError."""
    wanted = {
        "since": since, "until": until, "width": width, "tenant": tenant, "shards": list(range(SHARDS)),
        "named": ["" if name == ANONYMOUS else name for name in named],
    }  # fmt: skip
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(_OVER_TIME, wanted)).all()
    steps: dict[tuple[datetime, str | None], int] = {}
    by_name: dict[str | None, int] = {}
    entries: dict[str | None, int] = {}
    for row in rows:
        name = ANONYMOUS if row.name == "" else row.name
        steps[row.at, name] = row.amount
        by_name[name] = by_name.get(name, 0) + row.amount
        entries[name] = entries.get(name, 0) + row.entries
    return Spending(steps, by_name, entries)


async def spent_since(engine: AsyncEngine, *since: datetime) -> list[int]:
    """Micro-dollars that all tenants together spent, since each moment. Raises SQLAlchemyError."""
    shards = list(range(SHARDS))
    async with engine.connect() as connection:
        await briefly(connection)
        return [int((await connection.execute(_SINCE, {"since": at, "shards": shards})).scalar_one()) for at in since]


async def spending_began(engine: AsyncEngine, since: datetime) -> datetime | None:
    """The moment of the first entry of all, if none is older than ``since``. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        await briefly(connection)
        began: datetime | None = (await connection.execute(_BEGAN, {"since": since, "shards": list(range(SHARDS))})).scalar_one()
        return began


async def used_caps(engine: AsyncEngine, valkey: Redis, now: datetime, *, share: int, most: int = 50) -> list[UsedCap]:
    """The tenants' caps of which ``share`` per cent or more is spent, the fullest first. Raises SQLAlchemyError.

    An alert knows what was spent when it was raised; the counters say it now, unless Valkey is away.
    """
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(_USED, {"now": now, "share": share, "most": most})).all()
    keys = {row: key(shard_of(row.tenant), row.tenant, row.scope.removeprefix("tenant-"), row.window) for row in rows}
    try:
        counters = await counted(valkey, list(keys.values()))
    except (RedisError, OSError):
        counters = {}
    found = [
        UsedCap(
            row.tenant, row.scope.removeprefix("tenant-"), max(row.spent, sum(counters.get(keys[row], (0, 0)))), row.limit,
            row.ends_at,
        )
        for row in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.spent / max(1, one.limit), reverse=True)


async def open_alerts(
    engine: AsyncEngine, now: datetime, *, tenant: str = "", most: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """Budget alerts that are not over, one each, the highest share first, and how many. Raises SQLAlchemyError."""
    c = alerts.c
    conditions = [c.resolved_at.is_(None), c.ends_at > now] + ([c.tenant == tenant] if tenant else [])
    each = one_each().where(*conditions).subquery()
    wanted = select(each, func.count().over().label("all")).order_by(each.c.share.desc(), each.c.id.desc()).limit(most)
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted)).mappings().all()
    return [dict(row) for row in rows], (rows[0]["all"] if rows else 0)


async def briefly(connection: AsyncConnection) -> None:
    """Let each statement of the transaction give up after `LONGEST`."""
    await connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST}'"))
