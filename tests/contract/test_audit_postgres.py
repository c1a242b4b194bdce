"""The recorder and its queries on a real Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit import recorder as recorder_module
from app.audit.query import CallFilter, find_calls, get_call
from app.audit.recorder import Recorder
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord
from app.security.redaction import Redactor

REDACTOR = Redactor(b"a key for the audit tests")


def a_record(**changes: Any) -> CallRecord:  # noqa: ANN401 - any field of a record
    call_id = changes.pop("id", f"call_{uuid4().hex}")
    fields: dict[str, Any] = {
        "id": call_id,
        "request_id": f"req_{uuid4().hex}",
        "at": datetime.now(UTC),
        "trace_id": uuid4().hex,
        "tenant": "audit-tests",
        "user": "ada",
        "key_id": "1a2b3c4d",
        "feature": "support.answer",
        "target": "support/answer",
        "release": "2026-11-22",
        "prompt": "support/answer",
        "prompt_version": "v2",
        "provider": "openai",
        "model": "gpt-6-luna",
        "model_answered": "gpt-6-luna-2026-10-01",
        "stream": False,
        "outcome": "ok",
        "error": None,
        "latency_ms": 120.5,
        "ttft_ms": None,
        "overhead_ms": 2.25,
        "usage": Usage(input=10, output=5, cached_input=3, cache_write=2, reasoning=1),
        "cost": MicroUSD(42),
        "held": MicroUSD(100),
        "fallbacks": 1,
        "degraded": ("guard:fake-role",),
        "request": '{"messages": ["hello"]}',
        "response": '{"parts": []}',
        "attempts": (
            Attempt(number=1, provider="anthropic", model="claude-haiku-5-5", outcome="provider_timeout", started_ms=1.0,
                    latency_ms=80.0, error="no answer for grace@example.com"),
            Attempt(number=2, provider="openai", model="gpt-6-luna", outcome="ok", started_ms=81.0, latency_ms=39.0,
                    usage=Usage(10, 5, 3, 2, 1), cost=MicroUSD(42), provider_request_id="abc"),
        ),
    }  # fmt: skip
    return CallRecord(**(fields | changes))


class Drops:
    def __init__(self) -> None:
        self.total = 0

    def __call__(self, count: int) -> None:
        self.total += count


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest_asyncio.fixture
async def recorder(engine: AsyncEngine, drops: Drops) -> AsyncIterator[Recorder]:
    made = Recorder(engine, REDACTOR, on_drop=drops, interval=0.01)
    await made.start()
    yield made
    await made.aclose()


async def test_a_record_comes_back_whole_with_its_attempts(engine: AsyncEngine, recorder: Recorder) -> None:
    """Shows O1."""
    record = a_record()
    recorder.record(record)
    await recorder.flush()
    found = await get_call(engine, record.id)
    assert found is not None
    for name in ("request_id", "at", "trace_id", "tenant", "user", "release", "prompt_version", "model_answered", "outcome"):
        assert found[name] == getattr(record, name)
    assert (found["cost"], found["held"], found["cached_input_tokens"], found["reasoning_tokens"]) == (42, 100, 3, 1)
    assert found["degraded"] == ["guard:fake-role"]
    assert [(a["number"], a["outcome"], a["cost"]) for a in found["attempts"]] == [(1, "provider_timeout", 0), (2, "ok", 42)]


async def test_personal_data_is_redacted_before_it_is_stored(engine: AsyncEngine, recorder: Recorder) -> None:
    """Shows S5."""
    record = a_record(
        user="ada@example.com",
        request='{"t": "hi\\nada@example.com"}',
        response='{"t": "call 202-555-0123"}',
        error="ada@example.com",
    )
    recorder.record(record)
    await recorder.flush()
    found = await get_call(engine, record.id)
    assert found is not None
    assert "example.com" not in str(found)
    assert "555" not in found["response"]
    token = REDACTOR.redact("ada@example.com", tenant=record.tenant)
    assert found["user"] == found["error"] == token
    assert token in found["request"]


async def test_a_record_can_be_found_within_five_seconds(engine: AsyncEngine) -> None:
    """O2, with the service's own batch interval."""
    recorder = Recorder(engine, REDACTOR, on_drop=lambda _: None)
    await recorder.start()
    started = time.monotonic()
    record = a_record()
    recorder.record(record)
    while not await find_calls(engine, CallFilter(id=record.id)):
        assert time.monotonic() - started < 5
        await asyncio.sleep(0.02)
    await recorder.aclose()


async def test_every_filter_narrows_the_search_and_the_newest_come_first(engine: AsyncEngine, recorder: Recorder) -> None:
    """Shows O2."""
    tenant, at = f"t-{uuid4().hex[:8]}", datetime.now(UTC)
    first = a_record(tenant=tenant, at=at - timedelta(hours=2), outcome="budget_exceeded", user="grace", release="r1", model="m1")
    second = a_record(tenant=tenant, at=at - timedelta(hours=1), provider="anthropic", feature="chat.openai", key_id="99999999")
    third = a_record(tenant=tenant, at=at)
    for record in (third, first, second):
        recorder.record(record)
    await recorder.flush()

    async def ids(**wanted: Any) -> list[str]:  # noqa: ANN401 - any field of a filter
        return [row["id"] for row in await find_calls(engine, CallFilter(tenant=tenant, **wanted))]

    assert await ids() == [third.id, second.id, first.id]
    assert await ids(limit=1) == [third.id]
    assert await ids(since=at - timedelta(minutes=90)) == [third.id, second.id]
    assert await ids(until=at - timedelta(minutes=90)) == [first.id]
    for wanted in ({"outcome": "budget_exceeded"}, {"user": "grace"}, {"release": "r1"}, {"model": "m1"}):
        assert await ids(**wanted) == [first.id]
    for wanted in ({"provider": "anthropic"}, {"feature": "chat.openai"}, {"key_id": "99999999"}, {"trace_id": second.trace_id}):
        assert await ids(**wanted) == [second.id]
    assert await ids(request_id=third.request_id) == [third.id]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("NW-10001", True),
        ('"where is"', True),
        ("WHERE", True),
        ("shipping-times", True),
        ("arrived where", True),
        ("where -arrived", False),
        ("nowhere", False),
        ("' OR 1=1 --", False),
    ],
)
async def test_texts_are_found_by_their_words(engine: AsyncEngine, recorder: Recorder, words: str, found: bool) -> None:
    """Shows O2."""
    tenant = f"t-{uuid4().hex[:8]}"
    recorder.record(
        a_record(
            tenant=tenant,
            request='{"m": "Hello\\nwhere is NW-10001?"}',
            response='{"m": "<passage id=\\"shipping-times\\">It arrived."}',
        )
    )
    await recorder.flush()
    assert bool(await find_calls(engine, CallFilter(tenant=tenant, text=words))) is found


async def test_a_redacted_person_is_found_by_their_token(engine: AsyncEngine, recorder: Recorder) -> None:
    record = a_record(request='{"m": "I am ada@example.com."}')
    recorder.record(record)
    await recorder.flush()
    token = REDACTOR.redact("ada@example.com", tenant=record.tenant)
    assert record.id in {row["id"] for row in await find_calls(engine, CallFilter(text=token))}


async def test_the_search_for_words_uses_the_index(engine: AsyncEngine) -> None:
    from app.audit.query import _HAS_WORDS

    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(text(f"EXPLAIN SELECT id FROM calls WHERE {_HAS_WORDS.text}"), {"words": "NW-10001"})  # noqa: S608 - our own constant
        assert "calls_search" in "\n".join(row[0] for row in plan)


@pytest.mark.parametrize(
    "hostile",
    [
        "nul \0 byte",
        "lone \ud800 surrogate",
        "x" * 2_000_000,
        "tab\tand\\backslash\\N\nnewline",
        " ".join(map(str, range(200_000))),
    ],
    ids=["nul", "surrogate", "long", "copy", "many-words"],
)
async def test_hostile_text_is_stored_and_not_lost(engine: AsyncEngine, recorder: Recorder, drops: Drops, hostile: str) -> None:
    record = a_record(request=hostile, user=hostile[:500])
    recorder.record(record)
    await recorder.flush()
    assert await get_call(engine, record.id)
    assert drops.total == 0


async def test_one_record_that_postgres_refuses_takes_no_other_with_it(
    engine: AsyncEngine, recorder: Recorder, drops: Drops
) -> None:
    """O7: what is dropped is counted."""
    good = [a_record() for _ in range(5)]
    for record in (*good[:2], a_record(release="x" * 500), *good[2:]):
        recorder.record(record)
    await recorder.flush()
    assert [bool(await get_call(engine, r.id)) for r in good] == [True] * 5
    assert drops.total == 1


async def test_a_batch_that_was_stored_by_a_try_whose_answer_was_lost_is_not_stored_twice(
    engine: AsyncEngine, recorder: Recorder, drops: Drops
) -> None:
    stored, new = a_record(), a_record()
    recorder.record(stored)
    await recorder.flush()
    for record in (stored, new):
        recorder.record(record)
    await recorder.flush()
    assert await get_call(engine, new.id)
    assert drops.total == 0


async def test_while_postgres_is_away_records_wait_and_then_arrive(
    engine: AsyncEngine, drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows O7."""
    monkeypatch.setattr(recorder_module, "RETRY_FIRST", 0.02)
    await _rename(engine, "calls", "calls_away")
    recorder = Recorder(engine, REDACTOR, on_drop=drops, interval=0.01)
    await recorder.start()
    record = a_record()
    try:
        recorder.record(record)
        await asyncio.sleep(0.1)
    finally:
        await _rename(engine, "calls_away", "calls")
    await recorder.aclose()
    assert await get_call(engine, record.id)
    assert drops.total == 0


async def test_a_full_queue_drops_the_newest_and_counts_them_without_waiting(drops: Drops) -> None:
    """Shows O7."""
    depths: list[int] = []
    nowhere = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    recorder = Recorder(nowhere, REDACTOR, on_drop=drops, on_depth=depths.append, capacity=3)
    await recorder.start()
    for _ in range(5):
        recorder.record(a_record())
    assert (drops.total, max(depths)) == (2, 3)
    await recorder.aclose(grace=0.05)
    assert drops.total == 5, "what was never written is counted at the end"
    await nowhere.dispose()


async def test_the_queue_is_bounded_in_bytes_too(drops: Drops) -> None:
    nowhere = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    recorder = Recorder(nowhere, REDACTOR, on_drop=drops, capacity_bytes=1_000)
    recorder.record(a_record(request="x" * 2_000))
    assert drops.total == 1
    await nowhere.dispose()


async def test_closing_writes_what_is_queued(engine: AsyncEngine, drops: Drops) -> None:
    recorder = Recorder(engine, REDACTOR, on_drop=drops)
    await recorder.start()
    records = [a_record() for _ in range(450)]
    for record in records:
        recorder.record(record)
    await recorder.aclose()
    assert await get_call(engine, records[-1].id)
    assert drops.total == 0


async def _rename(engine: AsyncEngine, old: str, new: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
