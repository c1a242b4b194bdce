"""Records leave the request at once and reach Postgres in batches (O1, O7).

`record` redacts, puts into a bounded queue and returns: it never waits and never raises. One task writes batches by COPY,
and keeps trying while Postgres is away. A full queue drops the newest and says so through ``on_drop``.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from psycopg.errors import Error as PostgresError
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import attempts, calls
from app.domain.calls import Attempt, Usage
from app.domain.records import CallRecord
from app.security.redaction import Redactor

RETRY_FIRST, RETRY_MOST = 0.2, 5.0
log = logging.getLogger(__name__)


class Recorder:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        redactor: Redactor,
        *,
        on_drop: Callable[[], None],
        on_depth: Callable[[int], None] = lambda _: None,
        capacity: int = 10_000,
        batch: int = 200,
        interval: float = 0.2,
    ) -> None:
        """At most ``batch`` records are written at a time, at least every ``interval`` seconds."""
        self._engine = engine
        self._redactor = redactor
        self._on_drop = on_drop
        self._on_depth = on_depth
        self._batch = batch
        self._interval = interval
        self._queue: asyncio.Queue[CallRecord] = asyncio.Queue(capacity)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_forever())

    async def aclose(self, grace: float = 5.0) -> None:
        """Write what is queued, for ``grace`` seconds at most; what is left then is counted as dropped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._queue.join()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _ in range(self._queue.qsize()):
            self._on_drop()

    def record(self, record: CallRecord) -> None:
        """Take a record over, redacted."""
        try:
            self._queue.put_nowait(self._redacted(record))
        except asyncio.QueueFull:
            self._on_drop()
        self._on_depth(self._queue.qsize())

    async def flush(self) -> None:
        """Wait until everything taken over so far is written."""
        await self._queue.join()

    def _redacted(self, record: CallRecord) -> CallRecord:
        def clean(text: str) -> str:
            return self._redactor.redact(text, tenant=record.tenant)

        return replace(
            record,
            user=clean(record.user),
            request=clean(record.request),
            response=clean(record.response),
            error=clean(record.error) if record.error else None,
            attempts=tuple(replace(a, error=clean(a.error)) if a.error else a for a in record.attempts),
        )

    async def _write_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            await asyncio.sleep(self._interval)
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._write_until_done(batch)
            for _ in batch:
                self._queue.task_done()
            self._on_depth(self._queue.qsize())

    async def _write_until_done(self, batch: Sequence[CallRecord]) -> None:
        delay = RETRY_FIRST
        while True:
            try:
                async with self._engine.begin() as connection:
                    await _copy(connection, calls, (_call_row(r) for r in batch))
                    await _copy(connection, attempts, (_attempt_row(r.id, a) for r in batch for a in r.attempts))
            except (SQLAlchemyError, PostgresError, OSError) as error:
                log.warning("records not written, will retry", extra={"error_type": type(error).__name__, "retry_s": delay})
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST)
            else:
                return


async def _copy(connection: AsyncConnection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """COPY rows into ``table`` in the connection's transaction (psycopg 3, "Using COPY TO and COPY FROM")."""
    columns = [c.name for c in table.columns]
    names = ", ".join(f'"{name}"' for name in columns)
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101 - an open connection has a driver connection
    async with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in rows:
            await copy.write_row([_clean(row[name]) for name in columns])


def _clean(value: Any) -> Any:  # noqa: ANN401 - any column value
    """Postgres text cannot hold NUL."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cached_input_tokens": usage.cached_input,
        "cache_write_tokens": usage.cache_write,
        "reasoning_tokens": usage.reasoning,
        "usage_estimated": usage.estimated,
    }


def _call_row(record: CallRecord) -> dict[str, Any]:
    own = {c.name: getattr(record, c.name) for c in calls.columns if hasattr(record, c.name)}
    return {**own, **_usage(record.usage), "degraded": list(record.degraded)}


def _attempt_row(call_id: str, attempt: Attempt) -> dict[str, Any]:
    own = {c.name: getattr(attempt, c.name) for c in attempts.columns if hasattr(attempt, c.name)}
    return {**own, **_usage(attempt.usage), "call_id": call_id}
