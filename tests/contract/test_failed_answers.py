"""Failed answers are counted by kind, kept while Postgres is away, and read with the newest words (X1, O1)."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import failed_answers as room
from app.audit.failed_answers import Failed, FailedAnswers, failed_answers
from app.audit.tables import failed_answers as table
from app.domain.records import FailedAnswer


def answer(
    tenant: str, status: int = 404, request_id: str = "req_1", message: str = "No model 'x'.", key: str = "k1"
) -> FailedAnswer:
    return FailedAnswer(
        request_id=request_id, tenant=tenant, key_id=key, path="/v1/chat/completions", status=status,
        code="model_not_found" if status < 500 else "output_invalid", message=message,
    )  # fmt: skip


async def of(engine: AsyncEngine, tenant: str) -> list[Failed]:
    now = datetime.now(UTC)
    async with engine.connect() as connection:
        found = await failed_answers(connection, now - timedelta(minutes=5), now + timedelta(minutes=1))
    return [one for one in found if one.tenant == tenant]


async def test_several_workers_count_together_and_the_newest_words_are_kept_redacted(engine: AsyncEngine) -> None:
    tenant = uuid4().hex
    first, second = (FailedAnswers(engine, clean=lambda text, of: text.replace("ada@example.com", f"<{of}>")) for _ in range(2))
    for number in range(300):
        first.note(answer(tenant, request_id=f"req_{number}"))
    second.note(answer(tenant, status=502, message="for ada@example.com"))
    await first.write()
    second.note(answer(tenant, request_id="req_last", message="No model 'y'."))
    await second.write()
    ours, theirs = await of(engine, tenant)
    assert (ours.status, ours.answers, ours.message) == (502, 1, f"for <{tenant}>"), "ours come first"
    assert (theirs.status, theirs.answers, theirs.request_id, theirs.message) == (404, 301, "req_last", "No model 'y'.")


async def test_the_key_of_a_flood_is_named_though_another_was_answered_last(engine: AsyncEngine) -> None:
    tenant = uuid4().hex
    first, second = (FailedAnswers(engine, clean=lambda text, _: text) for _ in range(2))
    others = [f"k{number}" for number in range(2 * room.MOST_KEYS)]
    for worker, keys in ((first, ["flood"] * 40 + others), (second, ["k1", "flood", "flood", "last"])):
        for key in keys:
            worker.note(answer(tenant, key=key))
        await worker.write()
    (found,) = await of(engine, tenant)
    assert (found.answers, found.key_id, found.of_key) == (44 + len(others), "flood", 42)
    async with engine.connect() as connection:
        keys = (await connection.execute(select(table.c["keys"]).where(table.c.tenant == tenant))).scalar_one()
    assert len(keys) <= room.MOST_KEYS, "it does not grow with the number of keys"


async def test_what_postgres_does_not_take_waits_and_no_flood_grows_without_end(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 3)
    tenant, counting = uuid4().hex, FailedAnswers(engine, clean=lambda text, _: text)

    class Away:
        def begin(self) -> None:
            raise OperationalError("INSERT", None, Exception("away"))

    monkeypatch.setattr(counting, "_engine", Away())
    for status in (400, 401, 402, 403, 400):
        counting.note(answer(tenant, status=status))
    with pytest.raises(OperationalError):
        await counting.write()
    counting.note(answer(tenant, status=400, request_id="req_newest"))
    monkeypatch.setattr(counting, "_engine", engine)
    await counting.write()
    assert {one.status: one.answers for one in await of(engine, tenant)} == {400: 3, 401: 1, 402: 1}
    assert next(one.request_id for one in await of(engine, tenant) if one.status == 400) == "req_newest"
    await counting.write()
    assert sum(one.answers for one in await of(engine, tenant)) == 5
