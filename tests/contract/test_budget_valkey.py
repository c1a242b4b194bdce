"""Holds, spends and settles on real Valkey."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from money import CAP, counted, identity, in_ledger, make_budget, opened, refused_for, settled, user_day
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget, BudgetPolicy
from app.budget.caps import UserCaps
from app.budget.exposure import at_once
from app.budget.hold import leases_key
from app.budget.ledger import Ledger
from app.budget.scopes import shard_of
from app.budget.under_way import UnderWay, under_way
from app.domain.errors import BudgetExceeded
from app.domain.money import MicroUSD

Made = Callable[..., Budget]


@pytest.fixture
def failures() -> list[int]:
    return []


@pytest.fixture
def make(valkey: Redis, engine: AsyncEngine, failures: list[int]) -> Made:
    """Another worker's budget on the same stores."""

    def one(**options: Any) -> Budget:  # noqa: ANN401
        return make_budget(valkey, engine, on_settle_failure=lambda: failures.append(1), **options)

    return one


@pytest_asyncio.fixture
async def budget(make: Made) -> Budget:
    budget = make()
    await opened(budget)
    return budget


def ANOTHER_YEAR() -> datetime:  # noqa: N802 - a constant in all but form
    """A day whose cap over everything no other test uses."""
    return datetime(2031, 5, 5, 12, tzinfo=UTC)


async def test_a_hold_counts_under_both_scopes_until_it_is_settled_to_the_actual_cost(budget: Budget) -> None:
    """C1."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(500), lease_id=uuid4().hex, seconds=10)
    assert await counted(budget, who) == {
        "tenant-day": (0, 500, 1_000_000),
        "tenant-month": (0, 500, None),
        "user-day": (0, 500, 1_000_000),
        "user-month": (0, 500, None),
    }
    hold.spend(MicroUSD(120))
    budget.settle(hold)
    await settled(budget)
    assert {numbers[:2] for numbers in (await counted(budget, who)).values()} == {(120, 0)}


async def test_a_call_is_listed_as_under_way_from_its_hold_to_its_settling(budget: Budget, valkey: Redis) -> None:
    who, lease = identity(), uuid4().hex

    async def listed() -> list[UnderWay]:
        count, calls = await under_way(valkey, most=100_000)
        assert count >= len(calls)
        return [call for call in calls if call.call_id == lease]

    trace, sent = uuid4().hex, f"req_{uuid4().hex}"
    hold = await budget.hold(who, MicroUSD(500), lease_id=lease, seconds=10, feature="chat", trace_id=trace, request_id=sent)
    [call] = await listed()
    assert (call.trace_id, call.request_id) == (trace, sent)
    assert (call.tenant, call.user, call.feature, call.held) == (who.tenant.id, "ada", "chat", 500)
    assert abs((datetime.now(UTC) - call.began_at).total_seconds()) < 60
    budget.settle(hold)
    await settled(budget)
    assert await listed() == []


async def test_a_refusal_names_the_scope_and_holds_under_no_scope(budget: Budget) -> None:
    """C1, C4: all scopes at once or none."""
    who = identity(user_cap=100)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(101), lease_id=uuid4().hex, seconds=10)
    assert (refused.value.scope, refused.value.limit, refused.value.needed) == ("user-day", 100, 101)
    assert {numbers[:2] for numbers in (await counted(budget, who)).values()} == {(0, 0)}


async def test_a_cap_can_be_used_to_the_last_micro_dollar(budget: Budget) -> None:
    who = identity(user_cap=100)
    await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    with pytest.raises(BudgetExceeded):
        await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)


async def test_many_concurrent_holds_never_pass_the_cap(budget: Budget) -> None:
    """C1: 200 calls race for room for 33."""
    who = identity(user_cap=1000)

    async def try_to_hold(number: int) -> bool:
        try:
            await budget.hold(who, MicroUSD(30), lease_id=uuid4().hex, seconds=10)
        except BudgetExceeded:
            return False
        return True

    won = sum(await asyncio.gather(*(try_to_hold(n) for n in range(200))))
    assert won == 33 == at_once(1000, 30), "the console says so"
    assert (await counted(budget, who))["user-day"] == (0, 990, 1000)


async def test_users_of_one_tenant_share_its_cap_and_have_their_own(budget: Budget) -> None:
    ada = identity(tenant_cap=100, user_cap=80)
    grace = identity(tenant_cap=100, user_cap=80, user="grace", tenant=ada.tenant.id)
    await budget.hold(ada, MicroUSD(80), lease_id=uuid4().hex, seconds=10)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(grace, MicroUSD(21), lease_id=uuid4().hex, seconds=10)
    assert refused.value.scope == "tenant-day"


async def test_an_extended_hold_is_one_lease_and_settles_once(budget: Budget) -> None:
    """C6: a further paid attempt adds to the lease."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    await budget.extend(hold, MicroUSD(50))
    assert (await user_day(budget, who))[1] == 150
    hold.spend(MicroUSD(140))
    budget.settle(hold)
    budget.settle(hold)
    await settled(budget)
    assert await user_day(budget, who) == (140, 0)


async def test_a_lease_that_outlives_its_call_is_settled_at_worst_case(budget: Budget) -> None:
    """C3: the worker died between hold and settle; the money stays counted."""
    who = identity()
    await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=-40)
    alive = await budget.hold(who, MicroUSD(7), lease_id=uuid4().hex, seconds=60)
    assert await budget.sweep() == 1
    assert await user_day(budget, who) == (100, 7)
    assert await budget.sweep() == 0
    budget.settle(alive)
    await settled(budget)
    assert await user_day(budget, who) == (100, 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100), st.booleans()), max_size=12))
async def test_spent_plus_held_never_passes_the_cap_whatever_the_order(
    budget: Budget, steps: list[tuple[int, int, bool]]
) -> None:
    """C1: each step holds an amount, spends a share of it and settles or leaves it open."""
    who, expected_spent, expected_held = identity(user_cap=1000), 0, 0
    for amount, share, settle in steps:
        try:
            hold = await budget.hold(who, MicroUSD(amount), lease_id=uuid4().hex, seconds=60)
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
        assert await user_day(budget, who) == (expected_spent, expected_held)
        assert expected_spent + expected_held <= 1000


async def test_a_caller_that_leaves_while_money_is_being_held_leaves_no_lease(budget: Budget, valkey: Redis) -> None:
    """C3: the script may have run although no call waits for it any more; found by `make soak`."""
    who = identity()
    before = await valkey.zcard(leases_key(shard_of(who.tenant.id)))
    for number in range(200):
        holding = asyncio.create_task(budget.hold(who, MicroUSD(10), lease_id=uuid4().hex, seconds=10))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        if not holding.done():
            holding.cancel()
        for hold in await asyncio.gather(holding, return_exceptions=True):
            if not isinstance(hold, BaseException):
                budget.settle(hold)
    await settled(budget)
    assert {numbers[:2] for numbers in (await counted(budget, who)).values()} == {(0, 0)}
    assert await valkey.zcard(leases_key(shard_of(who.tenant.id))) == before


async def test_what_is_spent_is_in_the_ledger_once_and_the_ledger_is_append_only(
    budget: Budget, engine: AsyncEngine, valkey: Redis
) -> None:
    """C3."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10, feature="chat")
    hold.spend(MicroUSD(40))
    budget.settle(hold)
    await settled(budget)
    ledger = Ledger(engine, valkey)
    await asyncio.gather(ledger.drain(), Ledger(engine, valkey).drain())
    await ledger.drain()
    async with engine.connect() as connection:
        written = text('SELECT lease, kind, amount, "user", feature FROM ledger WHERE tenant = :t')
        rows = (await connection.execute(written, {"t": who.tenant.id})).all()
    assert [tuple(row) for row in rows] == [(hold.lease_id, "settled", 40, "ada", "chat")]
    for change in ("UPDATE ledger SET amount = 0", "DELETE FROM ledger", "TRUNCATE ledger"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(text(change))


async def test_a_call_that_settles_after_it_was_swept_is_corrected(budget: Budget, engine: AsyncEngine, valkey: Redis) -> None:
    """Its worker was frozen, not dead: the sweeper took the worst case, the worker knows what it was."""
    who = identity()
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=-40)
    await budget.sweep()
    assert await user_day(budget, who) == (100, 0)
    hold.spend(MicroUSD(30))
    budget.settle(hold)
    budget.settle(hold)
    await settled(budget)
    assert await user_day(budget, who) == (30, 0)
    await Ledger(engine, valkey).drain()
    assert await in_ledger(engine, who) == 30


async def test_the_cap_over_everything_holds_over_tenants_in_all_shards(make: Made, valkey: Redis) -> None:
    """No script sees two shards; all grants together stay within the cap."""
    budget = make(global_daily_cap=MicroUSD(10_000), now=ANOTHER_YEAR)
    await opened(budget)

    at_once = asyncio.Semaphore(100)

    async def try_to_hold() -> str:
        async with at_once:
            try:
                await budget.hold(identity(), MicroUSD(30), lease_id=uuid4().hex, seconds=10)
            except BudgetExceeded as refused:
                return refused.scope
            return "held"

    outcomes = Counter(await asyncio.gather(*(try_to_hold() for _ in range(600))))
    assert outcomes.keys() == {"held", "global-day"}
    won = outcomes["held"]
    spent, held, granted = await budget.counted_globally()
    assert spent == 0
    assert held == 30 * won
    assert granted <= 10_000
    assert won >= 10_000 // 30 - 16 * 4  # a few worst cases in each shard may lie unused


async def test_one_request_with_all_its_attempts_has_a_cap_of_its_own(budget: Budget) -> None:
    who = identity(request_cap=MicroUSD(100))
    hold = await budget.hold(who, MicroUSD(60), lease_id=uuid4().hex, seconds=10)
    hold.spend(MicroUSD(60))
    with pytest.raises(BudgetExceeded) as refused:
        await budget.extend(hold, MicroUSD(41))
    assert (refused.value.scope, refused.value.resets_at, refused.value.retry_after) == ("request", None, None)
    await budget.extend(hold, MicroUSD(40))
    budget.settle(hold)


@pytest.mark.parametrize("scope", ["tenant-month", "user-month"])
async def test_months_are_capped_where_a_cap_is_set(budget: Budget, scope: str) -> None:
    cap = MicroUSD(50)
    who = identity(monthly_cap=cap) if scope == "tenant-month" else identity(user_monthly_cap=cap)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(51), lease_id=uuid4().hex, seconds=10)
    assert (refused.value.scope, refused.value.limit) == (scope, 50)


async def test_a_users_own_cap_is_known_to_every_worker_that_reads(make: Made, engine: AsyncEngine, valkey: Redis) -> None:
    who = identity(user_cap=1000)
    await UserCaps(engine).put(who.tenant.id, "ada", (MicroUSD(10), None))
    caps = UserCaps(engine)
    await caps.read()
    budget = Budget(valkey, Ledger(engine, valkey), caps, policy=BudgetPolicy(global_daily_cap=CAP))
    await opened(budget)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(11), lease_id=uuid4().hex, seconds=10)
    assert refused.value.limit == 10
    await UserCaps(engine).put(who.tenant.id, "ada", (None, None))
    await caps.read()
    budget.settle(await budget.hold(who, MicroUSD(11), lease_id=uuid4().hex, seconds=10))


async def test_windows_are_those_of_the_tenants_time_zone(make: Made) -> None:
    """23:30 UTC is the next day in Berlin and the same in New York."""
    at = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    budget = make(now=lambda: at)
    berlin = await budget.counted(identity(time_zone="Europe/Berlin"))
    assert [scope.window for scope, _, _ in berlin] == ["2026-12-01", "2026-12", "2026-12-01", "2026-12"]
    assert berlin[0][0].resets_at == datetime(2026, 12, 1, 23, tzinfo=UTC)
    assert berlin[1][0].resets_at == datetime(2026, 12, 31, 23, tzinfo=UTC)
    york = await budget.counted(identity(time_zone="America/New_York"))
    assert [scope.window for scope, _, _ in york[:2]] == ["2026-11-30", "2026-11"]


async def test_a_refusal_says_when_the_same_call_may_fit(budget: Budget) -> None:
    """C4: the time to wait depends on the reason.

    It is short where calls in flight hold the room, at the reset where it is spent, none where the call is too dear.
    """
    who = identity(user_cap=100)
    hold = await budget.hold(who, MicroUSD(80), lease_id=uuid4().hex, seconds=10)
    assert (await refused_for(budget, who, 50)).retry_after == 2.0
    assert (await refused_for(budget, who, 101)).retry_after is None
    hold.spend(MicroUSD(80))
    budget.settle(hold)
    await settled(budget)
    later = await refused_for(budget, who, 50)
    assert later.resets_at is not None
    assert later.retry_after == pytest.approx((later.resets_at - datetime.now(UTC)).total_seconds(), abs=5)
