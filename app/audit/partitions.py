"""A partition for each UTC day of records: made ahead, and dropped whole when it is too old (O8).

Dropping a table gives its disk back at once; deleting rows would leave it to a vacuum that rewrites everything.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.periodic import Periodic

EVERY, JITTER = 600.0, 0.1  # workers start together, and one of them at a time has the lock
AHEAD = 2
LOCK = 0x0C80
_DAY = re.compile(r"(?:calls|attempts)_(\d{8})\Z")

Sweep = Callable[[AsyncConnection], Awaitable[object]]

log = logging.getLogger(__name__)


async def ensure(connection: AsyncConnection, days: Iterable[date]) -> None:
    """Make the partitions of these days, where they are not there. In the connection's transaction."""
    for day in sorted(days):
        await connection.execute(text("SELECT records_partition(:day)"), {"day": day})


async def partitions(connection: AsyncConnection) -> dict[str, date]:
    """Every partition by name, with its day."""
    children = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY (ARRAY['calls', 'attempts']::regclass[])"
    names = (await connection.execute(text(children))).scalars()
    found = ((name, _DAY.match(name)) for name in names)
    return {name: datetime.strptime(m[1], "%Y%m%d").replace(tzinfo=UTC).date() for name, m in found if m}


class Keeper:
    """Makes partitions ahead of time and drops those that are too old; of all workers, one at a time."""

    def __init__(self, engine: AsyncEngine, *, keep_days: int, also: Sequence[str] = (), sweeps: Sequence[Sweep] = ()) -> None:
        """Records of today and of the ``keep_days`` before it stay. So do rows of ``also``: small tables with a time ``at``.

        ``sweeps`` delete what other rooms keep for a time of their own.
        """
        self._engine = engine
        self._keep = timedelta(days=keep_days)
        self._also = tuple(also)
        self._sweeps = tuple(sweeps)
        self._tending = Periodic(
            "partitions",
            self.tend,
            every=EVERY,
            jitter=JITTER,
            survives=(SQLAlchemyError, OSError),
            complaint="partitions not tended, will retry",
        )

    async def start(self) -> None:
        """Begin to tend."""
        self._tending.start()

    async def aclose(self) -> None:
        """Stop."""
        await self._tending.stop()

    async def tend(self, today: date | None = None) -> list[str]:
        """Tend once, unless another worker does. Returns the names of what was dropped. Raises what SQLAlchemy raises."""
        today = today or datetime.now(UTC).date()
        async with self._engine.begin() as connection:
            lock = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=LOCK)
            if not (await connection.execute(lock)).scalar_one():
                return []
            await ensure(connection, (today + timedelta(days=n) for n in range(AHEAD + 1)))
            first = datetime.combine(today - self._keep, datetime.min.time(), UTC)
            for name in self._also:
                whole = text(f'DELETE FROM "{name}" WHERE at < :first').bindparams(first=first)  # noqa: S608 - our own names
                await connection.execute(whole)
            for sweep in self._sweeps:
                await sweep(connection)
            old = sorted(name for name, day in (await partitions(connection)).items() if day < today - self._keep)
        for name in old:
            await self._drop(name)
        return old

    async def _drop(self, name: str) -> None:
        """Drop a partition. A drop waits for readers of the parent and makes later ones wait: so it gives up soon."""
        async with self._engine.begin() as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '1s'"))
            await connection.execute(text(f'DROP TABLE IF EXISTS "{name}"'))
        log.info("records dropped", extra={"partition": name})
