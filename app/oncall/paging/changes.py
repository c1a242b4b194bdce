"""The rows of a page in one transaction: locked, changed, acknowledged, resolved, with their events."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import NotFound
from app.oncall.incidents.store import led_by
from app.oncall.paging import outbox
from app.oncall.paging.tables import page_events, page_timers, pages

TRIGGERED, ACKNOWLEDGED, RESOLVED = "triggered", "acknowledged", "resolved"


async def now_of(connection: AsyncConnection) -> datetime:
    """Postgres' time."""
    now: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return now


async def locked(connection: AsyncConnection, page_id: uuid.UUID) -> Row[Any]:
    """Lock a page. Raises NotFound."""
    row = (await connection.execute(select(pages).where(pages.c.id == page_id).with_for_update())).one_or_none()
    if row is None:
        raise NotFound("No such page.")
    return row


async def links_of(connection: AsyncConnection, page_id: uuid.UUID) -> Mapping[str, str]:
    """The addresses of runbook, dashboard and source."""
    links: Mapping[str, str] | None = await connection.scalar(select(page_timers.c.links).where(page_timers.c.page_id == page_id))
    return links or {}


async def change(connection: AsyncConnection, page_id: uuid.UUID, **values: Any) -> Row[Any]:  # noqa: ANN401 - columns
    """Change a page's columns."""
    changed = update(pages).where(pages.c.id == page_id).values(values).returning(pages)
    row: Row[Any] = (await connection.execute(changed)).one()
    return row


async def set_timer(connection: AsyncConnection, page_id: uuid.UUID, due: datetime | None) -> None:
    """The time at which the page goes out again; None for not again."""
    await connection.execute(update(page_timers).where(page_timers.c.page_id == page_id).values(due_at=due))


async def add_event(connection: AsyncConnection, page_id: uuid.UUID, event: str, **detail: Any) -> None:  # noqa: ANN401 - JSON
    """Store an event."""
    values = {"page_id": page_id, "at": func.clock_timestamp(), "event": event, "detail": detail}
    await connection.execute(insert(page_events).values(values))


async def fingerprints(connection: AsyncConnection, page_id: uuid.UUID) -> set[str]:
    """The alerts that a page was about until now."""
    wanted = select(page_events.c.detail["fingerprints"]).where(page_events.c.page_id == page_id)
    return {one for found in (await connection.execute(wanted)).scalars() for one in found or ()}


async def acknowledge(
    connection: AsyncConnection, row: Row[Any], until: datetime, now: datetime, *, by: str, **detail: str
) -> Row[Any]:
    """Acknowledge a page that is not resolved. The first acknowledgement counts for the time to acknowledge.

    Its person leads the page's incident, where no person does.
    """
    changed = await change(
        connection, row.id, status=ACKNOWLEDGED, acknowledged_at=row.acknowledged_at or now, acknowledged_by=by,
        ack_expires_at=until,
    )  # fmt: skip
    await set_timer(connection, row.id, until)
    await add_event(connection, row.id, "acknowledged", by=by, until=until.isoformat(), **detail)
    if row.incident_id:
        await led_by(connection, row.incident_id, by, now)
    await outbox.follow_up(connection, changed, "acknowledge", await links_of(connection, row.id), by=by)
    return changed


async def resolve(connection: AsyncConnection, row: Row[Any], now: datetime, *, by: str, **detail: str) -> Row[Any]:
    """Resolve a page."""
    changed = await change(connection, row.id, status=RESOLVED, resolved_at=now)
    await set_timer(connection, row.id, None)
    await add_event(connection, row.id, "resolved", by=by, **detail)
    await outbox.follow_up(connection, changed, "resolve", await links_of(connection, row.id), by=by)
    return changed


async def release(connection: AsyncConnection, row: Row[Any], due: datetime, *, by: str, **detail: str) -> Row[Any]:
    """Take an acknowledgement back: the page goes out to the next level at ``due``."""
    changed = await change(connection, row.id, status=TRIGGERED, ack_expires_at=None)
    await set_timer(connection, row.id, due)
    await add_event(connection, row.id, "unacknowledged", by=by, **detail)
    return changed
