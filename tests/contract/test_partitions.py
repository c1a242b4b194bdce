"""Partitions of one day: made ahead and dropped whole (O8).

A record of any day finds its place.
"""

import secrets
from datetime import UTC, date, datetime, timedelta

import pytest
from records import Drops, a_record
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.partitions import AHEAD, Keeper, ensure, partitions
from app.audit.query import get_call
from app.audit.rows import Writer

DAY = timedelta(days=1)


async def days_of(engine: AsyncEngine, parent: str) -> set[date]:
    async with engine.connect() as connection:
        return {day for name, day in (await partitions(connection)).items() if name.startswith(parent)}


async def test_a_record_of_any_day_finds_its_place(engine: AsyncEngine) -> None:
    """A spilled record may be old; a day begins at midnight UTC, wherever Postgres is."""
    writer = Writer(engine)
    records = [a_record(at=datetime(2026, 3, d, h, m, tzinfo=UTC)) for d, h, m in ((1, 0, 0), (1, 23, 59), (2, 0, 0))]
    await writer.write(records)
    for record in records:
        found = await get_call(engine, record.id)
        assert found is not None
        assert len(found["attempts"]) == 2
    async with engine.connect() as connection:
        count = (await connection.execute(text("SELECT count(*) FROM calls_20260301"))).scalar_one()
    assert count == 2


async def test_what_is_too_old_is_dropped_with_its_attempts_and_what_comes_is_there(engine: AsyncEngine) -> None:
    today = datetime.now(UTC).date()
    kept, gone = (a_record(at=datetime.now(UTC) - DAY * n) for n in (100, 101))
    await Writer(engine).write([kept, gone])
    dropped = await Keeper(engine, keep_days=100).tend()
    assert {f"calls_{today - DAY * 101:%Y%m%d}", f"attempts_{today - DAY * 101:%Y%m%d}"} <= set(dropped)
    assert await get_call(engine, gone.id) is None
    assert await get_call(engine, kept.id) is not None
    for parent in ("calls", "attempts"):
        days = await days_of(engine, parent)
        assert {today + DAY * n for n in range(AHEAD + 1)} <= days
        assert min(days) >= today - DAY * 100


async def test_a_day_that_was_dropped_is_made_again_for_a_late_record(engine: AsyncEngine) -> None:
    writer, at = Writer(engine), datetime(2025, 5, 5, tzinfo=UTC)
    await writer.write([a_record(at=at)])
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE calls_20250505, attempts_20250505"))
    late, new = a_record(at=at), a_record()
    await writer.write([late, new])
    assert await get_call(engine, late.id)
    assert await get_call(engine, new.id), "its batch goes with it"
    assert {"calls_20250505", "attempts_20250505"} <= set(await Keeper(engine, keep_days=100).tend()), (
        "it goes with the next dropping"
    )
    assert await get_call(engine, late.id) is None


async def test_dropping_gives_the_disk_back_at_once(engine: AsyncEngine) -> None:
    """Of a day's calls and attempts together: table, indexes and long texts."""
    at = datetime(2025, 6, 6, tzinfo=UTC)
    noise = [secrets.token_hex(20_000) for _ in range(50)]
    await Writer(engine).write([a_record(at=at, request=words) for words in noise])
    size, files = text("SELECT pg_database_size(current_database())"), text("SELECT pg_relation_filepath('calls_20250606')")
    async with engine.connect() as connection:
        before = (await connection.execute(size)).scalar_one()
        assert (await connection.execute(files)).scalar_one()
    await Keeper(engine, keep_days=100).tend()
    async with engine.connect() as connection:
        after = (await connection.execute(size)).scalar_one()
    assert before - after > 1_000_000


async def test_dropping_gives_up_where_a_reader_holds_the_partition(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query waits longer than a second for a drop that waits."""
    async with engine.begin() as connection:
        await ensure(connection, [date(2024, 1, 1)])
    async with engine.connect() as reading:
        await reading.execute(text("SELECT count(*) FROM calls_20240101"))
        with pytest.raises(OperationalError, match="lock timeout"):
            await Keeper(engine, keep_days=100)._drop("calls_20240101")
    await Keeper(engine, keep_days=100)._drop("calls_20240101")
    assert date(2024, 1, 1) not in await days_of(engine, "calls")


async def test_a_record_twice_in_one_batch_is_stored_once(engine: AsyncEngine) -> None:
    record, drops = a_record(), Drops()
    await Writer(engine).write([record, record], again=True)
    found = await get_call(engine, record.id)
    assert found is not None
    assert (len(found["attempts"]), drops.total) == (2, 0)


async def test_rows_beside_the_records_go_with_their_day(engine: AsyncEngine) -> None:
    """Feedback, scores and candidates are kept as long as the records that they are about."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    put = text("INSERT INTO feedback VALUES ('kept-tests', :r, '', 'bad', '', :at)")
    async with engine.begin() as connection:
        await connection.execute(
            put, [{"r": "stays", "at": today - DAY * 100}, {"r": "goes", "at": today - DAY * 100 - DAY / 24}]
        )
    await Keeper(engine, keep_days=100, also=("feedback",)).tend()
    async with engine.connect() as connection:
        left = (await connection.execute(text("SELECT request_id FROM feedback WHERE tenant = 'kept-tests'"))).scalars().all()
    assert left == ["stays"]
