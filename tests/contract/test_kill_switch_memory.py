"""The kill switch with two memories, each of which can be away, empty or old (P5, ADR 0007)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from client import eventually
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.domain.errors import DependencyUnavailable, NotFound, Stopped
from app.oncall import store_outages as outages_module
from app.oncall import switch as switch_module
from app.oncall.earlier import EARLIER_KEY, carry_over
from app.oncall.stops import COMPLETE, KEY, Entry, PostgresStops, ValkeyStops
from app.oncall.store_outages import StoreOutages, outages
from app.oncall.switch import KillSwitch, Listeners
from app.oncall.tables import stops, store_outages

AWAY = "postgresql+psycopg://absent@127.0.0.1:1/none"


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url.removesuffix("/0") + "/9", decode_responses=True)
    await client.delete(KEY)
    yield client
    await client.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def postgres(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        await connection.execute(delete(stops))
    return engine


@pytest.fixture
def valkey_away() -> Redis:
    return Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0), decode_responses=True)


@pytest.fixture
def postgres_away() -> AsyncEngine:
    return create_async_engine(AWAY, poolclass=NullPool)


@asynccontextmanager
async def worker(valkey: Redis, engine: AsyncEngine, *, file: Path | None = None) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(valkey, engine, file=file, poll=0.05)
    await switch.start()
    try:
        yield switch
    finally:
        await switch.aclose()


def state(switch: KillSwitch, tenant: str = "acme") -> str:
    try:
        switch.check(tenant=tenant)
    except Stopped:
        return "stopped"
    except DependencyUnavailable:
        return "unknown"
    return "open"


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        await asyncio.sleep(0.02)


async def kill(switch: KillSwitch) -> frozenset[str]:
    return await switch.stop("all", "", by="ada", reason="leak")


async def test_a_loss_of_valkeys_data_releases_nothing_and_valkey_gets_it_back(valkey: Redis, postgres: AsyncEngine) -> None:
    async with worker(valkey, postgres) as running:
        assert await kill(KillSwitch(valkey, postgres, file=None)) == frozenset()
        await until(lambda: state(running) == "stopped")
        await valkey.delete(KEY)
        async with worker(valkey, postgres) as started_since:
            assert state(started_since) == "stopped"
        deadline = time.monotonic() + 120
        while not await valkey.hexists(KEY, COMPLETE):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert state(running) == "stopped"
        assert await valkey.hexists(KEY, "all:")
    operator = KillSwitch(valkey, postgres, file=None)
    assert await operator.resume("all", "") == frozenset()
    assert await operator.status() == []


async def test_whatever_a_reason_holds_both_memories_keep_the_stop(valkey: Redis, postgres: AsyncEngine) -> None:
    """Postgres holds no NUL, and neither half of a surrogate pair: such a stop would keep every later one out of it."""
    operator = KillSwitch(valkey, postgres, file=None)
    assert await operator.stop("tenant", "acme", by="ada\0", reason="a\0b\ud800 \x1b[31mc\r\n\u202ed") == frozenset()
    assert [(stop.by, stop.reason) for stop in await operator.status()] == [("ada", "a b [31mc d")]
    assert (await PostgresStops(postgres).read())["tenant:acme"].reason == "a b [31mc d"
    assert await kill(operator) == frozenset()
    assert await operator.resume("all", "", reason="\0") == frozenset()


async def test_data_lost_between_a_look_and_its_write_are_put_back_whole(
    valkey: Redis, postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing may be marked as complete that lacks a stop."""
    switch = KillSwitch(valkey, postgres, file=None)
    await kill(switch)
    await switch._read_both()
    read = switch._valkey.read

    async def read_and_lose() -> tuple[dict[str, Entry], bool]:
        found = await read()
        await valkey.delete(KEY)
        return found

    monkeypatch.setattr(switch._valkey, "read", read_and_lose)
    await switch._refresh()
    assert await valkey.hexists(KEY, COMPLETE)
    assert await valkey.hexists(KEY, "all:")


async def test_a_loss_of_valkeys_data_brings_no_stop_back_that_was_released(valkey: Redis, postgres: AsyncEngine) -> None:
    operator = KillSwitch(valkey, postgres, file=None)
    await kill(operator)
    await operator.resume("all", "")
    await valkey.delete(KEY)
    async with worker(valkey, postgres) as switch:
        assert state(switch) == "open"


async def test_a_stop_reaches_workers_through_either_store(
    valkey: Redis, postgres: AsyncEngine, valkey_away: Redis, postgres_away: AsyncEngine
) -> None:
    """Also where the operator reaches one store and a worker the other.

    Some worker must reach both.
    """
    async with worker(valkey, postgres) as both, worker(valkey, postgres_away) as one, worker(valkey_away, postgres) as other:
        workers = (both, one, other)
        await until(lambda: all(state(w) == "open" for w in workers))
        assert await kill(KillSwitch(valkey_away, postgres, file=None)) == {"Valkey"}
        await until(lambda: all(state(w) == "stopped" for w in workers))
        assert await KillSwitch(valkey, postgres_away, file=None).resume("all", "") == {"Postgres"}
        await until(lambda: all(state(w) == "open" for w in workers))


async def test_postgres_gets_the_changes_that_it_missed_when_it_returns(
    valkey: Redis, postgres: AsyncEngine, postgres_away: AsyncEngine
) -> None:
    """A stop and, after it, a release, each written to Valkey alone."""
    operator = KillSwitch(valkey, postgres_away, file=None)
    for expected in (True, False):
        assert await (kill(operator) if expected else operator.resume("all", "")) == {"Postgres"}

        async def written(expected: bool = expected) -> bool:
            entry = (await PostgresStops(postgres).read()).get("all:")
            return entry is not None and entry.stopped is expected

        async with worker(valkey, postgres):
            await eventually(written)


async def test_with_both_stores_away_nothing_is_taken_and_the_last_known_state_holds(
    valkey: Redis, postgres: AsyncEngine, valkey_away: Redis, postgres_away: AsyncEngine
) -> None:
    with pytest.raises(DependencyUnavailable, match="Postgres and Valkey did not answer"):
        await kill(KillSwitch(valkey_away, postgres_away, file=None))
    async with worker(valkey, postgres) as switch:
        await kill(KillSwitch(valkey, postgres, file=None))
        await until(lambda: state(switch) == "stopped")
        switch._valkey, switch._postgres = ValkeyStops(valkey_away), PostgresStops(postgres_away)
        await until(lambda: switch.away == {"Valkey", "Postgres"})
        assert state(switch) == "stopped"


async def test_a_worker_that_starts_without_a_store_that_knows_refuses_and_the_file_works(
    valkey: Redis, valkey_away: Redis, postgres: AsyncEngine, postgres_away: AsyncEngine, tmp_path: Path
) -> None:
    """An empty Valkey knows nothing: it may have lost its data."""
    file = tmp_path / "stop"
    async with worker(valkey_away, postgres_away) as neither, worker(valkey, postgres_away, file=file) as empty:
        assert (state(neither), state(empty)) == ("unknown", "unknown")
        file.touch()
        await until(lambda: state(empty) == "stopped")
        file.unlink()
        await until(lambda: state(empty) == "unknown")
        async with worker(valkey, postgres):  # which says to Valkey that nothing is stopped
            await until(lambda: state(empty) == "open")


async def test_an_old_snapshot_of_a_store_neither_releases_nor_stops(valkey: Redis, postgres: AsyncEngine) -> None:
    operator = KillSwitch(valkey, postgres, file=None)
    await kill(operator)
    before = {str(field): str(value) for field, value in (await valkey.hgetall(KEY)).items()}
    await operator.resume("all", "")
    await valkey.delete(KEY)
    for field, value in {**before, COMPLETE: "1"}.items():
        await valkey.hset(KEY, field, value)
    async with worker(valkey, postgres) as switch:
        assert state(switch) == "open"
        await kill(operator)
        await until(lambda: state(switch) == "stopped")
        async with postgres.begin() as connection:
            await connection.execute(delete(stops))
        await valkey.delete(KEY)
        await asyncio.sleep(0.3)
        assert state(switch) == "stopped"
        await until(lambda: switch._known)
    async with worker(valkey, postgres) as switch:  # the running worker gave both stores what they had lost
        assert state(switch) == "stopped"


async def test_of_two_words_with_one_version_the_stop_holds(valkey: Redis, postgres: AsyncEngine) -> None:
    release = Entry(scope="all", name="", stopped=False, at="2026-11-26T12:00:00+00:00", version=7)
    halt = Entry(scope="all", name="", stopped=True, at="2026-11-26T12:00:00+00:00", version=7)
    for first, second in ((release, halt), (halt, release)):
        for store in (ValkeyStops(valkey), PostgresStops(postgres)):
            await store.write([first])
            await store.write([second])
    assert (await ValkeyStops(valkey).read())[0]["all:"].stopped
    assert (await PostgresStops(postgres).read())["all:"].stopped


async def test_a_clock_that_is_behind_does_not_lose_a_release(
    valkey: Redis, postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = KillSwitch(valkey, postgres, file=None)
    await kill(operator)
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    await operator.resume("all", "")
    assert await operator.status() == []


async def test_a_release_of_what_is_not_stopped_is_refused_and_changes_nothing(valkey: Redis, postgres: AsyncEngine) -> None:
    with pytest.raises(NotFound):
        await KillSwitch(valkey, postgres, file=None).resume("tenant", "acme")
    assert await PostgresStops(postgres).read() == {}


async def test_a_postgres_that_hangs_delays_no_stop(valkey: Redis) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hangs = create_async_engine(f"postgresql+psycopg://absent@127.0.0.1:{port}/none", poolclass=NullPool)
    await valkey.hset(KEY, COMPLETE, "1")
    async with worker(valkey, hangs) as switch:
        assert state(switch) == "open"
        assert await kill(KillSwitch(valkey, hangs, file=None)) == {"Postgres"}
        await until(lambda: state(switch) == "stopped", 5)
    server.close()


async def test_a_valkey_that_hangs_does_not_delay_what_postgres_is_given(
    valkey: Redis, postgres: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with worker(valkey, postgres) as running:
        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        hangs = Redis(host="127.0.0.1", port=server.sockets[0].getsockname()[1], retry=Retry(NoBackoff(), 0))
        monkeypatch.setattr(switch_module, "READ_SECONDS", 60.0)  # a wait for it would be seen
        stopping = asyncio.create_task(kill(KillSwitch(hangs, postgres, file=None)))
        await until(lambda: state(running) == "stopped")
        assert not stopping.done()
        server.close()
        await hangs.aclose()
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


@pytest.mark.parametrize("value", ["{", "[]", '{"scope": "all"}', '"x"'])
async def test_what_is_no_entry_changes_nothing_and_the_switch_goes_on(valkey: Redis, postgres: AsyncEngine, value: str) -> None:
    async with worker(valkey, postgres) as switch:
        await valkey.hset(KEY, "all:", value)
        await until(lambda: "Valkey" in switch.away)
        await valkey.delete(KEY)
        await kill(KillSwitch(valkey, postgres, file=None))
        await until(lambda: state(switch) == "stopped")
        await until(lambda: "Valkey" not in switch.away)  # the stop may have come by Postgres


async def test_an_upgrade_keeps_what_was_stopped(valkey: Redis, postgres: AsyncEngine) -> None:
    """The version before kept stops in another hash, in Valkey alone."""
    entry = json.dumps({"by": "ann", "reason": "it does harm", "at": "2026-11-24T12:00:00+00:00"})
    await valkey.hset(EARLIER_KEY, mapping={"all": entry, "tenant:acme": entry})
    switch = KillSwitch(valkey, postgres, file=None)
    assert await carry_over(valkey, switch) == 2
    assert await carry_over(valkey, switch) == 0
    found = [(stop.scope, stop.name, stop.by, stop.reason) for stop in await switch.status()]
    assert found == [("all", "", "ann", "it does harm"), ("tenant", "acme", "ann", "it does harm")]


async def test_a_worker_writes_down_when_a_store_was_away(
    valkey: Redis, postgres: AsyncEngine, valkey_away: Redis, postgres_away: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Postgres when it is back: until then it stays in memory."""
    monkeypatch.setattr(outages_module, "SHORTEST", timedelta(0))
    async with postgres.begin() as connection:
        await connection.execute(delete(store_outages))
    kept = StoreOutages(postgres_away, "one")
    switch = KillSwitch(valkey_away, postgres_away, file=None, listeners=Listeners(on_store=kept.note))

    async def written() -> list[tuple[str, bool]]:
        await kept.write()
        async with postgres.connect() as connection:
            span = datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC)
            return [(one.store, one.over) for one in await outages(connection, *span)]

    await switch._refresh()
    await switch._read_postgres()
    with pytest.raises(SQLAlchemyError):
        await written()
    kept._engine, switch._postgres = postgres, PostgresStops(postgres)
    await switch._refresh()
    await switch._read_postgres()
    assert sorted(await written()) == [("Postgres", True), ("Valkey", False)]
    switch._valkey = ValkeyStops(valkey)
    await switch._refresh()
    assert sorted(await written()) == [("Postgres", True), ("Valkey", True)]
    assert (kept._over, kept._going_on) == ([], {})


async def test_one_late_read_of_a_store_is_no_outage(postgres: AsyncEngine) -> None:
    async with postgres.begin() as connection:
        await connection.execute(delete(store_outages))
    kept = StoreOutages(postgres, "one")
    kept.note("Valkey", True)
    kept.note("Valkey", False)
    await kept.write()
    async with postgres.connect() as connection:
        assert await outages(connection, datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC)) == []
    assert kept._over == []
