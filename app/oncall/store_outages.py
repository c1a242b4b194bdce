"""When a store was away, as each worker saw it: its kill switch reads both, twice a second or once (`app.oncall.switch`).

A worker keeps it in memory and writes it when Postgres answers, so an outage of Postgres itself is known afterwards. One of a
worker that ends before that is lost; the others saw it, too. The incident's timeline reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.periodic import Periodic
from app.oncall.tables import store_outages

WRITE_EVERY = 2.0
SHORTEST = timedelta(seconds=2)  # on a busy machine one read may be late
TOGETHER = timedelta(seconds=5)  # workers see it at moments of their own
MOST = 200  # outages that wait for Postgres


@dataclass(frozen=True, slots=True)
class Outage:
    """A store did not answer from ``began`` to ``seen``, the last time that it was read. ``over``: it answered then."""

    store: str
    began: datetime
    seen: datetime
    over: bool
    workers: frozenset[str] = frozenset()


class StoreOutages:
    """One worker's part. See the module."""

    def __init__(self, engine: AsyncEngine, worker: str) -> None:
        """``worker``: its name among the workers."""
        self._engine = engine
        self._worker = worker
        self._going_on: dict[str, Outage] = {}
        self._over: list[Outage] = []
        self._writing = Periodic("store outages", self.write, every=WRITE_EVERY, survives=(SQLAlchemyError, OSError))

    async def start(self) -> None:
        """Begin to write."""
        self._writing.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._writing.stop()

    def note(self, store: str, away: bool) -> None:  # noqa: FBT001 - a listener
        """Say of a store whether it was away when it was read. Never waits."""
        now = datetime.now(UTC)
        known = self._going_on.get(store)
        if away:
            self._going_on[store] = replace(known, seen=now) if known else Outage(store, now, now, over=False)
        elif known:
            del self._going_on[store]
            if len(self._over) < MOST:
                self._over.append(replace(known, seen=now, over=True))

    async def write(self) -> None:
        """Write what lasted. Raises SQLAlchemyError or OSError, and keeps it then."""
        over = list(self._over)
        rows = [one for one in (*over, *self._going_on.values()) if one.seen - one.began >= SHORTEST]
        if rows:
            put = postgresql.insert(store_outages)
            put = put.on_conflict_do_update(
                index_elements=["store", "worker", "began"], set_={name: put.excluded[name] for name in ("seen", "over")}
            )
            values = [{"store": o.store, "worker": self._worker, "began": o.began, "seen": o.seen, "over": o.over} for o in rows]
            async with self._engine.begin() as connection:
                await connection.execute(put, values)
        del self._over[: len(over)]


async def outages(connection: AsyncConnection, since: datetime, until: datetime) -> list[Outage]:
    """The outages that touch this time, in order; what several workers saw is one."""
    table = store_outages.c
    wanted = select(store_outages).where(table.began <= until, table.seen >= since).order_by(table.began)
    rows = await connection.execute(wanted)
    return merged(Outage(row.store, row.began, row.seen, row.over, frozenset([row.worker])) for row in rows)


def merged(found: Iterable[Outage]) -> list[Outage]:
    """Join what several workers saw of one outage. ``found`` is in order."""
    joined: list[Outage] = []
    for one in found:
        place = next((n for n in reversed(range(len(joined))) if joined[n].store == one.store), None)
        if place is None or one.began - joined[place].seen > TOGETHER:
            joined.append(one)
            continue
        known = joined[place]
        last = max(known, one, key=lambda outage: outage.seen)
        joined[place] = replace(known, seen=last.seen, over=last.over, workers=known.workers | one.workers)
    return joined
