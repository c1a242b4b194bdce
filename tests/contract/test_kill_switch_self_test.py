"""The kill switch's self-test on real stores: it really flips, and every worker must see it (P5)."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall import self_test
from app.oncall.scopes import SELF_TEST
from app.oncall.self_test import DailySelfTest, Result, Sightings, State, begin, flip, state, store
from app.oncall.stops import KEY
from app.oncall.switch import KillSwitch, Listeners
from app.oncall.tables import stops, switch_sightings, switch_tests


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url.removesuffix("/0") + "/9", decode_responses=True)
    await client.delete(KEY)
    yield client
    await client.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def postgres(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        for table in (stops, switch_sightings, switch_tests):
            await connection.execute(delete(table))
    return engine


@asynccontextmanager
async def workers(valkey: Redis, engine: AsyncEngine, *names: str) -> AsyncIterator[list[KillSwitch]]:
    async with AsyncExitStack() as stack:
        switches = []
        for name in names:
            sightings = Sightings(engine, name)
            switch = KillSwitch(valkey, engine, file=None, poll=0.05, listeners=Listeners(on_self_test=sightings.note))
            for part in (sightings, switch):
                await part.start()
                stack.push_async_callback(part.aclose)
            switches.append(switch)
        yield switches


class There:
    """The workers that report, at each question."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self.answers = list(answers)

    async def __call__(self) -> Iterable[str]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_every_worker_sees_each_flip_and_no_call_is_stopped(valkey: Redis, postgres: AsyncEngine) -> None:
    counts: list[int] = []
    async with workers(valkey, postgres, "one", "two") as (one, two):
        one._listeners = Listeners(on_state=lambda state: counts.append(sum(state.values())))
        watched = Sightings(postgres, "one")
        await watched.start()
        one._listeners = Listeners(on_state=one._listeners.on_state, on_self_test=watched.note)
        operator = KillSwitch(valkey, postgres, file=None)
        result = await flip(operator, postgres, There(["one", "two"]), flips=3, by="ada")
        await watched.aclose()
        assert (result.flips, result.workers, len(result.seconds), result.missing) == (3, 2, 6, ())
        assert all(0 < seconds <= result.slowest for seconds in result.seconds)
        for switch in (one, two):
            switch.check(tenant="self-test", feature="self-test", target="self-test", tool="self-test")
            assert await switch.status() == []
        assert set(counts) == {0}, "no gauge counts it, so no alert fires"
    assert not (await operator._read_both())[":".join(SELF_TEST)].stopped


async def test_it_works_through_postgres_alone_and_names_the_other_store(postgres: AsyncEngine) -> None:
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0), decode_responses=True)
    async with workers(away, postgres, "one"):
        result = await flip(KillSwitch(away, postgres, file=None), postgres, There(["one"]), flips=1, by="ada")
    assert result.missing == ()
    assert result.away == {"Valkey"}


async def test_a_worker_that_does_not_see_a_flip_fails_the_test_by_name(
    valkey: Redis, postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_test, "WAIT_SECONDS", 0.5)
    async with workers(valkey, postgres, "one"):
        operator = KillSwitch(valkey, postgres, file=None)
        result = await flip(operator, postgres, There(["one", "deaf"]), flips=9, by="ada")
        assert (result.flips, result.missing) == (1, ("deaf",))
        assert result.problem == "1 of 2 workers did not see a flip: deaf."
        assert not (await operator._read_both())[":".join(SELF_TEST)].stopped, "it ends released"
        gone = await flip(operator, postgres, There(["one", "gone"], ["one", "gone"], ["one"]), flips=1, by="ada")
        assert (gone.missing, gone.problem) == ((), ""), "a worker that stops meanwhile is not missing"


async def test_one_of_all_workers_does_it_once_a_day_and_again_after_a_failure(
    valkey: Redis, postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_test, "PROMISED_SECONDS", 60.0)  # the machine may be busy

    async def age(time: str) -> None:
        async with postgres.begin() as connection:
            await connection.execute(update(switch_tests).values(at=func.now() - text(f"interval '{time}'")))

    async with workers(valkey, postgres, "one", "two") as switches:
        one, two = (DailySelfTest(switch, postgres, There(["one", "two"])) for switch in switches)
        assert [await one.run_if_due(), await two.run_if_due()] == [True, False]
        found = await state(postgres)
        assert (found.failed, found.passed_ago is not None, (found.slowest or 0) > 0) == (False, True, True)
        await age("23 hours")
        assert not await two.run_if_due()
        await age("25 hours")
        assert await two.run_if_due()
        async with postgres.begin() as connection:
            await connection.execute(delete(switch_tests))
            failed = await begin(connection, by="octant")
        await store(postgres, failed, Result(workers=2, missing=("two",)))
        assert await state(postgres) == State(passed_ago=None, failed=True, slowest=0.0)
        assert not await one.run_if_due()
        await age("11 minutes")
        assert await one.run_if_due()
        assert not (await state(postgres)).failed


async def test_a_worker_that_died_in_the_test_counts_as_a_failure_after_its_lease(postgres: AsyncEngine) -> None:
    async with postgres.begin() as connection:
        await begin(connection, by="octant")
    assert not (await state(postgres)).failed
    async with postgres.begin() as connection:
        await connection.execute(update(switch_tests).values(at=func.now() - text("interval '11 minutes'")))
    assert (await state(postgres)).failed


async def test_a_test_that_cannot_be_done_is_stored_with_its_reason(
    postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0), decode_responses=True)
    switch = KillSwitch(away, file=None)  # and no Postgres for the stop itself
    assert await DailySelfTest(switch, postgres, There(["one"])).run_if_due()
    async with postgres.connect() as connection:
        rows = (await connection.execute(select(switch_tests.c.passed, switch_tests.c.problem))).all()
    assert [(row.passed, "Valkey did not answer" in row.problem) for row in rows] == [(False, True)]


async def test_without_a_worker_or_within_more_than_two_seconds_it_has_not_passed(postgres: AsyncEngine) -> None:
    assert Result(flips=1).problem == "No worker reports: none is running."
    assert Result(flips=1, workers=1, seconds=(0.1, 2.1)).problem == "A worker saw a flip after 2.1 s; 2 s are promised."
    assert Result(flips=1, workers=1, seconds=(0.1, 1.9)).problem == ""
    async with postgres.begin() as connection:
        await connection.execute(insert(switch_tests).values(by="ada", passed=True))
    assert (await state(postgres)).passed_ago is not None
