"""Holds, spends and settles on real Valkey."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.budget.budget import Budget
from app.domain.calls import Identity, Tenant
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import MicroUSD


def identity(*, tenant_cap: int = 1_000_000, user_cap: int = 1_000_000, user: str = "ada", tenant: str | None = None) -> Identity:
    name = tenant or f"t{uuid4().hex[:12]}"
    return Identity(tenant=Tenant(name, name, MicroUSD(tenant_cap), MicroUSD(user_cap)), key_id="k", user=user)


@pytest.fixture
def failures() -> list[int]:
    return []


@pytest.fixture
def budget(valkey: Redis, failures: list[int]) -> Budget:
    return Budget(valkey, on_settle_failure=lambda: failures.append(1))


async def settled(budget: Budget) -> None:
    """Run the settling task until its queue is empty."""

    async def nobody() -> list[str]:
        return []

    await budget.start(nobody)
    await budget.aclose()


async def test_a_hold_counts_under_both_scopes_until_it_is_settled_to_the_actual_cost(budget: Budget) -> None:
    """C1."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(500), lease_id="a", seconds=10)
    assert await budget.spent_and_held(who) == {"tenant-day": (0, 500, 1_000_000), "user-day": (0, 500, 1_000_000)}
    hold.spend(MicroUSD(120))
    budget.settle(hold)
    await settled(budget)
    assert await budget.spent_and_held(who) == {"tenant-day": (120, 0, 1_000_000), "user-day": (120, 0, 1_000_000)}


async def test_a_refusal_names_the_scope_and_holds_under_no_scope(budget: Budget) -> None:
    """C1, C4: all scopes at once or none."""
    who = identity(user_cap=100)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(101), lease_id="a", seconds=10)
    assert (refused.value.scope, refused.value.limit, refused.value.needed) == ("user-day", 100, 101)
    counters = await budget.spent_and_held(who)
    assert {scope: held for scope, (_, held, _) in counters.items()} == {"tenant-day": 0, "user-day": 0}


async def test_a_cap_can_be_used_to_the_last_micro_dollar(budget: Budget) -> None:
    who = identity(user_cap=100)
    await budget.hold(who, MicroUSD(100), lease_id="a", seconds=10)
    with pytest.raises(BudgetExceeded):
        await budget.hold(who, MicroUSD(1), lease_id="b", seconds=10)


async def test_many_concurrent_holds_never_pass_the_cap(budget: Budget) -> None:
    """C1: 200 calls race for room for 33."""
    who = identity(user_cap=1000)

    async def try_to_hold(number: int) -> bool:
        try:
            await budget.hold(who, MicroUSD(30), lease_id=f"l{number}", seconds=10)
        except BudgetExceeded:
            return False
        return True

    won = sum(await asyncio.gather(*(try_to_hold(n) for n in range(200))))
    assert won == 33
    assert (await budget.spent_and_held(who))["user-day"] == (0, 990, 1000)


async def test_users_of_one_tenant_share_its_cap_and_have_their_own(budget: Budget) -> None:
    ada = identity(tenant_cap=100, user_cap=80)
    grace = identity(tenant_cap=100, user_cap=80, user="grace", tenant=ada.tenant.id)
    await budget.hold(ada, MicroUSD(80), lease_id="a", seconds=10)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(grace, MicroUSD(21), lease_id="b", seconds=10)
    assert refused.value.scope == "tenant-day"


async def test_an_extended_hold_is_one_lease_and_settles_once(budget: Budget) -> None:
    """C6: a further paid attempt adds to the lease."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(100), lease_id="a", seconds=10)
    await budget.extend(hold, MicroUSD(50))
    assert (await budget.spent_and_held(who))["user-day"][1] == 150
    hold.spend(MicroUSD(140))
    budget.settle(hold)
    budget.settle(hold)
    await settled(budget)
    assert (await budget.spent_and_held(who))["user-day"][:2] == (140, 0)


async def test_a_lease_that_outlives_its_call_is_settled_at_worst_case(budget: Budget) -> None:
    """C3: the worker died between hold and settle; the money stays counted."""
    who = identity()
    await budget.hold(who, MicroUSD(100), lease_id="dead", seconds=-40)
    alive = await budget.hold(who, MicroUSD(7), lease_id="alive", seconds=60)
    assert await budget.sweep(who.tenant.id) == 1
    assert (await budget.spent_and_held(who))["user-day"][:2] == (100, 7)
    assert await budget.sweep(who.tenant.id) == 0
    budget.settle(alive)
    await settled(budget)
    assert (await budget.spent_and_held(who))["user-day"][:2] == (100, 0)


async def test_without_valkey_no_money_is_spent() -> None:
    """C7: fails closed."""
    nowhere: Redis = Redis.from_url("redis://127.0.0.1:1/0", decode_responses=True)
    budget = Budget(nowhere, on_settle_failure=lambda: None)
    with pytest.raises(DependencyUnavailable):
        await budget.hold(identity(), MicroUSD(1), lease_id="a", seconds=10)
    await nowhere.aclose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100), st.booleans()), max_size=12))
async def test_spent_plus_held_never_passes_the_cap_whatever_the_order(
    budget: Budget, steps: list[tuple[int, int, bool]]
) -> None:
    """C1: each step holds an amount, spends a share of it and settles or leaves it open."""
    who, expected_spent, expected_held = identity(user_cap=1000), 0, 0
    for number, (amount, share, settle) in enumerate(steps):
        try:
            hold = await budget.hold(who, MicroUSD(amount), lease_id=f"s{number}", seconds=60)
        except BudgetExceeded:
            assert expected_spent + expected_held + amount > 1000
            continue
        hold.spend(MicroUSD(amount * share // 100))
        if settle:
            budget.settle(hold)
            await settled(budget)
            expected_spent += hold.spent
        else:
            expected_held += amount
        assert (await budget.spent_and_held(who))["user-day"][:2] == (expected_spent, expected_held)
        assert expected_spent + expected_held <= 1000


async def test_a_caller_that_leaves_while_money_is_being_held_leaves_no_lease(budget: Budget, valkey: Redis) -> None:
    """C3: the script may have run although nobody waits for it any more; found by `make soak`."""
    who = identity()
    for number in range(200):
        holding = asyncio.create_task(budget.hold(who, MicroUSD(10), lease_id=f"l{number}", seconds=10))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        if not holding.done():
            holding.cancel()
        for hold in await asyncio.gather(holding, return_exceptions=True):
            if not isinstance(hold, BaseException):
                budget.settle(hold)
    await settled(budget)
    assert await budget.spent_and_held(who) == {"tenant-day": (0, 0, 1_000_000), "user-day": (0, 0, 1_000_000)}
    assert await valkey.zcard(f"octant:{{{who.tenant.id}}}:leases") == 0
