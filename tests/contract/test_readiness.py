"""`/readyz` says whether calls work: with its checks on real stores."""

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from conftest import own_database
from lying_valkey import ERRORS, LyingValkey
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.domain.errors import DependencyUnavailable
from app.edge.parts import Check
from app.oncall.switch import KillSwitch
from app.settings import Settings
from app.stack.embedded import embedded_valkey
from app.stores import build_valkey
from app.wiring.watching import health_checks

AWAY = "postgresql+psycopg://absent@127.0.0.1:1/none"
OTHER = MagicMock()  # parts that the checks of this file do not look at


@pytest_asyncio.fixture
async def empty_valkey() -> AsyncIterator[Redis]:
    with embedded_valkey(None) as url:
        client = build_valkey(Settings(valkey_url=url))
        yield client
        await client.aclose()


def checks_of(engine: AsyncEngine, valkey: Redis, switch: KillSwitch) -> dict[str, Check]:
    return health_checks(engine, engine, valkey, OTHER, OTHER, OTHER, switch)


async def test_a_worker_that_has_read_no_stops_yet_is_not_ready(empty_valkey: Redis, engine: AsyncEngine) -> None:
    """An empty Valkey knows nothing, and Postgres was away at the start: every call is refused."""
    away = create_async_engine(AWAY, poolclass=NullPool)
    switch = KillSwitch(empty_valkey, away, file=None)
    await switch.start()
    with pytest.raises(DependencyUnavailable):
        switch.check(tenant="acme")
    assert await checks_of(away, empty_valkey, switch)["stops"]() == "failing"
    await switch.aclose()
    switch = KillSwitch(empty_valkey, engine, file=None)
    await switch.start()
    assert await checks_of(engine, empty_valkey, switch)["stops"]() == "ok"
    await switch.aclose()


async def test_a_postgres_that_takes_no_writes_degrades_and_says_so_once(
    empty_valkey: Redis, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby, or a primary that was demoted: each look-up works."""
    with own_database(database_url, "readonly") as url:
        engine = create_async_engine(url, poolclass=NullPool)
        check = checks_of(engine, empty_valkey, KillSwitch(empty_valkey, file=None))["postgres"]
        assert await check() == "ok"
        for word, found in (("on", "degraded"), ("off", "ok"), ("on", "degraded")):
            async with engine.begin() as connection:
                await connection.execute(text("SET transaction_read_only = off"))
                await connection.execute(text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = {word}"))
            caplog.clear()
            assert [await check(), await check()] == [found, found]
            assert [r.message.split(":")[0] for r in caplog.records] == ["Postgres takes no writes"] * (word == "on")
        await engine.dispose()


async def test_a_postgres_that_takes_no_new_connection_degrades_and_says_why(
    empty_valkey: Redis, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The pool's connections are still good, and would hide it."""
    with own_database(database_url, "crowded") as url:
        pooled = create_async_engine(url)
        async with pooled.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0"))
            crowded = create_async_engine(pooled.url.set(username="crowded"), poolclass=NullPool)
            switch = KillSwitch(empty_valkey, file=None)
            check = health_checks(pooled, crowded, empty_valkey, OTHER, OTHER, OTHER, switch)["postgres"]
            assert [await check(), await check()] == ["degraded", "degraded"]
            assert [r.message.partition(":")[0] for r in caplog.records] == ["Postgres takes no new connection"]
            assert "too many connections" in caplog.records[0].__dict__["reason"]
            await connection.execute(text("ALTER ROLE crowded CONNECTION LIMIT 5"))
            assert await check() == "ok"
            await connection.execute(text("DROP ROLE crowded"))
        await pooled.dispose()


@pytest.mark.parametrize(("policy", "limit", "found"), [
    ("allkeys-lru", "1gb", "degraded"),
    ("volatile-lru", "1gb", "degraded"),  # the default of hosted ones
    ("volatile-lru", "0", "ok"),
    ("noeviction", "1gb", "ok"),
])  # fmt: skip
async def test_a_valkey_that_may_drop_counters_degrades(
    empty_valkey: Redis, engine: AsyncEngine, policy: str, limit: str, found: str
) -> None:
    await empty_valkey.config_set("maxmemory-policy", policy)
    await empty_valkey.config_set("maxmemory", limit)
    check = checks_of(engine, empty_valkey, KillSwitch(empty_valkey, file=None))["valkey"]
    assert await check() == found
    await empty_valkey.acl_setuser("default", categories=["-@dangerous"])  # it may not ask
    assert await asyncio.wait_for(check(), 10.0) == "ok"


@pytest.mark.parametrize("refusal", ["ERR", "NOPERM"])
async def test_a_valkey_that_knows_no_info_is_ready(valkey_url: str, engine: AsyncEngine, refusal: str) -> None:
    """`rename-command INFO ""` in redis.conf, or a proxy that relays a part of the commands."""
    async with LyingValkey().running(urlsplit(valkey_url).port or 6379) as proxy:
        proxy.lie = lambda name: ERRORS[refusal] if name == "INFO" else None
        client = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{proxy.port}/0"))
        check = checks_of(engine, client, KillSwitch(client, file=None))["valkey"]
        assert await asyncio.wait_for(check(), 10.0) == "ok"
        await client.aclose()
