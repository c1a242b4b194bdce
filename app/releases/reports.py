"""Each worker's report of what it serves: a row in Postgres, written at every look for a new release.

The pointer to the live release is in Postgres too, so an operator who can change it can see which workers have followed.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.releases.tables import worker_reports

PRESENT = timedelta(seconds=10)
MISSED, RECENT = timedelta(seconds=6), timedelta(minutes=10)  # three looks in a row; a death that an operator still cares for
FORGOTTEN = timedelta(hours=1)
LONGEST_REASON = 2_000
# Run every two seconds: built once.
_NEW = insert(worker_reports)
_PUT = _NEW.values(at=func.now()).on_conflict_do_update(
    index_elements=[worker_reports.c.worker],
    set_={"at": func.now(), **{name: _NEW.excluded[name] for name in ("release", "refused", "reason", "code")}},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one worker serves. ``refused``: the live release that it cannot load, for ``reason``; empty if there is none.

    ``code``: the version of the code that it runs; empty for code from before such reports.
    """

    worker: str
    release: str
    refused: str = ""
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """A worker that reports no more and did not say that it stops: it hangs, or was killed. ``seconds`` since its last report."""

    worker: str
    seconds: float


def worker_name() -> str:
    """The name of this process in its reports. Call it after the fork."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def write(engine: AsyncEngine, report: Report) -> None:
    """Put a worker's report, by Postgres' clock. Raises SQLAlchemyError or OSError."""
    values = {**asdict(report), "reason": report.reason[:LONGEST_REASON]}
    async with engine.begin() as connection:
        await connection.execute(_PUT, values)


async def withdraw(engine: AsyncEngine, worker: str) -> None:
    """Remove a worker that stops, and those that died long ago. Raises SQLAlchemyError or OSError."""
    gone = (worker_reports.c.worker == worker) | (worker_reports.c.at < func.now() - FORGOTTEN)
    async with engine.begin() as connection:
        await connection.execute(delete(worker_reports).where(gone))


async def read(engine: AsyncEngine) -> Sequence[Report]:
    """The reports of the workers that are there, by name. Raises SQLAlchemyError or OSError."""
    names = ("worker", "release", "refused", "reason", "code")
    columns = [worker_reports.c[name] for name in names]
    statement = select(*columns).where(worker_reports.c.at > func.now() - PRESENT).order_by(worker_reports.c.worker)
    async with engine.connect() as connection:
        return [Report(**row) for row in (await connection.execute(statement)).mappings()]


async def silent(engine: AsyncEngine) -> Sequence[Silent]:
    """The workers that fell silent lately, the newest silence first. Raises SQLAlchemyError or OSError."""
    seconds = func.extract("epoch", func.now() - worker_reports.c.at)
    lately = worker_reports.c.at.between(func.now() - RECENT, func.now() - MISSED)
    async with engine.connect() as connection:
        found = await connection.execute(select(worker_reports.c.worker, seconds).where(lately).order_by(seconds))
        return [Silent(worker, float(passed)) for worker, passed in found]
