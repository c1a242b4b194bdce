"""On-call records on a real Postgres: deleted when they ended long ago, by the loop that drops partitions (P3, P4)."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from conftest import own_database
from paged import paging_engine, plant_page, plant_page_event
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.partitions import Keeper
from app.oncall.incidents.store import Incidents, RunbookChange
from app.oncall.incidents.tables import incidents
from app.oncall.paging.tables import maintenance_windows, page_deliveries, page_timers
from app.oncall.retention import forget
from app.oncall.rota.covers import FILE, Cover, Covers
from app.oncall.tables import store_outages

NOW = datetime.now(UTC)
OLD, RECENT = NOW - timedelta(days=401), NOW - timedelta(days=399)
NO_CHANGE = RunbookChange(None, "the page was right")


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "oncall_retention") as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[AsyncEngine]:
    async with paging_engine(own_url) as engine:
        yield engine


async def a_page(engine: AsyncEngine, at: datetime, **values: Any) -> UUID:  # noqa: ANN401 - the columns
    """A page with an event, a timer and a delivery."""
    page = await plant_page(engine, at, **values)
    await plant_page_event(engine, page, at, "triggered")
    about = {"page_id": page, "receiver": "webhook", "action": "trigger", "key": "k", "message": {}, "state": "sent", "tries": 1}
    async with engine.begin() as connection:
        await connection.execute(insert(page_timers).values(page_id=page, round=1, links={}))
        await connection.execute(insert(page_deliveries).values(id=page, created_at=at, due_at=at, **about))
    return page


async def an_incident(engine: AsyncEngine, title: str, closed: datetime | None) -> UUID:
    store = Incidents(engine, clean=str)
    one = await store.open(title, "sev3", by="ada", at=OLD - timedelta(days=1))
    if closed:
        await store.close(one, NO_CHANGE, by="ada")
        async with engine.begin() as connection:
            await connection.execute(update(incidents).where(incidents.c.id == one.id).values(closed_at=closed))
    return one.id


async def test_records_that_ended_long_ago_go_and_open_ones_stay(own: AsyncEngine, tmp_path: Path) -> None:
    gone, kept, running = [await an_incident(own, t, at) for t, at in (("gone", OLD), ("kept", RECENT), ("running", None))]
    resolved: dict[str, Any] = {"status": "resolved"}
    await a_page(own, OLD, **resolved, resolved_at=OLD, incident_id=gone)
    await a_page(own, OLD, **resolved, resolved_at=OLD)
    stay = {
        await a_page(own, OLD, **resolved, resolved_at=RECENT, incident_id=kept),
        await a_page(own, OLD, **resolved, resolved_at=OLD, incident_id=running),
        await a_page(own, OLD),
    }
    for ends in (OLD, RECENT):
        cover = Cover(instead_of="a", by="b", begins_at=OLD - timedelta(days=1), ends_at=ends, entered_by="ada")
        await Covers(own, file=tmp_path / FILE).add(cover)
        async with own.begin() as connection:
            window = {"matchers": {}, "begins_at": OLD, "ends_at": ends, "by": "ada", "reason": "upgrade"}
            await connection.execute(insert(maintenance_windows).values(window))
            away = {"store": "Valkey", "worker": "one", "began": ends, "seen": ends, "over": True}
            await connection.execute(insert(store_outages).values(away))
    await Keeper(own, keep_days=30, sweeps=(partial(forget, days=400),)).tend()
    async with own.connect() as connection:

        async def rows(column: str, table: str) -> set[Any]:
            return set((await connection.execute(text(f"SELECT {column} FROM {table}"))).scalars())  # noqa: S608 - ours

        assert await rows("id", "pages") == stay
        for table in ("page_events", "page_timers", "page_deliveries"):
            assert await rows("page_id", table) == stay, table
        assert await rows("title", "incidents") == {"kept", "running"}
        assert await rows("incident_id", "incident_events") == {kept, running}
        assert [await rows("ends_at", table) for table in ("covers", "maintenance_windows")] == [{RECENT}, {RECENT}]
        assert await rows("seen", "store_outages") == {RECENT}
