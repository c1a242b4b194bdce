"""Maintenance windows: for their time, pages of matching alerts are recorded and not sent. Every window has an end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import InvalidRequest, NotFound
from app.oncall.paging.tables import maintenance_windows, page_timers

c = maintenance_windows.c


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The windows. ``longest``: seconds that one may last."""

    engine: AsyncEngine
    longest: float

    async def start(self, matchers: Mapping[str, str], seconds: float, *, by: str, reason: str) -> Row[Any]:
        """Open a window now. Raises InvalidRequest for one that lasts too long."""
        if not 0 < seconds <= self.longest:
            raise InvalidRequest(f"A maintenance window lasts {self.longest / 3600:g} hours at most, and more than nothing.")
        ends = func.now() + timedelta(seconds=seconds)
        values = {"matchers": dict(matchers), "begins_at": func.now(), "ends_at": ends, "by": by, "reason": reason}
        async with self.engine.begin() as connection:
            opened = insert(maintenance_windows).values(values).returning(maintenance_windows)
            row: Row[Any] = (await connection.execute(opened)).one()
        return row

    async def end(self, number: int) -> None:
        """End a window now; pages that it holds back go out, unless they are resolved. Raises NotFound."""
        async with self.engine.begin() as connection:
            is_open = select(c.ends_at).where(c.id == number, c.ends_at > func.now()).with_for_update()
            ends = (await connection.execute(is_open)).scalar_one_or_none()
            if ends is None:
                raise NotFound(f"No maintenance window {number} is open. `octant oncall maintenance list` shows them.")
            await connection.execute(update(maintenance_windows).where(c.id == number).values(ends_at=func.now()))
            held = update(page_timers).where(page_timers.c.due_at == ends)  # each waits for exactly this moment
            await connection.execute(held.values(due_at=func.now()))

    async def newest(self, *, limit: int = 20) -> list[Row[Any]]:
        """The newest windows, with ``open`` for those that last."""
        wanted = select(maintenance_windows, (c.ends_at > func.now()).label("open")).order_by(c.id.desc()).limit(limit)
        async with self.engine.connect() as connection:
            return list((await connection.execute(wanted)).all())


async def window_over(connection: AsyncConnection, labels: Mapping[str, str], now: datetime) -> datetime | None:
    """When the last open window over these labels ends; None where none is open."""
    is_open = select(c.matchers, c.ends_at).where(c.begins_at <= now, c.ends_at > now).order_by(c.ends_at.desc())
    for matchers, ends_at in (await connection.execute(is_open)).all():
        if matchers.items() <= labels.items():
            found: datetime = ends_at
            return found
    return None
