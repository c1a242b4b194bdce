"""Pages as the paging room stores them, planted by tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.oncall.paging.tables import metadata, page_events, pages


@asynccontextmanager
async def paging_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database that has the tables of pages."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


async def plant_page(engine: AsyncEngine, at: datetime, **values: Any) -> UUID:  # noqa: ANN401 - the columns
    """A page with its values, a triggered one by default."""
    page = {
        "id": uuid4(), "dedup_key": f"OctantBreakerOpen/{uuid4()}", "alert": "OctantBreakerOpen", "severity": "page",
        "labels": {}, "summary": "circuits are open", "status": "triggered", "triggered_at": at, "level": 1, "test": False,
        **values,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(pages).values(page))
    return UUID(str(page["id"]))


async def plant_page_event(engine: AsyncEngine, page: UUID, at: datetime, event: str, **detail: Any) -> None:  # noqa: ANN401 - any JSON
    """An event of a page."""
    async with engine.begin() as connection:
        await connection.execute(insert(page_events).values(page_id=page, at=at, event=event, detail=detail))
