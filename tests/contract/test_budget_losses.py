"""The budget when its store loses data, is killed, freezes or is slow: on a Valkey of its own."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from money import identity, in_ledger, make_budget, opened, user_day
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget
from app.budget.ledger import Ledger
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import MicroUSD
from app.settings import Settings
from app.stack.embedded import embedded_valkey
from app.stores import build_valkey

Made = Callable[..., Budget]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("valkey")


@pytest.fixture(scope="module")
def own_url(folder: Path) -> Iterator[str]:
    with embedded_valkey(folder) as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[Redis]:
    """The service's own client: it fails after a second and tries once."""
    client = build_valkey(Settings(valkey_url=own_url))
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def make(own: Redis, engine: AsyncEngine) -> Made:
    def one(**options: Any) -> Budget:  # noqa: ANN401
        return make_budget(own, engine, **options)

    return one


async def test_workers_that_start_together_on_an_empty_store_have_no_failure_to_settle(make: Made) -> None:
    """Each wants to rebuild the counters and all but one are refused: that settles nothing, so it is no alarm."""
    failures: list[int] = []
    workers = [make(on_settle_failure=lambda: failures.append(1)) for _ in range(4)]
    for worker in workers:
        await worker.start()
    for worker in workers:
        await opened(worker)
    await asyncio.sleep(1.5)  # every worker has looked again
    for worker in workers:
        await worker.aclose()
    assert failures == []


async def test_counters_that_were_lost_come_back_from_the_ledger_and_from_who_has_calls_in_flight(
    make: Made, engine: AsyncEngine, own: Redis
) -> None:
    """C3: spent and carried over; spent and still in the stream that was lost; in flight."""
    budget, who = make(), identity(tenant_cap=1000, user_cap=1000)
    await budget.start()
    await opened(budget)
    old = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    old.spend(MicroUSD(60))
    budget.settle(old)
    await budget.flush()
    await Ledger(engine, own).drain()
    new = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    new.spend(MicroUSD(7))
    budget.settle(new)
    await budget.flush()
    flying = await budget.hold(who, MicroUSD(500), lease_id=uuid4().hex, seconds=10)
    await own.flushall()
    await budget.look()
    with pytest.raises(DependencyUnavailable):
        await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)  # closed, until all workers have told
    await budget.look()
    await budget.flush()
    assert await user_day(budget, who) == (67, 500)
    await opened(budget)
    with pytest.raises(BudgetExceeded) as refused:
        await budget.hold(who, MicroUSD(434), lease_id=uuid4().hex, seconds=10)
    assert (refused.value.spent, refused.value.held) == (67, 500)
    flying.spend(MicroUSD(11))
    budget.settle(flying)
    await budget.aclose()
    assert await user_day(budget, who) == (78, 0)
    await Ledger(engine, own).drain()
    assert await in_ledger(engine, who) == 78


async def test_what_is_settled_after_the_counters_were_lost_is_counted(make: Made, own: Redis) -> None:
    """The lease is gone, the money is not."""
    budget, who = make(), identity()
    await opened(budget)
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    hold.spend(MicroUSD(30))
    await own.flushall()
    budget.settle(hold)
    budget.settle(hold)
    await budget.start()
    await budget.look()
    await budget.flush()
    await budget.aclose()
    assert await user_day(budget, who) == (30, 0)


async def test_without_a_valkey_no_money_is_spent(engine: AsyncEngine) -> None:
    """C7: fails closed."""
    nowhere: Redis = Redis.from_url("redis://127.0.0.1:1/0", decode_responses=True)
    with pytest.raises(DependencyUnavailable):
        await make_budget(nowhere, engine).hold(identity(), MicroUSD(1), lease_id=uuid4().hex, seconds=10)
    await nowhere.aclose()


def pid_of(folder: Path) -> int:
    return int((folder / "valkey.pid").read_text())


async def test_a_frozen_valkey_is_waited_for_once_and_what_it_grants_late_is_given_back(make: Made, folder: Path) -> None:
    """SIGSTOP: connections stay open, nothing answers. The script that was sent runs when it goes on; nobody waits for it."""
    budget, who = make(), identity()
    await opened(budget)
    await budget.start()
    os.kill(pid_of(folder), signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(DependencyUnavailable):
                await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
        assert time.monotonic() - started < 4  # one timeout of a second, or two; not twenty
    finally:
        os.kill(pid_of(folder), signal.SIGCONT)
    await opened(budget)
    await budget.aclose()
    assert await user_day(budget, who) == (0, 0)


async def test_while_valkey_is_away_an_allowance_can_be_spent_and_is_counted_when_it_is_back(make: Made, folder: Path) -> None:
    """C7, the other choice: bounded, per worker process."""
    budget, who = make(outage_allowance=MicroUSD(150)), identity()
    await opened(budget)
    await budget.start()
    os.kill(pid_of(folder), signal.SIGSTOP)
    try:
        first = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
        with pytest.raises(DependencyUnavailable):
            await budget.hold(who, MicroUSD(51), lease_id=uuid4().hex, seconds=10)
        first.spend(MicroUSD(30))
        budget.settle(first)
        second = await budget.hold(who, MicroUSD(120), lease_id=uuid4().hex, seconds=10)  # 70 came back
        second.spend(MicroUSD(120))
        budget.settle(second)
        with pytest.raises(DependencyUnavailable):
            await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)
    finally:
        os.kill(pid_of(folder), signal.SIGCONT)
    await budget.flush()
    await budget.aclose()
    assert await user_day(budget, who) == (150, 0)


async def test_a_slow_valkey_is_waited_for(make: Made, own: Redis) -> None:
    """Slow is not away: 300 ms for each command."""
    budget, who = make(), identity()
    await opened(budget)
    await own.client_pause(300)
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    assert await user_day(budget, who) == (0, 100)
    budget.settle(hold)


async def test_a_valkey_that_is_killed_and_started_again_knows_every_micro_dollar(engine: AsyncEngine, tmp_path: Path) -> None:
    """Its append-only file has what it answered; what it did not answer is settled again."""
    who = identity()
    with embedded_valkey(tmp_path) as url:
        client = build_valkey(Settings(valkey_url=url))
        budget = make_budget(client, engine)
        await opened(budget)
        held = [await budget.hold(who, MicroUSD(10), lease_id=uuid4().hex, seconds=10) for _ in range(50)]
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        await client.aclose()
    with embedded_valkey(tmp_path) as url:
        client = build_valkey(Settings(valkey_url=url))
        budget = make_budget(client, engine)
        await budget.look()
        assert await user_day(budget, who) == (0, 500)
        for hold in held:
            hold.spend(MicroUSD(3))
            budget.settle(hold)
        await budget.start()
        await budget.aclose()
        assert await user_day(budget, who) == (150, 0)
        await client.aclose()
