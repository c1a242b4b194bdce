"""Records leave the request at once and reach Postgres in batches (O1, O7).

`record` puts into a bounded queue and returns: it never waits and never raises. One task redacts, writes batches by COPY, and
keeps trying while Postgres is away. Redaction happens here and not in `record`, because it would be paid for in the caller's
latency; no text leaves the process, or this room, before it. What is lost is counted through ``on_drop``: the newest records
where the queue is full, a record that Postgres refuses, and what is left when closing takes too long.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from psycopg import DataError, IntegrityError
from psycopg import Error as PostgresError
from psycopg.errors import UniqueViolation
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import rows
from app.domain.records import CallRecord
from app.security.redaction import Redactor

RETRY_FIRST, RETRY_MOST = 0.2, 5.0
WRITE_SECONDS = 15.0  # a Postgres that takes longer is as good as away
TURN = 0.005
LONG_TEXT = 50_000  # characters; from here on redaction takes milliseconds, and goes to a thread
log = logging.getLogger(__name__)


class Recorder:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        redactor: Redactor,
        *,
        on_drop: Callable[[int], None],
        on_depth: Callable[[int], None] = lambda _: None,
        capacity: int = 10_000,
        capacity_bytes: int = 256 << 20,
        batch: int = 200,
        interval: float = 0.2,
    ) -> None:
        """At most ``batch`` records are written at a time, at least every ``interval`` seconds.

        The queue holds ``capacity`` records and texts of ``capacity_bytes`` characters. ``on_drop`` is told how many were
        lost, ``on_depth`` how many are waiting.
        """
        self._engine = engine
        self._redactor = redactor
        self._on_drop = on_drop
        self._on_depth = on_depth
        self._capacity_bytes = capacity_bytes
        self._batch = batch
        self._interval = interval
        self._queue: asyncio.Queue[CallRecord] = asyncio.Queue(capacity)
        self._bytes = 0
        self._unwritten = 0
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
        if self._unwritten:
            log.error("records lost at shutdown", extra={"records": self._unwritten})
            self._on_drop(self._unwritten)

    def record(self, record: CallRecord) -> None:
        """Take a record over."""
        size = len(record.request) + len(record.response)
        if self._queue.full() or self._bytes + size > self._capacity_bytes:
            self._on_drop(1)
            return
        self._queue.put_nowait(record)
        self._bytes += size
        self._unwritten += 1
        self._on_depth(self._unwritten)

    async def flush(self) -> None:
        """Wait until everything taken over so far is written."""
        await self._queue.join()

    async def _write_forever(self) -> None:
        while True:
            taken = [await self._queue.get()]
            if self._queue.qsize() < self._batch:
                await asyncio.sleep(self._interval)
            while len(taken) < self._batch and not self._queue.empty():
                taken.append(self._queue.get_nowait())
            await self._write(await self._redacted(taken))
            for record in taken:
                self._bytes -= len(record.request) + len(record.response)
                self._queue.task_done()
            self._unwritten -= len(taken)
            self._on_depth(self._unwritten)

    async def _write(self, batch: Sequence[CallRecord]) -> None:
        """Write a batch, however long Postgres is away. A batch that it refuses is halved until the bad record stands alone."""
        delay = RETRY_FIRST
        while True:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await rows.write(self._engine, batch)
            except (DataError, IntegrityError) as error:
                await self._write_refused(batch, error)
                return
            except (SQLAlchemyError, PostgresError, OSError) as error:
                log.warning("records not written, will retry", extra={"error_type": type(error).__name__, "retry_s": delay})
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST)
            else:
                return

    async def _write_refused(self, batch: Sequence[CallRecord], error: PostgresError) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
        elif not isinstance(error, UniqueViolation):  # that one is there already: an earlier try was committed, its answer lost
            log.error("record refused by Postgres", extra={"call_id": batch[0].id, "error_type": type(error).__name__})
            self._on_drop(1)

    async def _redacted(self, batch: Sequence[CallRecord]) -> list[CallRecord]:
        """The records as they may be stored. The event loop gets its turn every `TURN` seconds.

        Not after each record: in a busy worker a turn of the loop takes longer than many records, and we would fall behind.
        """
        done: list[CallRecord] = []
        turn_ends = time.perf_counter() + TURN
        for record in batch:
            if len(record.request) + len(record.response) > LONG_TEXT:
                done.append(await asyncio.to_thread(self._redact, record))
            else:
                done.append(self._redact(record))
            if time.perf_counter() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.perf_counter() + TURN
        return done

    def _redact(self, record: CallRecord) -> CallRecord:
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
