"""Circuits of several replicas on one Valkey.

One replica's finding reaches the others, one probes, and none needs Valkey to judge.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from app.domain.routes import Target
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.policy import BreakerPolicy
from app.gateway.recovery.shared_circuits import KEY, POLL, SharedCircuits, forget, read
from app.stack.embedded import free_port

A = Target("anthropic", "org/claude-x")
POLICY = BreakerPolicy(failures=2, ratio=0.5, window=10.0, rest=0.4, longest_rest=2.0)
Replica = Callable[[], Awaitable[Circuits]]


async def replica(valkey: Redis, stack: AsyncExitStack, poll: float = POLL) -> Circuits:
    circuits = Circuits(POLICY)
    shared = SharedCircuits(valkey, poll=poll, claim_seconds=30.0)  # however busy the machine
    shared.start(circuits)
    stack.push_async_callback(shared.aclose)
    return circuits


@pytest_asyncio.fixture
async def start(valkey: Redis) -> AsyncIterator[Replica]:
    """Starts replicas; all are stopped at the end."""
    await valkey.delete(KEY)
    async with AsyncExitStack() as stack:

        async def one() -> Circuits:
            return await replica(valkey, stack)

        yield one
    await valkey.delete(KEY)


async def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> float:
    """Poll until it holds; return after how many seconds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + seconds, "did not hold in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def trip(circuits: Circuits) -> None:
    circuits.failed(A, "provider_failed")
    circuits.failed(A, "provider_failed")


async def test_a_circuit_that_one_replica_opens_is_open_at_all_within_the_stated_lag(start: Replica) -> None:
    """R5: one poll and one round trip; the bound leaves as much again for a busy machine."""
    one, two, three = await start(), await start(), await start()
    trip(one)
    assert one.state(A) == "open"
    assert await eventually(lambda: two.known.get(A) is not None and three.known.get(A) is not None) < 2 * POLL
    assert two.known[A].trips == three.known[A].trips == 1


async def test_the_share_that_a_resting_target_answers_is_known_to_all(start: Replica) -> None:
    """R5: where no other target is left, each replica tries it for as long as that share lasts."""
    one, two = await start(), await start()
    one.succeeded(A)
    trip(one)
    share = one.known[A].answered
    assert share == pytest.approx(0.4), "one of three, by Laplace's rule"
    await eventually(lambda: A in two.known)
    assert list(two.worth_a_try([A])) == [A]
    assert two.known[A].answered == pytest.approx(share, abs=0.001)
    for _ in range(100):
        two.failed(A, "provider_failed")
    assert list(two.worth_a_try([A])) == []
    await asyncio.sleep(2 * POLL)
    assert list(two.worth_a_try([A])) == [], "no round brings back what it has seen to be over"


async def test_one_probe_over_all_replicas_and_its_success_closes_all(start: Replica) -> None:
    """R5: half-open with a single probe."""
    replicas = [await start() for _ in range(4)]
    trip(replicas[0])
    await eventually(lambda: all(r.state(A) == "half_open" for r in replicas))
    admitted = await asyncio.gather(*(r.admit(A, 30) for r in replicas for _ in range(10)))
    assert admitted.count(True) == 1
    replicas[admitted.index(True) // 10].succeeded(A)
    await eventually(lambda: all(r.state(A) == "closed" for r in replicas))


async def test_a_probe_that_fails_rests_twice_as_long_at_all(start: Replica, valkey: Redis) -> None:
    one, two = await start(), await start()
    trip(one)
    await eventually(lambda: two.state(A) == "half_open")
    assert await two.admit(A, 30)
    two.failed(A, "provider_timeout")
    await eventually(lambda: one.known[A].trips == 2)
    (shared,) = await read(valkey)
    assert (shared.target, shared.trips, shared.cause) == (A, 2, "provider_timeout")
    assert 0 < shared.rest <= 0.8


async def test_replicas_that_open_at_the_same_moment_rest_once_not_one_after_the_other(start: Replica, valkey: Redis) -> None:
    replicas = [await start() for _ in range(4)]
    for each in replicas:
        trip(each)
    await asyncio.sleep(POLL)
    (shared,) = await read(valkey)
    assert shared.trips == 1
    assert shared.rest <= 0.4


async def test_who_opens_a_circuit_later_does_not_prolong_the_rest(valkey: Redis) -> None:
    """The second has not heard of the first yet."""
    await valkey.delete(KEY)
    rests = []
    async with AsyncExitStack() as stack:
        for seconds in (5.0, 60.0):
            circuits = await replica(valkey, stack, poll=30)
            await asyncio.sleep(0.1)  # its first look, before anything is there, or after: it must not matter
            circuits.policy = BreakerPolicy(failures=2, rest=seconds)
            circuits.close(A)
            trip(circuits)
            await eventually_async(lambda: _shared(valkey))
            await asyncio.sleep(0.2)
            rests.append((await read(valkey))[0].rest)
    assert rests[1] < rests[0] <= 5
    await valkey.delete(KEY)


async def _shared(valkey: Redis) -> bool:
    return bool(await read(valkey))


async def eventually_async(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 120
    while not await holds():
        assert time.monotonic() < deadline, "did not hold in time"
        await asyncio.sleep(0.01)


async def test_a_probe_that_is_given_up_can_be_taken_by_another_replica(start: Replica) -> None:
    one, two = await start(), await start()
    trip(one)
    await eventually(lambda: two.state(A) == "half_open")
    assert await one.admit(A, 30)
    assert not await two.admit(A, 30)
    one.abandoned(A)
    granted: list[bool] = []
    deadline = time.monotonic() + 120
    while not any(granted):
        assert time.monotonic() < deadline
        granted.append(await two.admit(A, 30))
        await asyncio.sleep(0.05)


async def test_an_operator_closes_a_circuit_at_all(start: Replica, valkey: Redis) -> None:
    one, two = await start(), await start()
    for circuits in (one, two):
        circuits.policy = BreakerPolicy(failures=2, rest=600.0)
    trip(one)
    await eventually(lambda: two.state(A) == "open")
    assert await forget(valkey, A)
    await eventually(lambda: one.state(A) == two.state(A) == "closed")
    assert not await forget(valkey, A)


async def test_without_valkey_a_replica_judges_for_itself_and_probes_at_once() -> None:
    away = Redis.from_url(f"redis://127.0.0.1:{free_port()}/0", socket_connect_timeout=0.2)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(away.aclose)
        alone = await replica(away, stack)
        trip(alone)
        assert not await alone.admit(A, 30)
        await eventually(lambda: alone.state(A) == "half_open")
        assert await alone.admit(A, 30)
        alone.succeeded(A)
        assert alone.state(A) == "closed"
        trip(alone)
        await asyncio.sleep(2 * POLL)
        assert alone.known[A].trips == 1  # nothing that could not be written to Valkey was taken back
