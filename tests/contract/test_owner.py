"""Two deployments on one Valkey: the second one is refused (C1, C3)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from conftest import own_database
from redis.asyncio import Redis
from sentinels import running_sentinel
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import Action, ActionLog
from app.domain.errors import Misconfigured
from app.settings import Settings
from app.stack.embedded import embedded_valkey, free_port
from app.stores import build_engine, build_valkey
from app.wiring import _open_budget
from app.wiring.owner import KEY, require_own


@pytest_asyncio.fixture
async def own() -> AsyncIterator[Redis]:
    with embedded_valkey(None) as url:
        client = build_valkey(Settings(valkey_url=url))
        yield client
        await client.aclose()


async def acted(engine: AsyncEngine, folder: Path) -> None:
    log = ActionLog(engine, secret=b"a secret for tests", notes=folder / "notes")
    await log.append(Action(actor="ada", action="tenant create", subject="acme", reason="", outcome="ok"))


async def test_the_counters_of_another_database_are_refused(own: Redis, engine: AsyncEngine, tmp_path: Path) -> None:
    await acted(engine, tmp_path)
    for _ in range(2):
        await require_own(engine, own)
    await acted(engine, tmp_path)
    await require_own(engine, own)
    await own.set(KEY, "of another one")
    with pytest.raises(Misconfigured, match="counters there are those of another database"):
        await require_own(engine, own)
    await own.flushdb()
    await require_own(engine, own)


async def test_a_new_database_is_refused_at_once_and_not_when_a_worker_is_replaced(own: Redis, database_url: str) -> None:
    with own_database(database_url, "no_actions") as url:
        new = build_engine(Settings(database_url=url), pooled=False)
        await require_own(new, own)
        assert await own.get(KEY) is None
        await own.set(KEY, "of another one")
        with pytest.raises(Misconfigured, match="counters there are those of another database"):
            await require_own(new, own)
        await new.dispose()


async def test_a_worker_checks_it_before_it_counts(own: Redis, engine: AsyncEngine, tmp_path: Path) -> None:
    await acted(engine, tmp_path)
    await own.set(KEY, "of another one")
    absent: Any = None
    with pytest.raises(Misconfigured):
        await _open_budget(AsyncExitStack(), Settings(), engine, own, absent, absent, absent)


async def test_a_store_that_is_away_is_no_other_deployment(own: Redis, engine: AsyncEngine) -> None:
    no_valkey = build_valkey(Settings(valkey_url=f"redis://127.0.0.1:{free_port()}/0"))
    no_postgres = build_engine(Settings(database_url=f"postgresql+psycopg://x@127.0.0.1:{free_port()}/x"), pooled=False)
    await require_own(engine, no_valkey)
    await require_own(no_postgres, own)
    assert await own.get(KEY) is None
    await no_valkey.aclose()
    await no_postgres.dispose()


async def test_a_sentinel_is_refused_with_the_address_to_give(engine: AsyncEngine, tmp_path: Path) -> None:
    """It answers pings, so the service would start and wait for ever."""
    with running_sentinel(tmp_path) as url:
        sentinel = build_valkey(Settings(valkey_url=url))
        with pytest.raises(Misconfigured, match="is a Sentinel, which keeps no data: give the address of the primary"):
            await require_own(engine, sentinel)
        await sentinel.aclose()
