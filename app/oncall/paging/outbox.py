"""Rows of deliveries, written in the transaction that changes a page: what is to be sent, and what is not any more."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.oncall.paging.message import ACKNOWLEDGES, Action, Message
from app.oncall.paging.tables import page_deliveries, pages

WAITING, SENT, CANCELLED = "waiting", "sent", "cancelled"
c = page_deliveries.c


async def trigger(
    connection: AsyncConnection, page: Row[Any], receivers: Collection[str], key: str, links: Mapping[str, str]
) -> int:
    """Have a round of a page sent; earlier rounds that still wait are not sent any more. Returns how many are new."""
    await cancel(connection, page.id, "trigger", but=key)
    message = _message(page, "trigger", links)
    return await _put(connection, [_row(page.id, name, "trigger", key, message) for name in receivers])


async def already_sent(
    connection: AsyncConnection, page: Row[Any], receivers: Collection[str], key: str, links: Mapping[str, str]
) -> None:
    """Note what was sent while Postgres was away."""
    message = _message(page, "trigger", links)
    rows = [_row(page.id, name, "trigger", key, message) for name in receivers]
    await _put(connection, [row | {"state": SENT, "tries": 1, "sent_at": func.now()} for row in rows])


async def follow_up(connection: AsyncConnection, page: Row[Any], action: Action, links: Mapping[str, str], *, by: str) -> None:
    """Tell the receivers that have the page, or may have it, that it is acknowledged or resolved; cancel what still waits."""
    await cancel(connection, page.id, "trigger")
    if action == "resolve":
        await cancel(connection, page.id, "acknowledge")
    tried = select(c.receiver, c.key).where(c.page_id == page.id, c.action == "trigger", or_(c.state == SENT, c.tries > 0))
    message = _message(page, action, links, by=by)
    await _put(
        connection,
        [
            _row(page.id, row.receiver, action, row.key, message)
            for row in (await connection.execute(tried.distinct())).all()
            if action == "resolve" or row.receiver in ACKNOWLEDGES
        ],
    )


async def cancel(connection: AsyncConnection, page_id: uuid.UUID, action: Action, *, but: str = "") -> None:
    """Cancel what waits, except for the round with the key ``but``."""
    waiting = update(page_deliveries).where(c.page_id == page_id, c.action == action, c.state == WAITING, c.key != but)
    await connection.execute(waiting.values(state=CANCELLED))


async def forget_endings(connection: AsyncConnection, dedup_key: str) -> None:
    """Cancel what still has to end earlier pages of this key: the receivers' keys are the same, so it would end the new one."""
    same = select(pages.c.id).where(pages.c.dedup_key == dedup_key).scalar_subquery()
    waiting = update(page_deliveries).where(c.page_id.in_(same), c.action != "trigger", c.state == WAITING)
    await connection.execute(waiting.values(state=CANCELLED))


async def _put(connection: AsyncConnection, rows: list[dict[str, Any]]) -> int:
    if not rows:
        return 0
    put = postgresql.insert(page_deliveries).on_conflict_do_nothing(constraint="page_deliveries_once")
    return len((await connection.execute(put.values(rows).returning(c.id))).all())


def _row(page_id: uuid.UUID, receiver: str, action: Action, key: str, message: Message) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "page_id": page_id,
        "receiver": receiver,
        "action": action,
        "key": key,
        "message": message.as_json(),
        "state": WAITING,
        "tries": 0,
        "created_at": func.now(),
        "due_at": func.now(),
    }


def _message(page: Row[Any], action: Action, links: Mapping[str, str], *, by: str = "") -> Message:
    return Message(
        page=str(page.id),
        action=action,
        alert=page.alert,
        severity=page.severity,
        summary=page.summary,
        triggered_at=page.triggered_at.isoformat(),
        labels=page.labels,
        links=dict(links),
        level=page.level,
        person=page.person or "",
        by=by,
        test=page.test,
    )
