"""The recorder and its queries on a real Postgres."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from conftest import own_database
from pyarrow import parquet
from records import Drops, a_record
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit import export, searching
from app.audit import recorder as recorder_module
from app.audit.call_filter import SORTS, CallFilter, Sort, bounds_of
from app.audit.partitions import ensure
from app.audit.query import cursor_of, every_call, find_calls, get_call, input_of, statement_of, total_of, windows_of
from app.audit.recorder import Recorder
from app.audit.spill import Spill
from app.domain.calls import Usage
from app.domain.errors import InvalidRequest
from app.domain.money import MicroUSD
from app.security.redaction.redactor import Redactor

REDACTOR = Redactor(b"a key for the audit tests")
NOT_ON_DISK = Spill(Path("nowhere"), max_bytes=0)


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    return Spill(tmp_path / "spill")


@pytest_asyncio.fixture
async def recorder(engine: AsyncEngine, drops: Drops, spill: Spill) -> AsyncIterator[Recorder]:
    made = Recorder(engine, REDACTOR, spill, on_drop=drops, interval=0.01)
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


async def test_what_came_back_to_an_attempt_is_stored_redacted_and_bounded(engine: AsyncEngine, recorder: Recorder) -> None:
    """O1, S5: redacted first, and cut after that.

    Texts are as the model wrote them, with the keys of a document in the violations' paths.
    """
    long = "x" * (recorder_module.MOST_OF_ATTEMPT - 8) + " 202-555-0123"
    made = a_record()
    refused = replace(
        made.attempts[0], response='{"parts": [{"text": "ada@example.com"}]}', violations=("$['ada@example.com']: type",)
    )
    cut = replace(made.attempts[1], response=long)
    recorder.record(replace(made, attempts=(refused, cut)))
    await recorder.flush()
    found = await get_call(engine, made.id)
    assert found is not None
    token = REDACTOR.redact("ada@example.com", tenant=made.tenant)
    first, second = found["attempts"]
    assert (first["response"], first["violations"]) == (f'{{"parts": [{{"text": "{token}"}}]}}', [f"$['{token}']: type"])
    assert second["response"].startswith("xxx")
    assert "more characters" in second["response"]
    assert "202" not in second["response"][recorder_module.MOST_OF_ATTEMPT - 10 :]
    assert second["violations"] == []


async def test_a_record_can_be_found_within_five_seconds(engine: AsyncEngine, spill: Spill) -> None:
    """O2, with the service's own batch interval."""
    recorder = Recorder(engine, REDACTOR, spill, on_drop=lambda _: None)
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


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("shipment halted", "own"),
        ('"halted at the provider"', "own"),
        ("anthropic answered 529: Overloaded", "of an attempt"),
        ("-Overloaded answered", "none"),
        ("shipment Overloaded", "none"),
    ],
)
async def test_a_call_is_found_by_an_error_s_words_also_one_on_the_way_to_an_answer(
    engine: AsyncEngine, recorder: Recorder, words: str, found: str
) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    answered = a_record(tenant=tenant)
    tries = (replace(answered.attempts[0], error="anthropic answered 529: Overloaded"), answered.attempts[1])
    failed = a_record(tenant=tenant, outcome="provider_error", error="shipment halted at the provider", attempts=())
    for record in (replace(answered, attempts=tries), failed):
        recorder.record(record)
    await recorder.flush()
    ids = {"own": [failed.id], "of an attempt": [answered.id], "none": []}[found]
    assert [row["id"] for row in await find_calls(engine, CallFilter(tenant=tenant, text=words))] == ids
    assert (await total_of(engine, CallFilter(tenant=tenant, text=words))).calls == len(ids)


async def test_what_is_searched_of_errors_is_redacted(engine: AsyncEngine, recorder: Recorder) -> None:
    record = a_record()  # an attempt's error names a person
    recorder.record(record)
    await recorder.flush()
    row = next(row for row in await find_calls(engine, CallFilter(id=record.id)))
    assert row["errors"] == f"no answer for {REDACTOR.redact('grace@example.com', tenant=record.tenant)}"


@pytest_asyncio.fixture(scope="module")
async def without_calls(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database without calls: what the planner prefers depends on the calls that other tests have recorded."""
    with own_database(database_url, "plans") as url:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await ensure(connection, [datetime.now(UTC).date() + timedelta(days=later) for later in range(2)])
        yield engine
        await engine.dispose()


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CallFilter(text="NW-10001"), "to_tsvector"),
        (CallFilter(outcome="never_seen", release="r9"), "expr"),
        (CallFilter(degraded="never_seen"), "expr"),
        (CallFilter(ranges={"output_tokens": (1e8, None)}), "expr"),
        (CallFilter(sort="cost"), "cost"),
        (CallFilter(sort="latency_ms", ascending=True), "latency_ms"),
        (CallFilter(failed=True), "at_idx1"),
        (CallFilter(tenant="t", user="u"), "user"),
        (CallFilter(id="call_1"), "pkey"),
        (CallFilter(trace_id="0" * 32), "trace_id"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
async def test_a_search_uses_its_index_in_every_partition(without_calls: AsyncEngine, wanted: CallFilter, index: str) -> None:
    statement = statement_of(wanted).compile(dialect=without_calls.dialect)
    async with without_calls.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        if index in ("to_tsvector", "expr"):  # new rows wait in a list that these would read first
            await connection.execute(text("SET LOCAL enable_indexscan = off"))
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        parameters = dict(statement.params)
        plan = "\n".join(row[0] for row in await (await raw.execute(f"EXPLAIN {statement}", parameters)).fetchall())
    scans = re.findall(r"(?:Index|Bitmap Index) Scan (?:Backward )?(?:using|on) (calls_\d{8}\w*)", plan)
    assert scans, plan
    assert all(index in name for name in scans), plan
    if index == "to_tsvector":  # one of requests and answers, one of errors
        assert {name.rpartition("_")[2] for name in scans} == {"idx", "idx1"}


async def test_facets_find_what_they_name_and_nothing_else(engine: AsyncEngine, recorder: Recorder) -> None:
    """A value of one field is not found in another.

    No part of a value can pass for another facet.
    """
    tenant = f"t-{uuid4().hex[:8]}"
    record = a_record(tenant=tenant, model="outcome=failed", prompt=None, degraded=("cheaper_model", "no_retries"))
    recorder.record(record)
    await recorder.flush()

    async def found(**wanted: Any) -> bool:  # noqa: ANN401 - any field of a filter
        return bool(await find_calls(engine, CallFilter(tenant=tenant, **wanted)))

    assert await found(model="outcome=failed", outcome="ok", stream=False, failed=False, degraded="no_retries")
    assert not await found(outcome="failed")
    assert not await found(provider="gpt-6-luna")
    assert not await found(degraded="last_resort")
    assert not await found(stream=True)
    assert not await found(failed=True)
    assert await found(prompt="")
    assert await found(target="support/answer", prompt_version="v2", model_answered="gpt-6-luna-2026-10-01")


async def test_failed_calls_are_found_without_calls_that_had_no_evidence(engine: AsyncEngine, recorder: Recorder) -> None:
    """A search for an outage does not return hand-overs."""
    tenant = f"t-{uuid4().hex[:8]}"
    records = {outcome: a_record(tenant=tenant, outcome=outcome) for outcome in ("ok", "no_evidence", "no_provider", "cancelled")}
    for record in records.values():
        recorder.record(record)
    await recorder.flush()
    failed = await find_calls(engine, CallFilter(tenant=tenant, failed=True))
    assert {row["outcome"] for row in failed} == {"no_provider", "cancelled"}
    assert [row["outcome"] for row in await find_calls(engine, CallFilter(tenant=tenant, failed=False))] == ["ok"]


async def test_a_failed_provider_is_found_by_its_attempts(engine: AsyncEngine, recorder: Recorder) -> None:
    """`provider` is the one that answered last, so an outage is searched by `tried`."""
    tenant = f"t-{uuid4().hex[:8]}"
    fell_back, attempts = a_record(tenant=tenant), a_record().attempts
    alone = a_record(tenant=tenant, attempts=attempts[1:])
    for record in (fell_back, alone):
        recorder.record(record)
    await recorder.flush()

    async def ids(**wanted: Any) -> set[str]:  # noqa: ANN401 - any field of a filter
        return {row["id"] for row in await find_calls(engine, CallFilter(tenant=tenant, **wanted))}

    assert await ids(provider="anthropic") == set()
    assert await ids(tried="anthropic") == {fell_back.id}
    assert await ids(tried="openai") == {fell_back.id, alone.id}
    assert await ids(tried="openai", provider="anthropic") == set()
    assert await ids(tried="anthropic", sort="cost") == {fell_back.id}
    code = attempts[0].outcome
    assert code != "ok" == attempts[1].outcome
    assert await ids(attempt=code) == {fell_back.id}
    assert await ids(attempt="ok") == {fell_back.id, alone.id}
    assert await ids(attempt=code, tried="openai") == set(), "one attempt has both"
    assert (await total_of(engine, CallFilter(tenant=tenant, attempt=code))).calls == 1


async def test_ranges_take_both_ends(engine: AsyncEngine, recorder: Recorder) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    for cost in (100, 200, 300):
        recorder.record(a_record(tenant=tenant, cost=MicroUSD(cost), latency_ms=cost / 10))
    await recorder.flush()

    async def costs(at_least: list[str], at_most: list[str]) -> list[int]:
        wanted = CallFilter(tenant=tenant, ranges=bounds_of(at_least, at_most), sort="cost", ascending=True)
        return [row["cost"] for row in await find_calls(engine, wanted)]

    assert await costs(["cost=0.0002"], []) == [200, 300]
    assert await costs(["latency_ms=10"], ["cost=0.0002", "latency_ms=30"]) == [100, 200]
    for wrong in ("cost", "cost=", "cost=nan", "price=1", "cost=1;drop", "request=1"):
        with pytest.raises(InvalidRequest, match="FIELD=NUMBER"):
            bounds_of([wrong], [])


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_follow_each_other_without_gap_or_repetition(
    engine: AsyncEngine, recorder: Recorder, sort: Sort, ascending: bool
) -> None:
    """Among equals too: 23 records, of which many share time, cost and latency."""
    tenant, at = f"t-{uuid4().hex[:8]}", datetime.now(UTC)
    records = [
        a_record(tenant=tenant, at=at - timedelta(hours=9 * (n // 5)), cost=MicroUSD(n // 4), latency_ms=0.1 * (n // 6))
        for n in range(23)
    ]
    for record in records:
        recorder.record(record)
    await recorder.flush()
    wanted = CallFilter(tenant=tenant, sort=sort, ascending=ascending, limit=4)
    seen: list[dict[str, Any]] = []
    while page := await find_calls(engine, wanted):
        seen += page
        wanted = replace(wanted, after=cursor_of(page[-1], sort))
    assert sorted(row["id"] for row in seen) == sorted(record.id for record in records)
    assert [row[sort] for row in seen] == sorted((row[sort] for row in seen), reverse=not ascending)
    exported = [row["id"] async for page in every_call(engine, replace(wanted, after=None, limit=20)) for row in page]
    assert exported == [row["id"] for row in seen[:20]]


def test_a_search_by_time_walks_its_days_in_doubling_steps() -> None:
    """Together they are the whole search, none twice."""
    newest = datetime(2026, 3, 31, tzinfo=UTC).date()
    days = [newest - timedelta(days=n) for n in range(12) if n != 4]
    noon = datetime(2026, 3, 22, 12, tzinfo=UTC)
    steps = list(windows_of(CallFilter(since=noon), days))
    assert [len(step) for step in steps] == [1, 1, 2, 4, 1]
    walked = [(day.since, day.until) for step in steps for day in step]
    assert walked[0] == (datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert walked[-1] == (noon, datetime(2026, 3, 23, tzinfo=UTC))
    up = [(day.since, day.until) for step in windows_of(CallFilter(since=noon, ascending=True), days) for day in step]
    assert up == walked[::-1]
    behind = cursor_of({"at": noon, "id": "x"}, "at")
    assert next(windows_of(CallFilter(after=behind), days))[0].until == noon + timedelta(microseconds=1)
    assert list(windows_of(CallFilter(since=datetime.max.replace(tzinfo=UTC)), days)) == []


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        (["ttft_ms=5000"], True), (["ttft_ms=5000.5"], False), (["held=0.0001"], True), (["fallbacks=1e300"], False),
        (["input_tokens=14.5"], True), (["input_tokens=15.5"], False), (["output_tokens=-1e300"], True),
        (["reasoning_tokens=2"], False),
    ],
)  # fmt: skip
async def test_figures_without_an_index_are_found_by_their_magnitude(
    engine: AsyncEngine, recorder: Recorder, bound: list[str], found: bool
) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    recorder.record(a_record(tenant=tenant, ttft_ms=5000.0))
    await recorder.flush()
    wanted = CallFilter(tenant=tenant, ranges=bounds_of(bound, ["ttft_ms=5000"]))
    assert bool(await find_calls(engine, wanted)) is found


@pytest.mark.parametrize("cached", [0, 12, 900_000])
async def test_a_bound_on_input_tokens_is_about_what_pages_show(engine: AsyncEngine, recorder: Recorder, cached: int) -> None:
    """Those of the prompt cache count: bounds, rows and totals have one definition, wherever the tokens come from."""
    tenant = f"t-{uuid4().hex[:8]}"
    recorder.record(a_record(tenant=tenant, usage=Usage(input=3, output=1, cached_input=cached, cache_write=2)))
    await recorder.flush()
    whole = cached + 5

    async def found(least: int, most: int) -> bool:
        ranges = bounds_of([f"input_tokens={least}"], [f"input_tokens={most}"])
        rows = await find_calls(engine, CallFilter(tenant=tenant, ranges=ranges))
        total = await total_of(engine, CallFilter(tenant=tenant, ranges=ranges))
        assert (total.input_tokens, total.bound) == (sum(map(input_of, rows)), any(row["usage_estimated"] for row in rows))
        return bool(rows)

    assert await found(whole, whole)
    assert not await found(whole + 1, whole + 9)
    assert not await found(0, whole - 1)


@pytest.mark.parametrize("field", ["tenant", "id", "text", "outcome", "degraded"])
async def test_what_no_record_can_hold_is_refused_in_words(engine: AsyncEngine, field: str) -> None:
    for word in ("nul \0", "half \ud800"):
        filters: dict[str, Any] = {field: word}
        with pytest.raises(InvalidRequest, match="no record") as refused:
            await find_calls(engine, CallFilter(**filters))
        assert refused.value.param == field


@pytest.mark.parametrize("cursor", ["", "x", "bm90anNvbg==", "WzFd", "WyJjb3N0IiwgMSwgImEiXQ==", "WyJhdCIsICJ4IiwgImEiXQ=="])
async def test_a_cursor_of_another_search_is_refused(engine: AsyncEngine, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor") if cursor else nullcontext():
        await find_calls(engine, CallFilter(after=cursor))


async def test_rows_and_their_total_are_of_one_moment(engine: AsyncEngine, recorder: Recorder) -> None:
    wanted = CallFilter(tenant=f"t-{uuid4().hex[:8]}")
    recorder.record(a_record(tenant=wanted.tenant))
    await recorder.flush()
    async with searching.one_moment(engine) as connection:
        rows = await find_calls(connection, wanted)
        recorder.record(a_record(tenant=wanted.tenant))
        await recorder.flush()
        assert (len(rows), (await total_of(connection, wanted)).calls) == (1, 1)
    assert (len(await find_calls(engine, wanted)), (await total_of(engine, wanted)).calls) == (2, 2)


async def test_a_search_that_takes_too_long_is_ended_and_says_how_to_narrow_it(
    engine: AsyncEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LONGEST", 0.001)
    for _ in range(300):
        recorder.record(a_record(request=" ".join(uuid4().hex for _ in range(300))))
    await recorder.flush()
    with pytest.raises(InvalidRequest, match="Narrow it"):
        await find_calls(engine, CallFilter(text="-nothing -like -this", limit=10_000))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_a_file_holds_every_record_with_its_types(
    engine: AsyncEngine, recorder: Recorder, tmp_path: Path, form: str
) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    records = [a_record(tenant=tenant, ttft_ms=None if n else 5.5, request='{"m": "ü\\n\u2028"}') for n in range(3)]
    for record in records:
        recorder.record(record)
    await recorder.flush()
    path = tmp_path / f"calls.{form}"
    with path.open("wb") as file:
        write = export.write_jsonl if form == "jsonl" else export.write_parquet
        assert await write(every_call(engine, CallFilter(tenant=tenant, limit=100)), file) == 3
    if form == "jsonl":
        rows = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        assert {datetime.fromisoformat(row["at"]) for row in rows} == {record.at for record in records}
    else:
        rows = parquet.read_table(path).to_pylist()
        assert {row["at"] for row in rows} == {record.at for record in records}
    assert {row["id"] for row in rows} == {record.id for record in records}
    assert [(row["cost"], row["degraded"], row["stream"]) for row in rows] == [(42, ["guard:fake-role"], False)] * 3
    assert sorted(str(row["ttft_ms"]) for row in rows) == ["5.5", "None", "None"]
    assert rows[0]["request"] == records[0].request


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
    """O7: dropped records are counted."""
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
    """O7, with no disk to go to."""
    monkeypatch.setattr(recorder_module, "RETRY_FIRST", 0.02)
    spill = NOT_ON_DISK
    await _rename(engine, "calls", "calls_away")
    recorder = Recorder(engine, REDACTOR, spill, on_drop=drops, interval=0.01)
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
    nowhere = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    recorder = Recorder(nowhere, REDACTOR, NOT_ON_DISK, on_drop=drops, on_depth=depths.append, capacity=3)
    await recorder.start()
    for _ in range(5):
        recorder.record(a_record())
    assert (drops.total, max(depths)) == (2, 3)
    await recorder.aclose(grace=0.05)
    assert drops.total == 5, "what was never written is counted at the end"
    await nowhere.dispose()


async def test_the_queue_is_bounded_in_bytes_too(drops: Drops) -> None:
    nowhere = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    recorder = Recorder(nowhere, REDACTOR, NOT_ON_DISK, on_drop=drops, capacity_bytes=1_000)
    recorder.record(a_record(request="x" * 2_000))
    assert drops.total == 1
    await nowhere.dispose()


async def test_closing_writes_what_is_queued(engine: AsyncEngine, drops: Drops, spill: Spill) -> None:
    recorder = Recorder(engine, REDACTOR, spill, on_drop=drops)
    await recorder.start()
    records = [a_record() for _ in range(450)]
    for record in records:
        recorder.record(record)
    await recorder.aclose(grace=60)
    assert await get_call(engine, records[-1].id)
    assert drops.total == 0


async def _rename(engine: AsyncEngine, old: str, new: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
