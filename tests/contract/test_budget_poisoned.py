"""Keys of the budget that no script can use hold up no other, harm no other counter, and are set right (C1, C3)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
import pytest_asyncio
from money import counted, identity, in_ledger, make_budget, opened, settled, user_day
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import restore, settling
from app.budget.budget import Budget
from app.budget.grants import day_key
from app.budget.hold import Hold, leases_key
from app.budget.ledger import Ledger
from app.budget.reconcile import differences, mend
from app.budget.scopes import SHARDS, key, shard_of, windows_of
from app.domain.calls import Identity, RateLimits
from app.domain.errors import DependencyUnavailable
from app.domain.money import MicroUSD
from app.settings import Settings
from app.stack.embedded import embedded_valkey
from app.stores import build_valkey

Made = Callable[..., Budget]


@pytest.fixture(scope="module")
def own_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    """The service's own client, of a server whose keys no other test needs."""
    monkeypatch.setattr(restore, "CLOSED_SECONDS", 0.1)
    client = build_valkey(Settings(valkey_url=own_url))
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def make(own: Redis, engine: AsyncEngine) -> Made:
    return lambda **options: make_budget(own, engine, **options)


def two_of_a_shard() -> tuple[Identity, Identity]:
    first = identity(key_limits=RateLimits(requests=1000, tokens=None, concurrency=100))
    while True:
        second = identity()
        if shard_of(second.tenant.id) == shard_of(first.tenant.id):
            return first, second


async def held(budget: Budget, who: Identity, amount: int = 100, seconds: float = 10) -> Hold:
    return await budget.hold(who, MicroUSD(amount), lease_id=uuid4().hex, seconds=seconds)


def place(hold: Hold, name: str) -> str:
    names = (
        "epoch",
        "lease",
        "leases",
        "share",
        "tenant-day",
        "tenant-month",
        "user-day",
        "user-month",
        "ledger",
        "rates",
        "live",
    )
    return dict(zip(names, hold.settle_keys(), strict=False))[name]


async def poisoned(own: Redis, name: str, how: str) -> None:
    if values := NO_AMOUNTS.get(how):
        await own.hset(name, mapping=values)
    else:
        await own.delete(name)
        await own.set(name, "of another program")


COUNTERS = ("share", "tenant-day", "tenant-month", "user-day", "user-month")
# Valkey adds to none of these.
NO_AMOUNTS: dict[str, dict[Any, Any]] = {
    "number": {"spent": "not a number"},
    "form": {"spent": "007"},
    "range": {"held": "9" * 19},
}


@pytest.mark.parametrize("how", ["type", *NO_AMOUNTS])
@pytest.mark.parametrize("name", COUNTERS)
async def test_a_settlement_that_is_refused_holds_up_no_other_and_is_counted_in_the_end(
    make: Made, own: Redis, engine: AsyncEngine, name: str, how: str
) -> None:
    failures: list[int] = []
    budget, (who, other) = make(on_settle_failure=lambda: failures.append(1)), two_of_a_shard()
    await opened(budget)
    before, _, _ = await budget.counted_globally()
    await budget.start()
    refused, lives, well = [await held(budget, one) for one in (who, who, other)]
    await poisoned(own, place(refused, name), how)
    refused.spend(MicroUSD(7))
    budget.settle(refused)
    await asyncio.sleep(0.3)  # it is tried, and refused
    well.spend(MicroUSD(5))
    budget.settle(well)
    async with asyncio.timeout(20):
        await budget.flush()
    assert failures
    figures = {scope: found[:2] for scope, found in (await counted(budget, who)).items()}
    assert figures == dict.fromkeys(COUNTERS[1:], (7, 100)), "the call that lives is held under each"
    assert await user_day(budget, other) == (5, 0)
    assert (await budget.counted_globally())[:2] == (before + 12, 100)
    lives.spend(MicroUSD(1))
    budget.settle(lives)
    await budget.aclose()
    assert await user_day(budget, who) == (8, 0)
    ledger = Ledger(engine, own)
    await ledger.drain()
    assert (await in_ledger(engine, who), await in_ledger(engine, other)) == (8, 5)


@pytest.mark.parametrize("name", ["epoch", "lease", "leases", "ledger", "rates", "live"])
async def test_a_key_that_is_no_counter_holds_up_no_settlement(make: Made, own: Redis, engine: AsyncEngine, name: str) -> None:
    budget, (who, other) = make(), two_of_a_shard()
    await opened(budget)
    await budget.start()
    refused, well = [await held(budget, one) for one in (who, other)]
    await poisoned(own, place(refused, name), "type")
    for hold in (refused, well):
        hold.spend(MicroUSD(7))
        budget.settle(hold)
    async with asyncio.timeout(20):
        await budget.flush()
    await opened(budget)
    assert [(await user_day(budget, one))[0] for one in (who, other)] == [7, 7]
    again = await held(budget, who)
    again.spend(MicroUSD(2))
    budget.settle(again)
    await budget.aclose()
    assert (await user_day(budget, who))[0] == 9
    await Ledger(engine, own).drain()
    assert (await in_ledger(engine, who), await in_ledger(engine, other)) == (9, 7)


@pytest.mark.parametrize("how", ["type", *NO_AMOUNTS])
@pytest.mark.parametrize("name", COUNTERS)
async def test_no_caller_sees_a_key_that_no_script_can_use(make: Made, own: Redis, name: str, how: str) -> None:
    budget, (who, _) = make(), two_of_a_shard()
    await opened(budget)
    first = await held(budget, who)
    _, holding, _ = await budget.counted_globally()
    await poisoned(own, place(first, name), how)
    await held(budget, who)
    assert await user_day(budget, who) == (0, 200)
    assert (await budget.counted_globally())[1] == holding + 100


async def test_the_ledger_is_read_once_for_all_calls_that_meet_a_key(make: Made, own: Redis) -> None:
    budget, (who, _) = make(), two_of_a_shard()
    await opened(budget)
    first = await held(budget, who)
    await poisoned(own, place(first, "share"), "form")
    with patch.object(Ledger, "sums", autospec=True, side_effect=Ledger.sums) as sums:
        holds = await asyncio.gather(*(held(budget, who) for _ in range(20)))
    assert [hold.amount for hold in holds] == [100] * 20
    assert [call.args[1] for call in sums.call_args_list] == [first.shard]
    assert await user_day(budget, who) == (0, 2100)


async def test_calls_that_meet_a_key_while_the_ledger_is_away_do_not_wait_for_each_other(make: Made, own: Redis) -> None:
    """Each would wait as long as all before it: the last of twenty for twenty times as long as the first."""
    budget, (who, _) = make(), two_of_a_shard()
    await opened(budget)
    first = await held(budget, who)
    await poisoned(own, place(first, "share"), "form")

    async def away(*_: object, **__: object) -> list[Any]:
        await asyncio.sleep(0.2)
        raise DependencyUnavailable("The ledger cannot be read right now.", retry_after=5.0)

    with patch.object(Ledger, "sums", side_effect=away) as sums, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await asyncio.gather(*(held(budget, who) for _ in range(20)), return_exceptions=True)
    assert sums.call_count <= 2, "each of the twenty has read it"


async def test_a_rate_limit_without_numbers_refuses_no_caller(make: Made, own: Redis) -> None:
    budget, (who, _) = make(), two_of_a_shard()
    await opened(budget)
    await own.hset(place(await held(budget, who), "rates"), mapping={"requests": "many", "at": "noon"})
    await held(budget, who)
    assert await user_day(budget, who) == (0, 200)


async def test_of_many_keys_that_no_script_can_use_none_holds_up_the_others(make: Made, own: Redis) -> None:
    budget, (who, other) = make(), two_of_a_shard()
    await opened(budget)
    first, lives, second = [await held(budget, one) for one in (who, other, other)]
    for name in (place(first, "lease"), place(second, "lease"), place(first, "share")):
        await poisoned(own, name, "type")
    await held(budget, who)
    assert await own.hget(place(lives, "share"), "held") == "200", "of the leases that can be read"


async def test_a_lease_that_lacks_its_entry_is_not_counted_at_each_sweep(make: Made, own: Redis) -> None:
    budget, who = make(), identity()
    await opened(budget)
    dead = await held(budget, who, seconds=-40)
    await own.hdel(place(dead, "lease"), "entry")
    for _ in range(3):
        with contextlib.suppress(ResponseError):
            await budget.sweep()
    assert await user_day(budget, who) == (0, 100)


async def test_a_lease_without_an_amount_counts_nothing_twice(make: Made, own: Redis) -> None:
    budget, who = make(), identity()
    await opened(budget)
    await budget.start()
    hold = await held(budget, who)
    await own.hset(place(hold, "lease"), "amount", "1.5")
    await budget.extend(hold, MicroUSD(50))
    assert await user_day(budget, who) == (0, 150)
    await own.hset(place(hold, "lease"), "amount", "2.5")
    hold.spend(MicroUSD(7))
    budget.settle(hold)
    await budget.aclose()
    assert await user_day(budget, who) == (7, 150), "of what it held nothing is known"


@pytest.mark.parametrize("swept", [False, True])
async def test_a_counter_that_is_dropped_does_not_hold_less_than_nothing(make: Made, own: Redis, swept: bool) -> None:
    budget, who = make(), identity()
    await opened(budget)
    hold = await held(budget, who, seconds=-40 if swept else 10)
    await own.delete(place(hold, "user-day"))
    budget.settle(hold) if not swept else await budget.sweep()
    if not swept:
        await settled(budget)
    spent, on = await user_day(budget, who)
    assert (spent, on) == (100 if swept else 0, 0)
    assert (await counted(budget, who))["tenant-day"][1] == 0


async def test_a_rebuilt_shard_holds_what_its_leases_hold(make: Made, own: Redis, engine: AsyncEngine) -> None:
    budget, who = make(), identity()
    await opened(budget)
    paid, hold = await held(budget, who), await held(budget, who)
    paid.spend(MicroUSD(7))
    budget.settle(paid)
    await settled(budget)
    await Ledger(engine, own).drain()
    await poisoned(own, place(hold, "user-day"), "type")
    await own.delete(place(hold, "epoch"))
    await budget.watch_epochs()
    await opened(budget)
    await held(budget, who)
    assert await user_day(budget, who) == (7, 200)


@pytest.mark.parametrize("name", ["rates", "live"])
async def test_no_caller_sees_a_rate_limit_that_no_script_can_use(make: Made, own: Redis, name: str) -> None:
    budget, (who, _) = make(), two_of_a_shard()
    await opened(budget)
    await poisoned(own, place(await held(budget, who), name), "type")
    await held(budget, who)
    assert await user_day(budget, who) == (0, 200)


async def test_the_grants_of_a_day_are_made_anew(make: Made, own: Redis) -> None:
    budget, who = make(global_daily_cap=MicroUSD(10_000_000)), identity()
    await opened(budget)
    await poisoned(own, day_key(windows_of("UTC", datetime.now(UTC)).day), "type")
    await held(budget, who)
    assert (await budget.counted_globally())[2] > 0


async def test_a_lease_that_cannot_be_swept_holds_up_no_other(make: Made, own: Redis) -> None:
    budget, (who, other) = make(), two_of_a_shard()
    await opened(budget)
    dead = [await held(budget, one, seconds=-40) for one in (who, other)]
    await poisoned(own, place(dead[0], "user-month"), "type")
    before = await budget.counted_globally()
    await budget.sweep()
    assert await user_day(budget, other) == (100, 0)
    assert await user_day(budget, who) == (0, 100), "nothing is counted of a lease that is not settled"
    assert (await budget.counted_globally())[0] == before[0] + 100
    await own.zadd(leases_key(dead[0].shard), {dead[0].lease_id: 1})  # its minute is over
    await budget.sweep()
    assert [(spent, on) for spent, on, _ in (await counted(budget, who)).values()] == [(100, 0)] * 4


async def test_after_a_loss_what_is_refused_holds_up_no_other(make: Made, own: Redis, engine: AsyncEngine) -> None:
    budget, one = make(), identity()
    of_another = next(it for it in iter(identity, None) if shard_of(it.tenant.id) != shard_of(one.tenant.id))
    who, other = sorted((one, of_another), key=lambda it: shard_of(it.tenant.id))
    await opened(budget)
    flying = [await held(budget, one) for one in (who, other)]
    for one in (who, other):
        paid = await held(budget, one)
        paid.spend(MicroUSD(7))
        budget.settle(paid)
    await settled(budget)
    await own.flushall()
    await poisoned(own, place(flying[0], "tenant-day"), "type")
    await poisoned(own, place(flying[0], "user-month"), "number")
    for _ in range(2):
        with contextlib.suppress(ResponseError):
            await budget.watch_epochs()
    for one in (who, other):
        assert [(spent, on) for spent, on, _ in (await counted(budget, one)).values()] == [(7, 100)] * 4


async def test_the_comparison_sets_a_counter_right_that_no_script_can_use(make: Made, own: Redis, engine: AsyncEngine) -> None:
    budget, who, ledger = make(), identity(), Ledger(engine, own)
    await opened(budget)
    paid, lives = await held(budget, who), await held(budget, who)
    paid.spend(MicroUSD(7))
    budget.settle(paid)
    await settled(budget)
    await ledger.drain()
    await poisoned(own, place(lives, "tenant-day"), "type")
    found = await differences(own, ledger)
    assert [one.lost for one in found if one.key == place(lives, "tenant-day")] == [True]
    assert await mend(own, found) == await mend(own, found), "the second does nothing"
    assert (await counted(budget, who))["tenant-day"][:2] == (7, 100)


async def test_a_stream_that_is_none_stops_no_other_shards_ledger(make: Made, own: Redis, engine: AsyncEngine) -> None:
    budget, who = make(), identity()
    await opened(budget)
    paid = await held(budget, who)
    paid.spend(MicroUSD(7))
    budget.settle(paid)
    await settled(budget)
    await poisoned(own, key((paid.shard + 1) % SHARDS, "ledger"), "type")
    with contextlib.suppress(ResponseError):
        await Ledger(engine, own).drain()
    assert await in_ledger(engine, who) == 7
    with contextlib.suppress(ResponseError):
        await budget.sweep()  # the other shard's is made anew
    await Ledger(engine, own).drain()


async def test_one_that_is_refused_for_ever_is_left_to_the_sweeper(
    make: Made, own: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settling, "GIVE_UP", 0.5)
    budget, (who, other) = make(), two_of_a_shard()
    await opened(budget)
    await budget.start()
    refused = await held(budget, who)
    monkeypatch.setattr(Hold, "settle_arguments", broken(Hold.settle_arguments, refused.lease_id))
    budget.settle(refused)
    async with asyncio.timeout(20):
        while not any("given up" in record.message for record in caplog.records):
            well = await held(budget, other)
            budget.settle(well)
            await asyncio.sleep(0.2)
        await budget.flush()
    await budget.aclose()
    assert await user_day(budget, other) == (0, 0)


async def test_a_long_outage_ends_no_settlement_at_its_worst_case(
    make: Made, own: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settling, "GIVE_UP", 0.5)
    budget, (who, other) = make(), two_of_a_shard()
    await opened(budget)
    await budget.start()
    paid, well = [await held(budget, one) for one in (who, other)]
    await own.config_set("min-replicas-to-write", 1)
    try:
        paid.spend(MicroUSD(7))
        budget.settle(paid)
        await asyncio.sleep(0.9)  # it is tried three times, and next in 0.6 s
        await own.config_set("min-replicas-to-write", 0)
        budget.settle(well)
        await asyncio.sleep(0.2)
        await own.config_set("min-replicas-to-write", 1)
        await asyncio.sleep(0.8)
    finally:
        await own.config_set("min-replicas-to-write", 0)
    async with asyncio.timeout(20):
        await budget.flush()
    await budget.aclose()
    assert not any("given up" in record.message for record in caplog.records)
    assert await user_day(budget, who) == (7, 0)


def broken(arguments: Callable[[Hold, Any], list[Any]], lease: str) -> Callable[[Hold, Any], list[Any]]:
    """The script cannot read those of one lease."""
    return lambda hold, shares: [
        "no number" if hold.lease_id == lease else arguments(hold, shares)[0],
        *arguments(hold, shares)[1:],
    ]
