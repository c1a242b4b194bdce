"""Records leave the request at once and reach Postgres in batches (O1, O7).

`record` puts into a bounded queue and returns: it never waits and never raises. Two tasks redact and write batches by COPY.
While Postgres is away, batches go to local disk (`Spill`), and back from there when it returns; with the disk full too, they wait
in the queue. Redaction happens here and not in `record`, because it would be paid for in the caller's latency; no text leaves
the process, or this room, before it. Losses are counted through ``on_drop``: the newest records where the queue is full,
a record that Postgres refuses, and what is left when closing takes too long.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import DataError, IntegrityError
from psycopg import Error as PostgresError
from psycopg.errors import UniqueViolation
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.rows import Writer
from app.audit.spill import Spill
from app.domain.backlog import Backlog
from app.domain.calls import Attempt
from app.domain.periodic import Periodic, end, spawn
from app.domain.quick import replace
from app.domain.records import CallRecord
from app.domain.store_errors import why
from app.domain.turns import Turns
from app.security.redaction.redactor import Redactor

RETRY_FIRST, RETRY_MOST = 0.2, 5.0
WRITE_SECONDS = 5.0  # a Postgres that takes longer is as good as away
BRING_BACK_EVERY = 2.0
DISK_SECONDS = 10.0  # that a stop waits for a batch on its way to disk; with the queue's 5, less than `CLOSE_SECONDS`
CLOSE_FILE_SECONDS = 1.0
AWAY = (SQLAlchemyError, PostgresError, OSError)  # TimeoutError is an OSError
MOST_AT_ONCE, FEW_AT_ONCE = 200, 10  # records of a batch; few where each takes long, as all of them wait for the last
LONG_TEXT = 50_000  # characters; from here on redaction takes milliseconds, and goes to a thread
PROVIDERS_WORDS = ("error", "model_answered", "provider_request_id")
MOST_OF_ATTEMPT = 20_000  # characters kept of what came back to an attempt that did not give the answer
log = logging.getLogger(__name__)


class Recorder:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        redactor: Redactor,
        spill: Spill,
        *,
        on_drop: Callable[[int], None],
        on_depth: Callable[[int], None] = lambda _: None,
        on_spill: Callable[[int, int], None] = lambda _records, _bytes: None,
        on_lag: Callable[[float], None] = lambda _: None,
        capacity: int = 10_000,
        capacity_bytes: int = 256 << 20,
        batch: int = MOST_AT_ONCE,
        interval: float = 0.2,
        writers: int = 2,
        text_redactor: Redactor | None = None,
    ) -> None:
        """Write at most ``batch`` records at a time, at least every ``interval`` seconds.

        ``writers`` batches are under way at a time, so that one is redacted while Postgres indexes the other.

        The queue holds ``capacity`` records and texts of ``capacity_bytes`` characters. ``on_drop`` gets how many were
        lost, ``on_depth`` how many are waiting, ``on_spill`` how many went to disk just now and the bytes that are there,
        ``on_lag`` for each record the seconds from its call's end until it was committed. ``text_redactor``: a slower one for
        requests and responses, in a thread; ids stay with ``redactor``, so that erasing finds them.
        """
        self._writer = Writer(engine, lambda tenant, user: redactor.pseudonym(user, tenant=tenant))
        self._spill = spill
        self._on_spill = on_spill
        self._on_lag = on_lag
        self._away_until = 0.0
        self._delay = RETRY_FIRST
        self._redactor = redactor
        self._text_redactor = text_redactor
        self._on_drop = on_drop
        self._on_depth = on_depth
        self._capacity_bytes = capacity_bytes
        self._batch = batch
        self._interval = interval
        self._writers = writers
        self._queue = Backlog[CallRecord]()
        self._capacity = capacity
        self._bytes = 0
        self._unwritten = 0
        self._writing: list[asyncio.Task[None]] = []
        self._bringing_back = Periodic(
            "spilled records",
            self._bring_all_back,
            every=BRING_BACK_EVERY,
            survives=AWAY,
            complaint="spilled records not brought back, will retry",
        )

    async def start(self) -> None:
        """Begin to write, and to bring back what was spilled."""
        self._writing = [spawn("recorder", self._write_forever()) for _ in range(self._writers)]
        self._bringing_back.start()

    async def aclose(self, grace: float = 5.0) -> None:
        """Write or spill what is queued, for ``grace`` seconds at most; what is left then is counted as dropped.

        A batch on its way to disk has `DISK_SECONDS` more. On a slower disk it is counted, and may be kept all the same.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._queue.join()
        await asyncio.gather(end(*self._writing, within=DISK_SECONDS), self._bringing_back.stop())
        try:
            async with asyncio.timeout(CLOSE_FILE_SECONDS):
                await asyncio.to_thread(self._spill.close)  # waits for an append under way
        except TimeoutError:
            log.warning("spill file not closed: the disk does not answer")  # the end of the process closes it
        if self._unwritten:
            log.error("records lost at shutdown", extra={"records": self._unwritten})
            self._on_drop(self._unwritten)

    def record(self, record: CallRecord) -> None:
        """Take a record over."""
        size = _size(record)
        if len(self._queue) >= self._capacity or self._bytes + size > self._capacity_bytes:
            self._on_drop(1)
            return
        self._queue.put(record)
        self._bytes += size
        self._unwritten += 1
        self._on_depth(self._unwritten)

    async def flush(self) -> None:
        """Wait until everything taken over so far is written."""
        await self._queue.join()

    async def _write_forever(self) -> None:
        while True:
            await self._queue.some()
            if len(self._queue) < self._batch:
                await asyncio.sleep(self._interval)
            taken = self._queue.take(self._batch)
            if not taken:  # another writer has them
                continue
            await self._keep(await self.redacted(taken))
            self._bytes -= sum(map(_size, taken))
            self._queue.done(len(taken))
            self._unwritten -= len(taken)
            self._on_depth(self._unwritten)

    async def _keep(self, batch: Sequence[CallRecord]) -> None:
        """Write a batch, or spill it; with neither Postgres nor a disk that takes it, keep trying."""
        while True:
            if time.monotonic() >= self._away_until:
                try:
                    await self._write(batch)
                except AWAY as error:
                    self._away_until = time.monotonic() + self._delay
                    self._delay = min(self._delay * 2, RETRY_MOST)
                    log.warning("records not written, will retry", extra=why(error))
                else:
                    self._delay = RETRY_FIRST
                    return
            try:
                size = await self._spill_whole(batch)
            except OSError as error:
                log.warning("records not spilled, will retry", extra=why(error))
                await asyncio.sleep(min(self._delay, 1.0))
            else:
                self._on_spill(len(batch), size)
                return

    async def _spill_whole(self, batch: Sequence[CallRecord]) -> int:
        """Spill a batch. Returns the bytes on disk. Raises OSError.

        Closing does not stop the thread, so it is waited for: what it kept must not be counted as lost.
        """

        def append() -> int:
            self._spill.append(batch)
            return self._spill.size

        appending = asyncio.create_task(asyncio.to_thread(append))
        try:
            return await asyncio.shield(appending)
        except asyncio.CancelledError:
            while not appending.done():
                with contextlib.suppress(asyncio.CancelledError):  # the stop repeats it
                    await asyncio.wait([appending])
            if appending.exception() is None:
                self._unwritten -= len(batch)
            raise

    async def _write(self, batch: Sequence[CallRecord], *, again: bool = False) -> None:
        """Write a batch. One that Postgres refuses is halved until the bad record stands alone. Raises one of `AWAY`."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._writer.write(batch, again=again)
            now = time.time()
            for record in batch:
                self._on_lag(max(0.0, now - record.at.timestamp() - record.latency_ms / 1000))
        except UniqueViolation:  # an earlier try was committed, its answer lost
            await self._write(batch, again=True)
        except (DataError, IntegrityError) as error:
            if len(batch) == 1:
                # not log.exception: the error's text quotes the row
                log.error("record refused by Postgres", extra={"call_id": batch[0].id, "error_type": type(error).__name__})  # noqa: TRY400
                self._on_drop(1)
                return
            middle = len(batch) // 2
            await self._write(batch[:middle], again=again)
            await self._write(batch[middle:], again=again)

    async def _bring_all_back(self) -> None:
        while await self._bring_back():
            pass
        self._on_spill(0, await asyncio.to_thread(lambda: self._spill.size))  # others bring back ours too

    async def _bring_back(self) -> bool:
        """One spilled file, of ours or of a process that is gone; what arrived already is passed over. False: there is none."""
        await asyncio.to_thread(self._spill.close)  # both may wait for a disk
        if (claim := await asyncio.to_thread(self._spill.claim)) is None:
            return False
        with contextlib.closing(claim):
            records, torn = await asyncio.to_thread(claim.read)
            for start in range(0, len(records), self._batch):
                await self._write(records[start : start + self._batch], again=True)
            claim.remove()
        if torn:
            log.error("spilled records cannot be read", extra={"records": torn})
            self._on_drop(torn)
        log.info("spilled records brought back", extra={"records": len(records)})
        return True

    async def redacted(self, batch: Sequence[CallRecord]) -> list[CallRecord]:
        """The records as they may be stored."""
        done, turns = list[CallRecord](), Turns()
        short: dict[tuple[str, str], str] = {}  # names that come with every record of a batch: users, models
        for record in batch:
            if self._text_redactor or _size(record) > LONG_TEXT:
                done.append(await asyncio.to_thread(self._redact, record, short))
            else:
                done.append(self._redact(record, short))
            await turns.give()
        return done

    def _redact(self, record: CallRecord, short: dict[tuple[str, str], str] | None = None) -> CallRecord:
        short = {} if short is None else short

        def clean(text: str) -> str:
            if not text:
                return text
            known = short.get((record.tenant, text))
            if known is None:
                known = short[record.tenant, text] = self._redactor.redact(text, tenant=record.tenant)
            return known

        texts = self._text_redactor or self._redactor

        def of_provider(a: Attempt) -> Attempt:  # it may repeat what it was sent, anywhere
            words: dict[str, Any] = {name: clean(value) for name in PROVIDERS_WORDS if (value := getattr(a, name))}
            if a.response:
                words["response"] = _cut(texts.redact(a.response, tenant=record.tenant))
            if a.violations:  # a path names keys, which are the model's words where a schema allows any
                words["violations"] = tuple(map(clean, a.violations))
            return replace(a, **words) if words else a

        request, response = texts.redact_all((record.request, record.response), tenant=record.tenant)
        return replace(
            record,
            user=clean(record.user),
            request=request,
            response=response,
            error=clean(record.error) if record.error else None,
            model_answered=clean(record.model_answered) if record.model_answered else None,
            attempts=tuple(of_provider(a) for a in record.attempts),
        )


def _size(record: CallRecord) -> int:
    """The characters of a record's texts."""
    return len(record.request) + len(record.response) + sum(len(a.response or "") for a in record.attempts)


def _cut(text: str) -> str:
    """Bound a text. After redaction, since half of a number is no longer found."""
    over = len(text) - MOST_OF_ATTEMPT
    return text if over <= 0 else f"{text[:MOST_OF_ATTEMPT]}… ({over:,} more characters)"
