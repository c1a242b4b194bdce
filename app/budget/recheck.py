"""Recheck a tenant's alerts after its caps changed (C5).

While calls settle, the script that counts money notes which share of a cap is reached. If a cap is lowered below the amount
already spent, every call is refused and nothing settles, so no note would ever come. So each change of caps checks once.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, null, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.budget.alert_words import LOWERED
from app.budget.caps import UserCaps
from app.budget.scopes import ANONYMOUS, Scope, scopes_of, windows_of
from app.budget.tables import alerts, ledger
from app.domain.calls import Identity, Tenant

LONGEST_WINDOW = timedelta(days=34)
ONCE = ("scope", "tenant", "subject", "window", "share", "limit")

Alert = dict[str, Any]


async def recheck(engine: AsyncEngine, tenant: Tenant, caps: UserCaps, shares: Sequence[int], now: datetime) -> int:
    """End alerts on the tenant's old caps; alert on each cap with a share spent. Returns how many.

    An unchanged alert is not sent again. ``shares`` in percent. The spent amounts come from the ledger.
    """
    async with engine.begin() as connection:
        mine = alerts.c.tenant == tenant.id, alerts.c.resolved_at.is_(None)
        await connection.execute(update(alerts).where(*mine).values(ends_at=now, due_at=now))
        found = await _reached(connection, tenant, caps, shares, now)
        for alert in found:
            await connection.execute(_standing(alert))
    return len(found)


async def _reached(
    connection: AsyncConnection, tenant: Tenant, caps: UserCaps, shares: Sequence[int], now: datetime
) -> list[Alert]:
    windows, c = windows_of(tenant.time_zone, now), ledger.c
    day = func.coalesce(func.sum(c.amount).filter(c.day == windows.day), 0).label("day")
    month = func.coalesce(func.sum(c.amount).filter(c.month == windows.month), 0).label("month")
    running = or_(c.day == windows.day, c.month == windows.month)
    wanted = select(c.user, day, month).where(c.tenant == tenant.id, c.at >= now - LONGEST_WINDOW, running).group_by(c.user)
    rows = (await connection.execute(wanted)).all()
    whole = sum(int(row.day) for row in rows), sum(int(row.month) for row in rows)
    found = list(_alerts(tenant.id, "", scopes_of(tenant, "", now, (None, None))[:2], whole, shares))
    for row in rows:
        own = caps.of(Identity(tenant=tenant, key_id="", user=row.user))
        scopes, spent = scopes_of(tenant, row.user, now, own)[2:], (int(row.day), int(row.month))
        found += _alerts(tenant.id, row.user or ANONYMOUS, scopes, spent, shares)
    return found


def _alerts(tenant: str, subject: str, scopes: Sequence[Scope], spent: Sequence[int], shares: Sequence[int]) -> Iterator[Alert]:
    """For each scope the highest share of its limit that is spent. A limit of zero is used up by the first micro-dollar."""
    for scope, amount in zip(scopes, spent, strict=True):
        limit = scope.limit
        if limit is None or amount <= 0:
            continue
        reached = max((share for share in shares if amount * 100 >= limit * share), default=None)
        if reached is not None:
            yield {
                "scope": scope.name,
                "tenant": tenant,
                "subject": subject,
                "window": scope.window,
                "share": reached,
                "limit": limit,
                "spent": amount,
                "note": LOWERED if amount > limit else "",
                "ends_at": scope.resets_at,
            }


def _standing(alert: Alert) -> Any:  # noqa: ANN401 - an insert with its conflict
    """Insert the alert, or keep the existing one; a resolved one is sent again."""
    sent = case((alerts.c.resolved_at.is_(None), alerts.c.told_at), else_=null())
    again = {"told_at": sent, "resolved_at": None, "tries": 0, "due_at": func.now()}
    kept = {
        "ends_at": alert["ends_at"],
        "spent": alert["spent"],
        "note": case((alerts.c.spent <= alert["limit"], alert["note"]), else_=alerts.c.note),
    }
    return postgresql.insert(alerts).values(alert).on_conflict_do_update(index_elements=ONCE, set_={**kept, **again})
