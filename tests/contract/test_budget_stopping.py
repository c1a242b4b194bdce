"""A worker that stops while its Valkey is frozen: what its calls cost is known, and must not be forgotten (C3)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest_asyncio
from money import identity, make_budget, opened, user_day
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.journal import Journal
from app.domain.money import MicroUSD
from app.settings import Settings
from app.stack.embedded import embedded_valkey
from app.stores import build_valkey


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Redis]:
    """The service's own client: it fails after a second and tries once."""
    with embedded_valkey(tmp_path / "valkey") as url:
        client = build_valkey(Settings(valkey_url=url))
        yield client
        await client.aclose()


async def test_a_worker_that_stops_while_valkey_is_frozen_leaves_the_prices_of_its_calls(
    own: Redis, engine: AsyncEngine, tmp_path: Path
) -> None:
    """One settlement was sent and runs late, one waits behind it, and one call never ended."""
    stopping, who = make_budget(own, engine, journal=Journal(tmp_path)), identity()
    await opened(stopping)
    await stopping.start()
    sent, waiting, _ = [await stopping.hold(who, MicroUSD(100), lease_id=uuid4().hex, seconds=10) for _ in range(3)]
    valkey = int((tmp_path / "valkey" / "valkey.pid").read_text())
    os.kill(valkey, signal.SIGSTOP)
    try:
        sent.spend(MicroUSD(10))
        stopping.settle(sent)
        await asyncio.sleep(0.2)  # it is on its way
        waiting.spend(MicroUSD(20))
        stopping.settle(waiting)
        await stopping.aclose(grace=0.2)
    finally:
        os.kill(valkey, signal.SIGCONT)
    newcomer = make_budget(own, engine, journal=Journal(tmp_path))
    await opened(newcomer)
    assert await user_day(newcomer, who) == (30, 100)
