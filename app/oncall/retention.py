"""Deletes on-call records that are older than they are kept: pages, incidents, covers, maintenance, hand-overs, stores' outages.

A page or an incident that is still open stays, however old, and so do the pages of an open incident. Each round deletes some, so
that a long history does not hold its locks for long.
"""

from datetime import timedelta

from sqlalchemy import Delete, Select, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.oncall.incidents.tables import handoffs, incident_events, incidents
from app.oncall.paging.tables import maintenance_windows, page_deliveries, page_events, page_timers, pages
from app.oncall.rota.tables import covers
from app.oncall.tables import store_outages

BATCH = 1000


async def forget(connection: AsyncConnection, *, days: int) -> tuple[int, int]:
    """Delete what ended more than ``days`` ago. Returns how many pages and incidents went. In the connection's transaction."""
    before = func.now() - timedelta(days=days)
    open_incidents = select(incidents.c.id).where(incidents.c.status == "open")
    done = (
        select(pages.c.id)
        .where(
            pages.c.status == "resolved",
            pages.c.resolved_at < before,
            or_(pages.c.incident_id.is_(None), pages.c.incident_id.not_in(open_incidents)),
        )
        .order_by(pages.c.resolved_at)
        .limit(BATCH)
    )
    old_pages = await _ids(connection, done)
    for table in (page_events, page_timers, page_deliveries):
        await connection.execute(delete(table).where(table.c.page_id.in_(old_pages)))
    await connection.execute(delete(pages).where(pages.c.id.in_(old_pages)))
    with_pages = select(pages.c.incident_id).where(pages.c.incident_id.is_not(None))
    closed = (
        select(incidents.c.id)
        .where(incidents.c.status == "closed", incidents.c.closed_at < before, incidents.c.id.not_in(with_pages))
        .limit(BATCH)
    )
    old_incidents = await _ids(connection, closed)
    await connection.execute(delete(incident_events).where(incident_events.c.incident_id.in_(old_incidents)))
    await connection.execute(delete(incidents).where(incidents.c.id.in_(old_incidents)))
    ended: tuple[Delete, ...] = (
        delete(covers).where(covers.c.ends_at < before),
        delete(maintenance_windows).where(maintenance_windows.c.ends_at < before),
        delete(handoffs).where(handoffs.c.sent_at < before),
        delete(store_outages).where(store_outages.c.seen < before),
    )
    for statement in ended:
        await connection.execute(statement)
    return len(old_pages), len(old_incidents)


async def _ids(connection: AsyncConnection, wanted: "Select[tuple[object]]") -> list[object]:
    return list((await connection.execute(wanted)).scalars())
