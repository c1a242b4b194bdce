"""The budget when its Valkey loses data, is killed, freezes or is slow."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from faulty_stores import Relay
from money import identity, in_ledger, make_budget, opened, user_day
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import journal as journal_module
from app.budget import ledger as ledger_module
from app.budget import settled
from app.budget.budget import Budget
from app.budget.grants import Grants
from app.budget.hold import epoch_key
from app.budget.journal import Journal
from app.budget.ledger import Ledger
from app.domain.calls import Identity, RateLimits
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import MicroUSD
from app.settings import Settings
from app.stack.embedded import embedded_valkey, free_port
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
    """All but one worker are refused the rebuild of the counters.

    Nothing is settled by that, so it is no alarm.
    """
    failures: list[int] = []
    workers = [make(on_settle_failure=lambda: failures.append(1)) for _ in range(4)]
    for worker in workers:
        await worker.start()
    for worker in workers:
        await opened(worker)
    await asyncio.sleep(1.5)  # every worker has checked again
    for worker in workers:
        await worker.aclose()
    assert failures == []


async def test_lost_counters_come_back_from_the_ledger_and_from_calls_in_flight(
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
    await budget.watch_epochs()
    with pytest.raises(DependencyUnavailable):
        await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)  # closed, until all workers have reported
    await budget.watch_epochs()
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


async def spent_and_written(budget: Budget, who: Identity, amount: int, ledger: Ledger) -> None:
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    hold.spend(MicroUSD(amount))
    budget.settle(hold)
    await budget.flush()
    await ledger.drain()


async def test_an_idle_worker_sends_nothing_again_that_was_settled_long_ago(
    make: Made, engine: AsyncEngine, own: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3. The rebuilt store remembers the ledger's newest entries: an older one that is sent again would count twice."""
    monkeypatch.setattr(settled, "RESENT_SECONDS", 0.0)
    monkeypatch.setattr(ledger_module, "REMEMBERED", timedelta(0))
    idle, busy, who, ledger = make(), make(), identity(), Ledger(engine, own)
    await idle.start()
    await opened(idle)
    await opened(busy)
    await spent_and_written(idle, who, 60, ledger)
    await idle.watch_epochs()
    await busy.start()
    await spent_and_written(busy, who, 7, ledger)
    await busy.aclose()
    await own.flushall()
    await idle.watch_epochs()
    await opened(idle)
    await idle.watch_epochs()
    await idle.flush()
    assert await user_day(idle, who) == (67, 0)
    await idle.aclose()


async def test_what_was_settled_before_a_long_outage_counts_once_after_a_loss(
    make: Made, engine: AsyncEngine, own: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3. The worker cannot know that the ledger has its last entries; the ledger's are old by then, and its newest."""
    monkeypatch.setattr(ledger_module, "REMEMBERED", timedelta(seconds=1))
    budget, who = make(), identity()
    await budget.start()
    await opened(budget)
    await spent_and_written(budget, who, 60, Ledger(engine, own))
    await asyncio.sleep(2)
    await own.flushall()
    await budget.watch_epochs()
    await opened(budget)
    await budget.watch_epochs()
    await budget.flush()
    assert await user_day(budget, who) == (60, 0)
    await budget.aclose()


async def test_callers_that_leave_do_not_stop_the_rebuilding_of_lost_counters(
    make: Made, own: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the enlarging of a shard's share of the global day."""
    budget, who = make(), identity()
    begun, may_end = list[str](), asyncio.Event()

    def slowed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        async def slow(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            begun.append(name)
            await may_end.wait()
            return await work(*given, **named)

        return slow

    monkeypatch.setattr(Ledger, "sums", slowed("sums", Ledger.sums))
    monkeypatch.setattr(Grants, "more", slowed("more", Grants.more))
    for name in ("sums", "more"):
        may_end.clear()
        for _ in range(3):
            impatient = asyncio.create_task(budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10))
            while name not in begun:  # noqa: ASYNC110 - an event for each would hide the rule
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
        working = set(budget._lasting)  # all that may outlive a caller
        may_end.set()
        await asyncio.gather(*working)
        assert working
        begun.append(f"{name} ended")
        await opened(budget)
    assert begun[:2] == ["sums", "sums ended"]
    await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)


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
    await budget.watch_epochs()
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
    """SIGSTOP: connections stay open, nothing answers.

    A script that was sent runs later, although no call waits for it.
    """
    budget, who = make(), identity()
    await opened(budget)
    await budget.start()
    os.kill(pid_of(folder), signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(DependencyUnavailable):
                await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
        assert time.monotonic() - started < 12  # one timeout of a second, or two; not twenty
    finally:
        os.kill(pid_of(folder), signal.SIGCONT)
    await opened(budget)
    await budget.aclose()
    assert await user_day(budget, who) == (0, 0)


async def test_with_valkey_away_an_allowance_can_be_spent_and_is_counted_afterwards(make: Made, folder: Path) -> None:
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


async def test_what_killed_workers_held_is_counted_although_valkey_lost_its_data_too(
    make: Made, engine: AsyncEngine, own: Redis, tmp_path: Path
) -> None:
    """C3: the second memory is a file of each process.

    Its finder reports it, as often as counters are lost.
    """
    who = identity(tenant_cap=1000, user_cap=1000)
    dead, journal = make(journal=Journal(tmp_path)), Journal(tmp_path)
    await opened(dead)
    await dead.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    twice = await dead.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    await dead.extend(twice, MicroUSD(50))
    done = await dead.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    done.spend(MicroUSD(40))
    await dead._settling.settle([done])
    alive = make(journal=journal)
    await opened(alive)
    mine = await alive.hold(who, MicroUSD(7), lease_id=uuid4().hex, seconds=10)
    assert journal.orphans() == []  # the other one lives, as far as any process can tell
    assert dead._journal is not None
    assert dead._journal._file is not None
    dead._journal._file.close()  # killed: the system lets go of its lock, and the file stays
    for _ in range(2):
        await own.flushall()
        await alive.watch_epochs()
        await alive.watch_epochs()
        assert await user_day(alive, who) == (40, 257)
    newcomer = make(journal=Journal(tmp_path))
    await newcomer.watch_epochs()
    assert await user_day(alive, who) == (40, 257)
    await opened(alive)
    alive.settle(mine)
    await alive.start()
    await alive.aclose()
    assert await user_day(alive, who) == (40, 250)
    assert len(list(tmp_path.glob("*.holds"))) == 2  # the dead one's, and what was settled a moment ago
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.holds"))


async def test_the_second_memory_begins_a_new_file_and_forgets_what_is_old(
    make: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A busy worker writes megabytes a minute; what counts of them is little."""
    monkeypatch.setattr(journal_module, "FILE_BYTES", 4000)
    monkeypatch.setattr(journal_module, "RECENT_SECONDS", 0.0)
    budget, who = make(journal=Journal(tmp_path)), identity()
    await opened(budget)
    await budget.hold(who, MicroUSD(100), lease_id="stays", seconds=3600)
    for _ in range(40):
        done = await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)
        await budget._settling.settle([done])
    (path,) = tmp_path.glob("*.holds")
    assert path.stat().st_size < 8000
    assert budget._journal is not None
    assert budget._journal._file is not None
    budget._journal._file.close()
    assert "stays" in [orphan.arguments[1] for orphan in Journal(tmp_path).orphans() if not orphan.settled]


async def test_a_file_of_holds_that_is_removed_is_written_anew(
    make: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cleaner of temporary folders removes it under the worker."""
    monkeypatch.setattr(journal_module, "CHECK_EVERY", 0.0)
    budget, who = make(journal=Journal(tmp_path / "holds")), identity()
    await opened(budget)
    await budget.hold(who, MicroUSD(100), lease_id="before", seconds=10)
    shutil.rmtree(tmp_path / "holds")
    await budget.hold(who, MicroUSD(100), lease_id="after", seconds=10)
    assert budget._journal is not None
    assert budget._journal._file is not None
    budget._journal._file.close()
    assert {orphan.arguments[1] for orphan in Journal(tmp_path / "holds").orphans()} == {"before", "after"}


async def test_a_disk_that_is_full_costs_no_call(make: Made, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    budget = make(journal=Journal(tmp_path / "file"))
    await opened(budget)
    who = identity()
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    hold.spend(MicroUSD(60))
    await budget._settling.settle([hold])
    assert await user_day(budget, who) == (60, 0)


async def test_a_take_whose_answer_was_lost_is_repeated_and_counts_once(make: Made, own: Redis) -> None:
    """C1: the script ran, its connection broke. So does an extension's; the rate limit counts one request."""
    budget, who = make(), identity(key_limits=RateLimits(requests=10))
    await opened(budget)
    await budget.hold(who, MicroUSD(10), lease_id=uuid4().hex, seconds=10)  # from here on the shard has its grant
    scripts = budget._hold
    lost: list[object] = []

    async def losing(**arguments: Any) -> object:  # noqa: ANN401
        answer = await scripts(**arguments)
        if len(lost) % 2 == 0:
            lost.append(answer)
            raise ValkeyConnectionError("Connection closed by server.")
        lost.append(answer)
        return answer

    budget._hold = losing
    hold = await budget.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10)
    await budget.extend(hold, MicroUSD(50))
    assert len(lost) == 4
    assert await user_day(budget, who) == (0, 160)
    budget._hold = scripts
    assert (await budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10)).rates["requests"].remaining == 7
    hold.spend(MicroUSD(120))
    budget.settle(hold)
    await budget.start()
    await budget.aclose()
    assert await user_day(budget, who) == (120, 11)


async def test_after_a_restart_with_its_data_no_call_of_a_burst_is_refused(engine: AsyncEngine, tmp_path: Path) -> None:
    """The pool is full of connections that the server closed: they are found out before they are used."""
    port, who = free_port(), identity()
    with embedded_valkey(tmp_path, port=port) as url:
        client = build_valkey(Settings(valkey_url=url))
        budget = make_budget(client, engine)
        await opened(budget)
        await burst(budget, who)
    with embedded_valkey(tmp_path, port=port):
        assert [await burst(budget, who) for _ in range(4)] == [40] * 4
        await client.aclose()


async def burst(budget: Budget, who: Identity) -> int:
    """Forty calls at once. Returns how many were let through."""
    return len(await asyncio.gather(*(budget.hold(who, MicroUSD(1), lease_id=uuid4().hex, seconds=10) for _ in range(40))))


async def test_one_dead_connection_is_not_taken_for_an_outage(engine: AsyncEngine, own_url: str, own: Redis) -> None:
    """A firewall forgot the pool's connections: the call waits once, and is answered on a new connection."""
    who = identity()
    async with Relay().running(port=make_url(own_url).port or 0) as relay:
        client = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{relay.url_port}/0"))
        budget = make_budget(client, engine)
        await opened(budget)
        await burst(budget, who)
        relay.drop_all()
        await burst(budget, who)
        assert await user_day(budget, who) == (0, 80)
        await client.aclose()


@pytest.mark.parametrize("state", ["full", "replica", "a right is missing", "counters gone", "closed"])
async def test_the_check_finds_what_a_call_would_find(make: Made, own: Redis, state: str) -> None:
    """A read alone would be answered in the first two, and another write in the third."""
    budget = make()
    await opened(budget)
    if state == "full":
        await own.config_set("maxmemory", "1")
    elif state == "replica":
        await own.replicaof("127.0.0.1", "1")
    elif state == "a right is missing":
        await own.execute_command("ACL", "SETUSER", "default", "-zadd")  # type: ignore[no-untyped-call]
    elif state == "counters gone":
        await own.delete(epoch_key(3))
    else:
        await own.set(epoch_key(3), f"x:{(await own.time())[0] + 60}000")
    try:
        with pytest.raises(DependencyUnavailable):
            await budget.check()
    finally:
        await own.replicaof("NO", "ONE")
        await own.config_set("maxmemory", "0")
        await own.execute_command("ACL", "SETUSER", "default", "+zadd")  # type: ignore[no-untyped-call]
    await own.delete(epoch_key(3))
    await opened(budget)


async def test_a_clock_that_is_wrong_says_nothing_of_the_counters(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valkey's clock alone decides when a shard opens.

    A worker whose clock is a minute behind is ready when its calls are answered.
    """
    budget = make()
    await opened(budget)
    now = time.time
    for skew in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda skew=skew: now() + skew)
        await budget.check()


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
        await budget.watch_epochs()
        assert await user_day(budget, who) == (0, 500)
        for hold in held:
            hold.spend(MicroUSD(3))
            budget.settle(hold)
        await budget.start()
        await budget.aclose()
        assert await user_day(budget, who) == (150, 0)
        await client.aclose()
