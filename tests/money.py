"""Helpers that the budget's tests share."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget, BudgetPolicy
from app.budget.caps import UserCaps
from app.budget.journal import Journal
from app.budget.ledger import Ledger
from app.domain.calls import Identity, RateLimits, Tenant
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import MicroUSD

CAP = MicroUSD(10**12)


def identity(*, tenant_cap: int = 1_000_000, user_cap: int = 1_000_000, user: str = "ada", **fields: Any) -> Identity:  # noqa: ANN401
    name = fields.pop("tenant", None) or f"t{uuid4().hex[:12]}"
    limits = fields.pop("key_limits", RateLimits())
    tenant = Tenant(name, name, MicroUSD(tenant_cap), MicroUSD(user_cap), **fields)
    return Identity(tenant=tenant, key_id="k", user=user, limits=limits)


def make_budget(
    valkey: Redis,
    engine: AsyncEngine,
    *,
    on_settle_failure: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    journal: Journal | None = None,
    **policy: Any,  # noqa: ANN401
) -> Budget:
    """A worker's budget.

    The cap over everything is out of reach unless it is given.
    """
    made, ledger = BudgetPolicy(**{"global_daily_cap": CAP, **policy}), Ledger(engine, valkey)
    return Budget(valkey, ledger, UserCaps(engine), policy=made, on_settle_failure=on_settle_failure, now=now, journal=journal)


async def in_ledger(engine: AsyncEngine, who: Identity) -> int:
    async with engine.connect() as connection:
        wanted = text("SELECT coalesce(sum(amount), 0) FROM ledger WHERE tenant = :t")
        return int((await connection.execute(wanted, {"t": who.tenant.id})).scalar_one())


async def opened(budget: Budget) -> None:
    """Check the counters, and wait for the end of a pause.

    A pause may follow a loss of counters, and another worker may be rebuilding them.
    """
    async with asyncio.timeout(120):
        while True:
            try:
                await budget.watch_epochs()
                return await budget.check()
            except DependencyUnavailable:
                await asyncio.sleep(0.05)


async def refused_for(budget: Budget, who: Identity, amount: int) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(amount), lease_id=uuid4().hex, seconds=10)
    return refused.value


async def settled(budget: Budget) -> None:
    """Run the settling task until its queue is empty."""
    await budget.start()
    await budget.aclose()


async def counted(budget: Budget, who: Identity) -> dict[str, tuple[int, int, int | None]]:
    """``{scope: (spent, held, limit)}``."""
    return {scope.name: (spent, held, scope.limit) for scope, spent, held in await budget.counted(who)}


async def user_day(budget: Budget, who: Identity) -> tuple[int, int]:
    return (await counted(budget, who))["user-day"][:2]
