"""Rate limits of tenants and keys on real Valkey (C9).

Requests and tokens a minute, and calls at once.
"""

import asyncio
import time
from uuid import uuid4

import pytest
import pytest_asyncio
from money import identity, make_budget, opened, settled
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget, Hold
from app.domain.calls import Identity, RateLimits
from app.domain.errors import BudgetExceeded, RateLimited
from app.domain.money import MicroUSD


@pytest_asyncio.fixture
async def budget(valkey: Redis, engine: AsyncEngine) -> Budget:
    budget = make_budget(valkey, engine)
    await opened(budget)
    return budget


async def call(budget: Budget, who: Identity, *, tokens: int = 0, seconds: float = 60.0, amount: int = 1) -> Hold:
    return await budget.hold(who, MicroUSD(amount), lease_id=uuid4().hex, seconds=seconds, tokens=tokens)


async def refused(budget: Budget, who: Identity, *, tokens: int = 0) -> RateLimited:
    with pytest.raises(RateLimited) as error:
        await call(budget, who, tokens=tokens)
    return error.value


async def when_there_is_room(budget: Budget, who: Identity) -> Hold:
    async with asyncio.timeout(120):
        while True:
            try:
                return await call(budget, who)
            except RateLimited:
                await asyncio.sleep(0.1)


async def test_requests_flow_back_over_the_minute(budget: Budget) -> None:
    who = identity(limits=RateLimits(requests=60))
    holds, refusal, began = list[Hold](), None, time.monotonic()
    while refusal is None:
        try:
            holds.append(await call(budget, who))
        except RateLimited as error:
            refusal = error
    seconds = time.monotonic() - began
    assert 60 <= len(holds) <= 61 + seconds  # one comes back each second
    assert holds[0].rates["requests"].remaining == 59
    assert holds[-1].rates["requests"].reset == pytest.approx(60, abs=2)
    assert refusal.retry_after == pytest.approx(1.0, abs=0.9)
    assert "tenant's limit of 60 requests per minute" in refusal.message
    assert refusal.rates["requests"].remaining == 0
    await when_there_is_room(budget, who)


async def test_tokens_are_counted_as_likely_and_what_was_not_used_flows_back(budget: Budget) -> None:
    who = identity(limits=RateLimits(tokens=1000))
    hold = await call(budget, who, tokens=900)
    assert hold.rates["tokens"].remaining == 100
    assert (await refused(budget, who, tokens=200)).retry_after == pytest.approx(6, abs=2)
    hold.spend(MicroUSD(1), 50)
    budget.settle(hold)
    await settled(budget)
    assert (await call(budget, who, tokens=200)).rates["tokens"].remaining >= 750


async def test_a_call_over_the_limit_by_itself_is_refused_without_a_time_to_wait(budget: Budget) -> None:
    refusal = await refused(budget, identity(limits=RateLimits(tokens=1000)), tokens=1001)
    assert refusal.retry_after is None
    assert "alone needs more" in refusal.message


async def test_calls_at_once_are_counted_by_leases_so_that_no_way_out_leaks_one(budget: Budget) -> None:
    """Settled, twice settled, swept, or neither: a lease that has ended counts no more."""
    who = identity(limits=RateLimits(concurrency=2))
    first, dead = await call(budget, who), await call(budget, who, seconds=-29)
    assert "2 calls at once" in (await refused(budget, who)).message
    budget.settle(first)
    budget.settle(first)
    await settled(budget)
    third = await call(budget, who)
    fourth = await when_there_is_room(budget, who)  # the dead one's lease ends a second after it was taken; no sweep ends it
    await refused(budget, who)
    for hold in (dead, third, fourth):
        budget.settle(hold)
    await settled(budget)
    assert len([await call(budget, who), await call(budget, who)]) == 2


async def test_the_tighter_limit_of_tenant_and_key_is_reported_and_others_go_on(budget: Budget) -> None:
    tenant = identity(limits=RateLimits(requests=100))
    narrow = identity(tenant=tenant.tenant.id, limits=RateLimits(requests=100), key_limits=RateLimits(requests=2))
    assert (await call(budget, narrow)).rates["requests"].limit == 2
    await call(budget, narrow)
    assert "API key's limit of 2" in (await refused(budget, narrow)).message
    assert (await call(budget, tenant)).rates["requests"].remaining == 97


async def test_what_is_refused_for_money_uses_up_no_rate_and_the_reverse(budget: Budget) -> None:
    who = identity(user_cap=10, limits=RateLimits(requests=2))
    with pytest.raises(BudgetExceeded):
        await call(budget, who, amount=11)
    await call(budget, who, amount=1)
    await call(budget, who, amount=1)
    await refused(budget, who)
    spent_and_held = {scope.name: held for scope, _, held in await budget.counted(who)}
    assert spent_and_held["user-day"] == 2


async def test_a_further_attempt_is_no_further_request(budget: Budget) -> None:
    who = identity(limits=RateLimits(requests=1))
    hold = await call(budget, who)
    await budget.extend(hold, MicroUSD(5))
    assert hold.amount == 6


async def test_many_at_once_never_pass_a_limit(budget: Budget) -> None:
    who = identity(limits=RateLimits(requests=50, concurrency=20))

    async def one() -> bool:
        try:
            await call(budget, who)
        except RateLimited:
            return False
        return True

    assert sum(await asyncio.gather(*(one() for _ in range(150)))) == 20


async def test_a_call_that_was_refused_and_left_gives_back_no_tokens(budget: Budget, valkey: Redis) -> None:
    """Who leaves while the hold is on its way has it settled, whatever came of it."""
    who = identity(limits=RateLimits(tokens=1000))
    await call(budget, who, tokens=1000)
    await valkey.client_pause(300, all=False)  # writes wait, so the hold is on its way when its caller leaves
    leaving = asyncio.create_task(call(budget, who, tokens=1000))
    await asyncio.sleep(0.1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await settled(budget)
    assert (await refused(budget, who, tokens=900)).rates["tokens"].remaining < 100
