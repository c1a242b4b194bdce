"""A pooler that gives each transaction another session is refused at the start (psycopg/psycopg#280)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from commands import run
from one_session_pooler import one_session
from sqlalchemy import make_url, text

from app.domain.errors import Misconfigured
from app.settings import Settings
from app.stack.embedded import free_port
from app.stack.pooling import refuse_shared_sessions
from app.stores import build_engine


@pytest_asyncio.fixture
async def pooled_url(database_url: str) -> AsyncIterator[str]:
    true = make_url(database_url)
    host, port = true.host or str(true.query["host"]), int(true.port or true.query.get("port", 5432))  # type: ignore[arg-type]
    async with one_session(host, port, str(true.database)) as pooler:
        yield true.set(host="127.0.0.1", port=pooler, query={}).render_as_string(hide_password=False)


async def test_shared_sessions_are_refused_and_sessions_of_ones_own_are_not(pooled_url: str, database_url: str) -> None:
    with pytest.raises(Misconfigured, match="session mode"):
        await asyncio.to_thread(refuse_shared_sessions, Settings(database_url=pooled_url))
    await asyncio.to_thread(refuse_shared_sessions, Settings(database_url=database_url))


async def test_a_postgres_that_is_away_is_not_taken_for_a_pooler() -> None:
    await asyncio.to_thread(refuse_shared_sessions, Settings(database_url="postgresql+psycopg://octant@127.0.0.1:1/octant"))


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "stores"])
async def test_commands_name_the_pooler(stack_env: Mapping[str, str], pooled_url: str, command: str) -> None:
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")}
    ran = await asyncio.to_thread(run, {**stack_env, **ports, "OCTANT_DATABASE_URL": pooled_url}, command)
    assert ran.returncode != 0
    assert "gives each transaction another session" in ran.stdout + ran.stderr


async def test_a_command_prepares_no_statement_that_another_client_would_meet(pooled_url: str) -> None:
    """A rescue at 3 a.m. works whatever the pooler: only the service is refused."""
    engine = build_engine(Settings(database_url=pooled_url), pooled=False)
    for number in range(2):
        async with engine.begin() as connection:  # a rollback would end what was prepared
            for _ in range(8):
                assert (await connection.execute(text(f"SELECT {number} + :one"), {"one": 1})).scalar_one() == number + 1
    await engine.dispose()


async def test_nothing_is_prepared_once_a_connection_is_seen_in_another_session(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A pooler that is switched while the service runs: a prepared statement's name is that of another client's there."""
    engine = build_engine(Settings(database_url=database_url))

    async def connection() -> Any:  # noqa: ANN401 - SQLAlchemy names no type
        async with engine.connect() as pooled:
            return (await pooled.get_raw_connection()).driver_connection

    first = await connection()
    assert (await connection(), await connection(), first.prepare_threshold) == (first, first, 5)
    assert not caplog.text
    first.backend += 1  # as the next check would find it
    assert ((await connection()).prepare_threshold, first.prepare_threshold) == (None, None)
    assert "gives each transaction another session" in caplog.text
    await engine.dispose()
