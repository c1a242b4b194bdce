"""The spent share of daily caps, as one figure for all tenants, without their names."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from redis.asyncio import Redis

from app.budget.budget import Budget
from app.budget.scopes import GLOBAL, NAMES, scopes_of
from app.budget.valkey_answers import number
from app.domain.calls import Tenant

AT_ONCE = 500
NO_CAPS_OF_USERS = (None, None)


async def usage_shares(valkey: Redis, budget: Budget, tenants: Sequence[Tenant]) -> Mapping[str, float]:
    """The largest spent share of ``tenants``' daily caps, and that of the global cap. Raises Valkey's errors."""
    at, largest = datetime.now(UTC), 0.0
    for start in range(0, len(tenants), AT_ONCE):
        days = [scopes_of(tenant, "", at, NO_CAPS_OF_USERS)[0] for tenant in tenants[start : start + AT_ONCE]]
        async with valkey.pipeline(transaction=False) as pipeline:
            for day in days:
                pipeline.hget(day.key, "spent")
            spent = await pipeline.execute()
        largest = max([largest, *(share(number(s), day.limit) for s, day in zip(spent, days, strict=True))])
    spent_by_all, _, _ = await budget.counted_globally()
    return {NAMES[0]: largest, GLOBAL: share(spent_by_all, budget.policy.global_daily_cap)}


def share(spent: int, limit: int | None) -> float:
    """The spent part of a cap; a cap of zero stops all calls and needs no alert."""
    return spent / limit if limit else 0.0
