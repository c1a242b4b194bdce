"""Every wait on a store ends (ADR 0007).

The store stops, freezes, vanishes or comes back.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import pytest_asyncio
from faulty_stores import Relay, frozen
from redis.exceptions import RedisError
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import stores
from app.cli.database import database
from app.domain.errors import Misconfigured
from app.settings import Settings
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from app.stores import build_engine, build_valkey

SOON = 30.0  # seconds; the limits add up to less than three, and the machine may be busy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="module")
def own_url(folder: Path) -> Iterator[str]:
    with embedded_postgres(folder) as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[AsyncEngine]:
    engine = build_engine(Settings(database_url=own_url))
    yield engine
    await engine.dispose()


async def one(engine: AsyncEngine, statement: str = "SELECT 1") -> object:
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).scalar_one()


async def outcome(engine: AsyncEngine, statement: str = "SELECT 1") -> str:
    try:
        return str(await one(engine, statement))
    except SQLAlchemyError as error:
        return type(error).__name__


async def until_answered(engine: AsyncEngine) -> None:
    async with asyncio.timeout(SOON * 2):
        while await outcome(engine) != "1":  # noqa: ASYNC110 - a store sends no event when it is back
            await asyncio.sleep(0.05)


async def test_on_a_frozen_postgres_every_wait_ends_and_once_it_goes_on_all_is_well(own: AsyncEngine, folder: Path) -> None:
    """More at once than the pool has: pooled connections, new ones, and calls that wait for one."""
    await asyncio.gather(*(one(own) for _ in range(8)))
    with frozen(folder / "postmaster.pid"):
        async with asyncio.timeout(SOON):
            assert "1" not in await asyncio.gather(*(outcome(own) for _ in range(40)))
        started = time.monotonic()
        for _ in range(50):
            assert await outcome(own) == "OperationalError"
        assert time.monotonic() - started < SOON / 2  # known to be away: refused at once, not 50 times after a wait
    await until_answered(own)
    assert set(await asyncio.gather(*(outcome(own) for _ in range(20)))) == {"1"}


@pytest.mark.parametrize("moment", ["statement", "commit", "copy"])
async def test_a_freeze_in_the_middle_of_a_transaction_ends_it(own: AsyncEngine, folder: Path, moment: str) -> None:
    async def work() -> None:
        async with own.begin() as connection:
            await connection.execute(text("CREATE TABLE IF NOT EXISTS t (x text)"))
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            inside.set()
            await freeze.wait()
            if moment == "statement":
                await connection.execute(text("SELECT 1"))
            if moment == "copy":
                async with raw.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                    for _ in range(200):
                        await copy.write_row(["x" * 100_000])

    inside, freeze = asyncio.Event(), asyncio.Event()
    working = asyncio.create_task(work())
    await inside.wait()
    with frozen(folder / "postmaster.pid"):
        freeze.set()
        async with asyncio.timeout(SOON):
            with pytest.raises((SQLAlchemyError, psycopg.Error)):
                await working
    await until_answered(own)


async def test_who_gives_up_on_a_frozen_postgres_is_free_at_once(own: AsyncEngine, folder: Path) -> None:
    """Cancelling does not wait for the server: neither for its answer nor for a rollback."""
    await one(own)
    with frozen(folder / "postmaster.pid"):
        asking = asyncio.create_task(one(own))
        await asyncio.sleep(0.2)
        asking.cancel()
        async with asyncio.timeout(2.0):
            with pytest.raises((asyncio.CancelledError, SQLAlchemyError)):
                await asking
    await until_answered(own)


async def test_a_long_statement_and_a_lock_are_not_taken_for_an_outage(own: AsyncEngine) -> None:
    """Silence alone says nothing: a new connection is answered meanwhile."""
    slow = asyncio.create_task(outcome(own, "SELECT 7 FROM pg_sleep(3)"))
    await asyncio.sleep(2.5)
    assert await outcome(own) == "1"
    assert await slow == "7"


async def test_a_connection_that_is_dropped_without_a_word_costs_no_statement(own_url: str) -> None:
    """A firewall forgets us: the idle connections lead nowhere, a new one works."""
    host = parse_qs(urlsplit(own_url).query)["host"][0]
    (path,) = Path(host).glob(".s.PGSQL.*[0-9]")
    async with Relay().running(path=str(path)) as relay:
        url = make_url(own_url).set(host="127.0.0.1", port=relay.url_port, query={})
        engine = build_engine(Settings(database_url=url.render_as_string(hide_password=False)))
        await asyncio.gather(*(one(engine) for _ in range(4)))
        relay.drop_all()
        async with asyncio.timeout(SOON):
            assert set(await asyncio.gather(*(outcome(engine) for _ in range(4)))) == {"1"}
        relay.stall()
        async with asyncio.timeout(SOON):
            assert "1" not in await asyncio.gather(*(outcome(engine) for _ in range(20)))
        relay.flow()
        await until_answered(engine)
        await engine.dispose()


async def test_a_postgres_that_takes_no_writes_is_away_and_not_a_defect(own: AsyncEngine) -> None:
    """A demoted primary: the error is the one of an outage, and the connection is not used again."""
    async with own.connect() as connection:
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(OperationalError):
            await connection.execute(text("CREATE TABLE never (x int)"))
        assert connection.invalidated


@pytest.mark.parametrize("limit", ["idle_in_transaction_session_timeout", "transaction_timeout"])
async def test_a_session_that_the_server_ends_is_an_outage_and_not_a_defect(own: AsyncEngine, limit: str) -> None:
    """Hosts set such limits for everyone; psycopg counts these errors as the client's own."""
    async with own.connect() as connection:
        await connection.execute(text(f"SET LOCAL {limit} = '50ms'"))
        await asyncio.sleep(0.5)
        with pytest.raises(OperationalError):
            await connection.execute(text("SELECT 1"))
        assert connection.invalidated
    assert await outcome(own) == "1"


@pytest.mark.parametrize(
    ("left", "refused"),
    [
        ("SET search_path = ''", "SELECT 1 FROM only_here"),
        ("SET search_path = ''", "CREATE TABLE other (x int)"),
        ("PREPARE p AS SELECT 1", "PREPARE p AS SELECT 1"),
    ],
)
async def test_a_session_with_what_another_client_left_is_not_used_again(own: AsyncEngine, left: str, refused: str) -> None:
    """A pooler that does not clean its sessions: pg_dump leaves such a search_path (pgbouncer/pgbouncer#452)."""
    await outcome(own, "CREATE TABLE IF NOT EXISTS only_here (x int)")
    async with own.connect() as connection:
        await connection.execute(text(left))
        with pytest.raises(OperationalError):
            await connection.execute(text(refused))
        assert connection.invalidated
    assert await outcome(own) == "1"


async def test_a_command_on_a_database_without_tables_says_to_migrate(own_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_DATABASE_URL", own_url)
    monkeypatch.setenv("OCTANT_VALKEY_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(Misconfigured, match="run `octant migrate`"):
        async with database() as (engine, _):
            await one(engine, "SELECT id FROM api_keys")


async def test_a_role_that_lost_a_right_is_an_outage_and_not_a_defect(own: AsyncEngine) -> None:
    async with own.connect() as connection:
        for statement in ("CREATE ROLE stranger", "CREATE TABLE ours (x int)", "SET LOCAL ROLE stranger"):
            await connection.execute(text(statement))
        with pytest.raises(OperationalError, match="permission denied for table ours"):
            await connection.execute(text("SELECT x FROM ours"))


async def test_a_locked_table_takes_up_no_connection_for_long_and_the_error_says_why(own: AsyncEngine, own_url: str) -> None:
    """A migration, an index that is built, a forgotten session: requests for other tables need the pool."""
    with psycopg.connect(own_url.replace("+psycopg", "")) as other:
        other.execute("CREATE TABLE held (x int)")
        other.commit()
        other.execute("LOCK TABLE held")
        with pytest.raises(OperationalError, match="lock timeout"):
            await one(own, "SELECT count(*) FROM held")
        other.rollback()
    assert await outcome(own, "SELECT count(*) FROM held") == "0"


async def test_after_a_restart_of_valkey_no_pooled_connection_costs_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "VALKEY_TIMEOUT", 60.0)  # in one second a busy machine may not open forty connections
    port = free_port()
    client = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{port}/0"))
    with embedded_valkey(tmp_path, port=port):
        assert set(await asyncio.gather(*(client.ping() for _ in range(40)))) == {True}
    with embedded_valkey(tmp_path, port=port):
        for _ in range(4):
            assert set(await asyncio.gather(*(client.ping() for _ in range(40)))) == {True}
    await client.aclose()


async def test_valkey_connections_dropped_in_silence_cost_one_timeout_together(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were opened before the first failure are not trusted after it."""
    monkeypatch.setattr(stores, "VALKEY_TIMEOUT", 8.0)  # in one second a busy machine may not open forty connections

    async def ping() -> str:
        try:
            return str(await client.ping())
        except RedisError as error:
            return type(error).__name__

    async with Relay().running(port=make_url(valkey_url).port or 0) as relay:
        client = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{relay.url_port}/0"))
        await asyncio.gather(*(ping() for _ in range(20)))
        relay.drop_all()
        assert await ping() == "TimeoutError"
        assert Counter(await asyncio.gather(*(ping() for _ in range(40)))) == {"True": 40}
        await client.aclose()


@pytest.mark.parametrize("default", ["DateStyle = 'German'", "client_encoding = 'LATIN1'", "TimeZone = 'America/St_Johns'"])
async def test_defaults_of_the_database_change_nothing_here(own_url: str, default: str) -> None:
    """Psycopg reads timestamps in ISO's form alone: with any other, each call would end in a 500."""
    with psycopg.connect(own_url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"ALTER DATABASE octant SET {default}")
        try:
            engine = build_engine(Settings(database_url=own_url))
            at = await one(engine, "SELECT timestamptz '2026-03-29 01:30:00+00'")
            assert str(at) == "2026-03-29 01:30:00+00:00"
            assert await one(engine, "SELECT 'Größe 日本'") == "Größe 日本"
            await engine.dispose()
        finally:
            server.execute(f"ALTER DATABASE octant RESET {default.partition(' ')[0]}")


@pytest.mark.parametrize("options", ["ssl_cert_reqs=none", "foo=1", "socket_timeout=soon"])
def test_an_option_that_the_client_lacks_is_said_and_its_secret_is_not(options: str) -> None:
    """`ssl_cert_reqs` fits rediss:// alone: a TypeError at the first command before (redis/redis-py#3217)."""
    with pytest.raises(Misconfigured, match="OCTANT_VALKEY_URL: what follows its `\\?`") as refused:
        build_valkey(Settings(valkey_url=f"redis://:hidden@127.0.0.1:1/0?{options}"))
    assert options.partition("=")[0] in str(refused.value)
    assert "hidden" not in str(refused.value)
