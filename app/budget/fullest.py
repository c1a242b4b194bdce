"""Users by what they spend, of all tenants: those whose caps are the fullest, and the largest of each. Changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.recheck import LONGEST_WINDOW
from app.budget.scopes import ANONYMOUS, SHARDS, windows_of
from app.budget.standing import briefly
from app.budget.tables import user_caps
from app.domain.calls import Tenant
from app.domain.money import MicroUSD

Own = Mapping[str, tuple[MicroUSD | None, MicroUSD | None]]
"""Caps of users' own for day and month, by the user's name."""

MOST = 10
LONGEST_DAY = timedelta(hours=50)  # that has begun in any time zone, and its entries of late

# A cap may be 0, so one micro-dollar is added to each.
_USERS = text("""
    WITH of_tenant AS (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:days AS text[]), CAST(:months AS text[]),
                             CAST(:user_days AS bigint[]), CAST(:user_months AS bigint[]))
            AS t (tenant, day, month, user_day, user_month)
    ), own AS (
        SELECT * FROM unnest(CAST(:own_tenants AS text[]), CAST(:own_names AS text[]), CAST(:own_days AS bigint[]),
                             CAST(:own_months AS bigint[])) AS o (tenant, name, day, month)
    ), spent AS (
        SELECT l.tenant, l."user" AS name, coalesce(sum(amount) FILTER (WHERE l.day = t.day), 0)::bigint AS day,
               coalesce(sum(amount) FILTER (WHERE l.month = t.month), 0)::bigint AS month
        FROM ledger l JOIN of_tenant t ON l.tenant = t.tenant
        WHERE l.shard = ANY(:shards) AND l.at >= :since AND (l.day = t.day OR l.month = t.month) GROUP BY 1, 2
    )
    SELECT s.tenant, s.name, s.day, s.month, o.day AS own_day, o.month AS own_month
    FROM spent s JOIN of_tenant t ON t.tenant = s.tenant LEFT JOIN own o ON o.tenant = s.tenant AND o.name = s.name
    ORDER BY greatest(s.day::float / (coalesce(o.day, t.user_day) + 1), s.month::float / (coalesce(o.month, t.user_month) + 1))
             DESC, s.tenant, s.name LIMIT :most
""")
_LARGEST = text("""
    SELECT DISTINCT ON (tenant) tenant, "user" AS name, sum(amount)::bigint AS amount FROM ledger
    WHERE shard = ANY(:shards) AND at >= :since AND at < :until AND tenant = ANY(:tenants)
    GROUP BY tenant, "user" ORDER BY tenant, amount DESC, name
""")


@dataclass(frozen=True, slots=True)
class UserSpent:
    """A user of a tenant by the ledger's name, what it spent in the day and the month that run, and its caps of its own."""

    tenant: str
    name: str
    day: int
    month: int
    own: tuple[MicroUSD | None, MicroUSD | None]


async def all_own_caps(engine: AsyncEngine) -> list[tuple[str, str, MicroUSD | None, MicroUSD | None]]:
    """Tenant, user's id and caps for day and month of each user with a cap of its own. Raises SQLAlchemyError."""
    c = user_caps.c
    wanted = select(c.tenant, c.user, c.daily_cap, c.monthly_cap).where(c.daily_cap.is_not(None) | c.monthly_cap.is_not(None))
    async with engine.connect() as connection:
        await briefly(connection)
        return [(row.tenant, row.user, row.daily_cap, row.monthly_cap) for row in await connection.execute(wanted)]


async def fullest_users(
    engine: AsyncEngine, tenants: Sequence[Tenant], own: Mapping[str, Own], now: datetime, *, most: int = MOST
) -> list[UserSpent]:
    """The users that have used most of a cap, the fullest first. ``own``: by tenant, and by the ledger's name of the user.

    A month is read only where a user's month has a cap. What is held is not in the ledger. Raises SQLAlchemyError.
    """
    windows = [windows_of(tenant.time_zone, now) for tenant in tenants]
    owned = [(tenant, name, *caps) for tenant, users in own.items() for name, caps in users.items()]
    monthly = any(tenant.user_monthly_cap is not None for tenant in tenants) or any(month is not None for *_, month in owned)
    wanted = {
        "tenants": [tenant.id for tenant in tenants], "days": [window.day for window in windows],
        "months": [window.month for window in windows], "user_days": [tenant.user_daily_cap for tenant in tenants],
        "user_months": [tenant.user_monthly_cap for tenant in tenants],
        "own_tenants": [one[0] for one in owned], "own_names": ["" if one[1] == ANONYMOUS else one[1] for one in owned],
        "own_days": [one[2] for one in owned], "own_months": [one[3] for one in owned],
        "since": now - (LONGEST_WINDOW if monthly else LONGEST_DAY), "shards": list(range(SHARDS)), "most": most,
    }  # fmt: skip
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(_USERS, wanted)).all()
    return [UserSpent(row.tenant, row.name or ANONYMOUS, row.day, row.month, (row.own_day, row.own_month)) for row in rows]


async def largest_users(
    engine: AsyncEngine, since: datetime, until: datetime, tenants: Sequence[str]
) -> dict[str, tuple[str, int]]:
    """The user that spent most of each tenant in a range, and its micro-dollars. Raises SQLAlchemyError."""
    wanted = {"since": since, "until": until, "tenants": list(tenants), "shards": list(range(SHARDS))}
    async with engine.connect() as connection:
        await briefly(connection)
        rows = (await connection.execute(_LARGEST, wanted)).all()
    return {row.tenant: (row.name or ANONYMOUS, row.amount) for row in rows}
