"""The most that one rogue user can spend in a day, and the code that enforces it (C8).

Computed from the caps in force. The holder of a tenant's key names the user, so the holder of an unbound key can pose as any
number of users: then the tenant's daily cap is the bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import BudgetPolicy
from app.budget.scopes import Scope, scopes_of, windows_of
from app.budget.standing import counted
from app.budget.tables import user_caps
from app.domain.calls import Tenant
from app.domain.money import MicroUSD
from app.domain.turns import Turns

ENFORCED_BY = (
    "app/budget/hold.lua",
    "app/budget/grant.lua",
    "app/budget/settle.lua",
    "app/budget/budget.py::Budget.hold",
    "app/gateway/gateway.py::Gateway",
)
PROVEN_BY = (
    "tests/contract/test_budget_valkey.py::test_many_concurrent_holds_never_pass_the_cap",
    "tests/contract/test_budget_machine.py::test_no_order_of_events_passes_a_cap_or_loses_a_micro_dollar",
    "benchmarks/rogue.py::main",
)
LONGEST_MONTH = 31  # days
OUTAGE = {
    False: "While Valkey is away nothing is spent.",
    True: "While Valkey is away each worker process may spend its allowance, which is in the figures, again after a restart.",
}


@dataclass(frozen=True, slots=True)
class Worst:
    """Micro-dollars, each with the caps it came from. ``call``: one call; a user's day holds it where it has no cap of its own.

    ``user`` and ``tenant`` are of a day; ``user_night`` of a night, which has a part of two days; ``user_month`` and
    ``tenant_month`` of 31 days.
    """

    user: int
    user_night: int
    user_month: int
    tenant: int
    tenant_month: int
    call: int
    why_user: str
    why_tenant: str
    why_call: str


def of(tenant: Tenant, policy: BudgetPolicy, highest: MicroUSD | None, *, workers: int) -> Worst:
    """The worst day of a tenant. ``highest``: the highest cap of a user of its own; ``workers``: processes that serve."""
    away = policy.outage_allowance * workers
    user_cap = max(tenant.user_daily_cap, highest or 0)
    caps: dict[str, int] = {"user-day": user_cap, "tenant-day": tenant.daily_cap, "global-day": policy.global_daily_cap}
    if tenant.user_monthly_cap is not None and highest is None:
        caps["user-month"] = tenant.user_monthly_cap
    if tenant.monthly_cap is not None:
        caps["tenant-month"] = tenant.monthly_cap
    day = min(caps.values())
    dearest = max(day, policy.outage_allowance)  # of one call: the counters hold it, or its own worker's allowance
    own = tenant.request_cap
    over_all = {name: cap for name, cap in caps.items() if not name.startswith("user")}
    return Worst(
        user=day + away,
        user_night=2 * day + away,  # also of a monthly cap: a night may have a part of two months
        user_month=_month(caps) + away,
        tenant=min(over_all.values()) + away,
        tenant_month=_month(over_all) + away,
        call=dearest if own is None else min(dearest, own),
        why_user=_why(caps, workers if away else 0),
        why_tenant=_why(over_all, workers if away else 0),
        why_call="request cap" if own is not None and own <= dearest else "no lower cap of its own",
    )


def of_everyone(tenants: Sequence[Tenant], policy: BudgetPolicy, *, workers: int) -> tuple[int, int]:
    """The worst day and the worst month of all tenants together, in micro-dollars: by their caps, or the global one."""
    away = policy.outage_allowance * workers
    caps = [_of_tenant(tenant) for tenant in tenants]
    day = min(policy.global_daily_cap, sum(min(each.values()) for each in caps))
    month = min(LONGEST_MONTH * policy.global_daily_cap, sum(_month(each) for each in caps))
    return day + away, month + away


def _of_tenant(tenant: Tenant) -> dict[str, int]:
    """Its caps of a day and a month, by scope."""
    caps: dict[str, int] = {"tenant-day": tenant.daily_cap}
    return caps if tenant.monthly_cap is None else caps | {"tenant-month": tenant.monthly_cap}


async def still_allowed(valkey: Redis, tenants: Sequence[Tenant], now: datetime) -> int:
    """The most that the tenants' caps still let them spend of this day in UTC. Raises what the client raises."""
    turns, scopes, allowed, until = Turns(), [], 0, windows_of("UTC", now).day_ends
    for tenant in tenants:
        scopes.append(scopes_of(tenant, "", now, (None, None))[:2])
        await turns.give()
    spent = await counted(valkey, [scope.key for both in scopes for scope in both])
    for both in scopes:
        allowed += left_of(both, [spent[scope.key][0] for scope in both], until)
        await turns.give()
    return allowed


def left_of(scopes: Sequence[Scope], spent: Sequence[int], until: datetime) -> int:
    """Of a tenant's day and month, ``scopes``, what may still be spent until then. A window that ends before begins anew."""
    left = [
        None if scope.limit is None else max(0, scope.limit - amount) + (scope.limit if scope.resets_at < until else 0)
        for scope, amount in zip(scopes, spent, strict=True)
    ]
    return min((one for one in left if one is not None), default=0)


def _month(caps: Mapping[str, int]) -> int:
    return min([LONGEST_MONTH * min(caps.values()), *(cap for name, cap in caps.items() if name.endswith("-month"))])


async def highest_own_caps(engine: AsyncEngine) -> dict[str, MicroUSD]:
    """The highest daily cap set for a user of each tenant that has one."""
    wanted = select(user_caps.c.tenant, func.max(user_caps.c.daily_cap).label("highest")).group_by(user_caps.c.tenant)
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted)).all()
    return {row.tenant: MicroUSD(row.highest) for row in rows if row.highest is not None}


def at_once(left: int | None, held: int, *, limit: int | None = None) -> int | None:
    """How many calls that hold ``held`` each fit under a cap that has ``left``, in parallel; None where nothing bounds them.

    ``limit``: the most calls at once that the tenant may have. `hold.lua` decides so: a call whose worst case does not fit beside
    what is spent and held is refused before it reaches a provider.
    """
    bounds = [left // held] if left is not None and held else []
    return min([*bounds, *([limit] if limit is not None else [])], default=None)


def _why(caps: dict[str, int], workers: int) -> str:
    lowest = min(caps, key=lambda name: caps[name])
    return f"{lowest} cap" + (f" and the outage allowance of {workers} workers" if workers else "")
