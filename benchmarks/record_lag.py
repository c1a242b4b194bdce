"""How long a record takes from its call's end until a search finds it, at a steady rate, and its cost.

The real Recorder on a real Postgres. A record is found when its row is committed; a second process would see it from then on, so
a poller asks through a connection of its own which of the waiting ids are there. Sizes are drawn as a support product has them.
"""

import asyncio
import json
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit.recorder import Recorder
from app.audit.spill import Spill
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord
from app.security.redaction.redactor import Redactor

POLL = 0.2
ORDER = "AB-10001"
ROOT = Path(__file__).resolve().parent.parent
SIZES = (
    "texts from our own documents, each with an order's number of its own; request: log-normal, median 4 KB (p99 26 KB); "
    "response: log-normal, median 0.8 KB (p99 5 KB); 1.05 attempts a call"
)

SIZES_OF = """
SELECT sum(pg_relation_size(c)), sum(coalesce(pg_total_relation_size(nullif(t, 0)), 0)), sum(pg_indexes_size(c))
FROM (SELECT oid::regclass AS c, reltoastrelid AS t FROM pg_class WHERE relname = ANY(:names)) AS days
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Seconds, except where the name says otherwise."""

    rate: float
    records: int
    p50: float
    p99: float
    longest: float
    cpu_us: float
    dropped: int
    heap: int
    toast: int
    index: int


async def measure(url: str, rate: int, seconds: float, writers: int) -> Lag:
    """Record ``rate`` calls a second, ``writers`` batches at a time, and watch them appear."""
    engine, watching = create_async_engine(url), create_async_engine(url)
    dropped: list[int] = []
    chance = random.Random(7)  # noqa: S311 - a benchmark's sizes
    documents = [path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))]
    made = [_record(chance, documents) for _ in range(500)]
    with tempfile.TemporaryDirectory(prefix="octant-lag-") as folder:
        recorder = Recorder(engine, Redactor(b"benchmark"), Spill(Path(folder)), on_drop=dropped.append, writers=writers)
        await recorder.start()
        waiting: dict[str, float] = {}
        lags: list[float] = []
        watcher = asyncio.create_task(_watch(watching, waiting, lags))
        began, cpu = time.monotonic(), time.process_time()
        for number in range(int(rate * seconds)):
            ahead = began + number / rate - time.monotonic()
            if ahead > 0.002:
                await asyncio.sleep(ahead)
            record = _again(made[number % len(made)])
            waiting[record.id] = time.monotonic()
            recorder.record(record)
        took = time.monotonic() - began
        await recorder.flush()
        cpu = time.process_time() - cpu
        while waiting:  # noqa: ASYNC110 - the watcher empties it
            await asyncio.sleep(POLL)
        watcher.cancel()
        await recorder.aclose()
    heap, toast, index = await _sizes(engine)
    await engine.dispose()
    await watching.dispose()
    lags.sort()
    count = len(lags)
    return Lag(
        rate=count / took, records=count, p50=lags[count // 2], p99=lags[math.ceil(count * 0.99) - 1], longest=lags[-1],
        cpu_us=cpu / count * 1e6, dropped=sum(dropped), heap=heap // count, toast=toast // count, index=index // count,
    )  # fmt: skip


async def _watch(engine: AsyncEngine, waiting: dict[str, float], lags: list[float]) -> None:
    """Ask which of the waiting are there, the oldest first."""
    wanted = text("SELECT id FROM calls WHERE id = ANY(:ids) AND at >= now() - interval '1 hour'")
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        while True:
            oldest = list(waiting)[:2000]
            if oldest:
                for (found,) in await connection.execute(wanted, {"ids": oldest}):
                    lags.append(time.monotonic() - waiting.pop(found))
            await asyncio.sleep(POLL)


async def _sizes(engine: AsyncEngine) -> tuple[int, int, int]:
    """Bytes of today's two partitions: rows, long texts (compressed), indexes."""
    day = f"{datetime.now(UTC):%Y%m%d}"
    names = [f"calls_{day}", f"attempts_{day}"]
    async with engine.connect() as connection:
        row = (await connection.execute(text(SIZES_OF), {"names": names})).one()
    return int(row[0]), int(row[1]), int(row[2])


def _record(chance: random.Random, documents: Sequence[str]) -> CallRecord:
    def words(size: float) -> str:
        """Text of this size: an order's number and passages of documents."""
        passages = [ORDER]
        while sum(map(len, passages)) < size:
            start = chance.randrange(500)
            passages.append(chance.choice(documents)[start : start + 1000])
        return " ".join(passages)[: int(size)]

    asked, answered = chance.lognormvariate(math.log(4000), 0.8), chance.lognormvariate(math.log(800), 0.8)
    usage = Usage(input=int(asked / 4), output=int(answered / 4))
    one = Attempt(number=1, provider="anthropic", model="m", outcome="ok", started_ms=1.0, latency_ms=900.0, usage=usage)
    return CallRecord(
        id="", request_id="", at=datetime.now(UTC), trace_id=uuid4().hex, tenant=f"tenant-{chance.randrange(50)}",
        user=f"user-{chance.randrange(5000)}", key_id="1a2b3c4d", feature="shop.answer", target="shop/answer",
        release="2026-11-22", prompt="shop/answer", prompt_version="v2", provider="anthropic", model="m", model_answered="m-1",
        stream=False, outcome="ok", error=None, latency_ms=chance.lognormvariate(6.8, 0.7), ttft_ms=None, overhead_ms=2.5,
        usage=usage, cost=MicroUSD(int(asked)), held=MicroUSD(9000), fallbacks=0, degraded=(),
        request=json.dumps({"messages": words(asked)}), response=json.dumps({"parts": words(answered)}),
        attempts=(one, one) if chance.random() < 0.05 else (one,),
    )  # fmt: skip


def _again(record: CallRecord) -> CallRecord:
    unique = uuid4().hex
    attempts = tuple(replace(a, number=n) for n, a in enumerate(record.attempts, start=1))
    return replace(
        record, id=f"call_{unique}", request_id=f"req_{unique}", trace_id=unique, at=datetime.now(UTC), attempts=attempts,
        request=record.request.replace(ORDER, f"AB-{int(unique[:8], 16)}"),
    )  # fmt: skip
