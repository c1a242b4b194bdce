"""Export and erasure of one user's data over all rooms (O8).

Erased data is not written again. The stores are real.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from conftest import own_database
from products import probes
from records import Drops, a_record
from redis.asyncio import Redis
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.api.feedback.tables import feedback
from app.audit import scores, shadow_answers
from app.audit.query import get_call
from app.audit.recorder import Recorder
from app.audit.rows import Writer
from app.audit.spill import Spill
from app.budget import tables as budget
from app.budget.scopes import key, shard_of
from app.domain.records import CallRecord
from app.erasure import erasure
from app.erasure.erasure import Person
from app.idempotency.tables import idempotency_keys
from app.jobs.tables import jobs
from app.migrations.metadata import METADATA
from app.security import tables as security
from app.security.redaction.redactor import FAILED, Redactor
from app.security.redaction.tenant_patterns import LATE, TenantPatterns

REDACTOR = Redactor(b"a key for the erasure tests")
TENANT, ADA, BOB = "northwind", "ada.lovelace@example.com", "bob"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "erasing") as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(own_url)
    yield engine
    await engine.dispose()


@dataclass(frozen=True, slots=True)
class Planted:
    person: Person
    record: CallRecord
    of_others: tuple[CallRecord, ...]


@pytest_asyncio.fixture
async def planted(own: AsyncEngine, valkey: Redis, tmp_path: Path) -> AsyncIterator[Planted]:
    """Rows of Ada and Bob in every table, written as the service does.

    And rows of Ada's namesake at another tenant.
    """
    record, bobs = (a_record(tenant=TENANT, user=user, request=f'{{"m": "I am {user}"}}') for user in (ADA, BOB))
    namesakes = a_record(tenant="globex", user=ADA)
    await _record(own, tmp_path, [record, bobs, namesakes])
    async with own.begin() as connection:
        for tenant in (TENANT, "globex"):
            await connection.execute(text("INSERT INTO tenants VALUES (:t, :t, 1, 1) ON CONFLICT DO NOTHING"), {"t": tenant})
        for tenant, user, call in ((TENANT, ADA, record), (TENANT, BOB, bobs), ("globex", ADA, namesakes)):
            for table, rows in _rows(tenant, user, call).items():
                await connection.execute(insert(table), rows)
    counter = key(shard_of(TENANT), TENANT, "day", f"{NOW:%Y-%m-%d}") + ":user:"
    await valkey.hset(counter + ADA, mapping={"spent": 70, "held": 0})
    await valkey.hset(counter + BOB, mapping={"spent": 30, "held": 0})
    yield Planted(Person.of(TENANT, ADA, REDACTOR), record, (bobs, namesakes))
    async with own.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        names = ", ".join(f'"{name}"' for metadata in METADATA for name in metadata.tables)
        await connection.execute(text(f"TRUNCATE {names}"))
    async for name in valkey.scan_iter(match=f"octant:{{{shard_of(TENANT)}}}:{TENANT}:*"):
        await valkey.delete(name)


def _rows(tenant: str, user: str, call: CallRecord) -> dict[Table, list[dict[str, object]]]:
    """Rows of a user in each table.

    They are tied to a call of the user where the API key named no user.
    """
    own = {"tenant": tenant, "user": user}
    unique = uuid4().hex
    headers = [["octant-trace-id", call.trace_id]]
    body = json.dumps({"user": user, "text": "hello"}).encode()
    job = {"tenant": tenant, "user": "", "key_id": "k", "path": "/v1/x", "due_at": NOW}
    kept = {"tenant": tenant, "user": "", "fingerprint": b"f", "status": 200, "body": user.encode(), "expires_at": NOW}
    money = {"lease": call.id, "kind": "settled", "shard": 0, "key_id": "k", "feature": "f", "amount": 7, "at": NOW, "day": "d"}
    alert = {"window": "w", "share": 50, "limit": 1, "spent": 1, "ends_at": NOW}
    return {
        security.users: [{"tenant_id": tenant, "id": user}],
        security.api_keys: [{"id": unique[:16], "tenant_id": tenant, "user_id": user, "name": "n", "digest": b"d", "scopes": []}],
        budget.ledger: [{**own, **money, "month": "m", "global_day": "g", "stream_ms": 1, "stream_seq": 1}],
        budget.user_caps: [{**own, "daily_cap": 5}],
        budget.alerts: [{"tenant": tenant, "subject": user, "scope": "user-day", **alert}],
        idempotency_keys: [{**kept, "key": unique, "token": uuid4(), "headers": headers}],
        jobs: [
            {**job, "id": call.request_id[:40], "state": "succeeded", "body": None, "response": user.encode()},
            {**job, "id": f"q{unique}", "state": "queued", "body": body, "response": None},
            {**job, "id": f"n{unique}", "state": "queued", "body": b'{"user": "x", "text": "\\u0000"}', "response": None},
        ],
        feedback: [{**own, "request_id": call.request_id, "rating": "bad", "comment": f"says {user}"}],
        scores.eval_scores: [
            {**own, "call_id": call.id, "at": NOW, "request_id": call.request_id, "feature": "f", "release": "r", "passed": False,
             "findings": [{"scorer": "figures", "words": f"says {user}"}]},
        ],
        scores.eval_candidates: [
            {**own, "digest": unique, "at": NOW, "request_id": call.request_id, "feature": "f", "release": "r", "times": 1,
             "reasons": ["low_score"], "asked": {"question": user}, "seen": {}},
        ],
        scores.eval_marks: [
            {**own, "call_id": call.id, "at": NOW, "request_id": call.request_id, "note": f"says {user}", "marked_at": NOW},
        ],
        shadow_answers.shadow_answers: [
            {**own, "id": unique, "shadow": 1, "at": NOW, "request_id": call.request_id, "feature": "f", "target": "t",
             "release": "r", "outcome": "ok", "latency_ms": 1.0, "cost": 1, "degraded": [], "request": f"says {user}"},
        ],
        **{table: rows for each in probes() for table, rows in each.rows(tenant, user, call.request_id).items()},
    }  # fmt: skip


async def _record(engine: AsyncEngine, folder: Path, records: list[CallRecord], redactor: Redactor = REDACTOR) -> None:
    drops = Drops()
    recorder = Recorder(engine, redactor, Spill(folder / "spill"), on_drop=drops, interval=0.01)
    await recorder.start()
    for record in records:
        recorder.record(record)
    await recorder.flush()
    await recorder.aclose()
    assert drops.total == 0


async def holding(engine: AsyncEngine, words: tuple[str, ...]) -> dict[str, int]:
    """Count the rows of each table that hold one of the words.

    In any column, of the tenant or without one.
    """
    found = {}
    async with engine.connect() as connection:
        for name in (name for metadata in METADATA for name in metadata.tables):
            rows = (await connection.execute(select(text("*")).select_from(text(f'"{name}"')))).mappings().all()
            held = [row for row in rows if row.get("tenant", row.get("tenant_id", TENANT)) == TENANT and "globex" not in str(row)]
            found[name] = sum(any(word in _readable(row) for word in words) for row in held)
    return {name: count for name, count in found.items() if count}


def _readable(row: object) -> str:
    return " ".join(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in dict(row).values())  # type: ignore[call-overload]


async def test_a_user_is_erased_in_every_room_and_no_other_user_is(own: AsyncEngine, valkey: Redis, planted: Planted) -> None:
    person, forms = planted.person, planted.person.forms
    before = await holding(own, forms)
    assert {"calls", "ledger", "jobs", "idempotency_keys", "users", "api_keys", "user_caps"} <= set(before)
    others = await holding(own, (BOB,))
    counted = await erasure.count(own, person)
    done = await erasure.erase(own, valkey, person, REDACTOR)
    assert done.rows == counted
    assert all(done.rows.values()), "every part of the plan is tried here"
    assert await holding(own, forms) == {}
    assert await holding(own, (BOB,)) == others
    for record in planted.of_others:
        assert await get_call(own, record.id)
    assert await get_call(own, planted.record.id) is None
    async with own.connect() as connection:
        money = await connection.execute(text('SELECT "user", amount FROM ledger WHERE tenant = :t ORDER BY 1'), {"t": TENANT})
        assert money.all() == [(BOB, 7), (person.pseudonym, 7)]
        key_row = await connection.execute(text("SELECT revoked_at FROM api_keys WHERE user_id = :p"), {"p": person.pseudonym})
        assert key_row.scalar_one() is not None
    counter = key(shard_of(TENANT), TENANT, "day", f"{NOW:%Y-%m-%d}") + ":user:"
    assert not await valkey.exists(counter + ADA)
    assert await valkey.hget(counter + person.pseudonym, "spent") == "70"
    assert await valkey.hget(counter + BOB, "spent") == "30"


async def test_what_another_user_said_of_an_answer_is_that_users(own: AsyncEngine, valkey: Redis, planted: Planted) -> None:
    """Feedback without a named user is erased with the user of the answer."""
    of_adas = {"tenant": TENANT, "request_id": planted.record.request_id, "rating": "bad"}
    async with own.begin() as connection:
        rows = [{**of_adas, "user": BOB, "comment": "bob's words"}, {**of_adas, "user": "", "comment": "unnamed words"}]
        await connection.execute(insert(feedback), rows)
    exported = json.dumps([row async for row in erasure.rows(own, planted.person)])
    assert ("bob's words" in exported, "unnamed words" in exported) == (False, True)
    await erasure.erase(own, valkey, planted.person, REDACTOR)
    async with own.connect() as connection:
        wanted = select(feedback.c.comment).where(feedback.c.request_id == planted.record.request_id)
        assert (await connection.execute(wanted)).scalars().all() == ["bob's words"]


async def test_erasing_twice_is_erasing_once(own: AsyncEngine, valkey: Redis, planted: Planted) -> None:
    await erasure.erase(own, valkey, planted.person, REDACTOR)
    again = await erasure.erase(own, valkey, planted.person, REDACTOR)
    assert not any(again.rows.values())
    assert not again.under_way


async def test_money_that_is_held_is_left_where_it_will_be_settled(own: AsyncEngine, valkey: Redis, planted: Planted) -> None:
    counter = key(shard_of(TENANT), TENANT, "day", f"{NOW:%Y-%m-%d}") + ":user:"
    await valkey.hset(counter + ADA, "held", "40")
    assert (await erasure.erase(own, valkey, planted.person, REDACTOR)).under_way
    assert await valkey.hgetall(counter + ADA) == {"spent": "70", "held": "40"}
    await valkey.hset(counter + ADA, mapping={"spent": 100, "held": 0})
    await valkey.hset(counter + planted.person.pseudonym, "spent", "5")
    assert not (await erasure.erase(own, valkey, planted.person, REDACTOR)).under_way
    assert await valkey.hget(counter + planted.person.pseudonym, "spent") == "105"


async def test_records_that_come_late_are_not_written_and_new_ones_are(
    own: AsyncEngine, valkey: Redis, planted: Planted, tmp_path: Path
) -> None:
    """From another worker's queue, or from a spill file that lay somewhere for a week."""
    spilled = Spill(tmp_path / "other")
    token = REDACTOR.redact(ADA, tenant=TENANT)
    spilled.append([a_record(tenant=TENANT, user=token, at=NOW - timedelta(days=7), id="call_spilled")])
    spilled.close()
    await erasure.erase(own, valkey, planted.person, REDACTOR)
    late, bobs = (a_record(tenant=TENANT, user=user, at=NOW) for user in (ADA, BOB))
    new = a_record(tenant=TENANT, user=ADA, at=datetime.now(UTC) + timedelta(seconds=1))
    recorder = Recorder(own, REDACTOR, Spill(tmp_path / "other"), on_drop=Drops(), interval=0.01)
    await recorder.start()
    for record in (late, bobs, new):
        recorder.record(record)
    await recorder.flush()
    async with asyncio.timeout(120):
        while list((tmp_path / "other").glob("*.jsonl")):  # noqa: ASYNC110 - the recorder has no event to wait for
            await asyncio.sleep(0.02)
    await recorder.aclose()
    assert [bool(await get_call(own, r)) for r in ("call_spilled", late.id, bobs.id, new.id)] == [False, False, True, True]


async def test_erasing_waits_for_who_is_writing(
    own: AsyncEngine, valkey: Redis, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that checked before the erasure was noted has not committed yet."""
    from app.audit import rows

    copying, go_on = asyncio.Event(), asyncio.Event()
    copy = rows._copy

    async def slow_copy(*args: object, **more: object) -> None:
        copying.set()
        await go_on.wait()
        await copy(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "_copy", slow_copy)
    late = replace(planted.record, id="call_in_flight", user=planted.person.forms[1], at=NOW)
    pseudonym = lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)  # noqa: E731 - as the recorder says it
    writing = asyncio.create_task(Writer(own, pseudonym).write([late]))
    await copying.wait()
    erasing = asyncio.create_task(erasure.erase(own, valkey, planted.person, REDACTOR))
    done, _ = await asyncio.wait([erasing], timeout=0.3)
    assert not done
    go_on.set()
    await writing
    assert (await erasing).rows["calls"] == 2
    assert await get_call(own, "call_in_flight") is None


async def test_records_are_found_under_every_pattern_that_the_tenant_ever_had(
    own: AsyncEngine, valkey: Redis, planted: Planted, tmp_path: Path
) -> None:
    """Erasing finds a record whose user id was redacted (O8).

    The pattern was removed since, or another one was added.
    """
    user, keep_days = "AC-4711 falcon", 30
    patterns = TenantPatterns(own, keep_days=keep_days)
    redactor = REDACTOR.with_patterns(())
    redactor._added = patterns
    held: list[str] = []

    async def recorded() -> str:
        await patterns.refresh()
        record = a_record(tenant=TENANT, user=user, request=f'{{"m": "I am {user}"}}')
        await _record(own, tmp_path, [record], redactor)
        held.append(redactor.redact(user, tenant=TENANT))
        return record.id

    calls = [await recorded()]
    await patterns.add(TENANT, "customer", "AC-[0-9]{4}")
    calls.append(await recorded())
    await patterns.add(TENANT, "code-name", "falcon")
    calls.append(await recorded())
    await patterns.remove(TENANT, "customer")
    await patterns.add(TENANT, "customer", "AC")
    calls.append(await recorded())
    await patterns.remove(TENANT, "customer")
    await patterns.remove(TENANT, "code-name")
    await patterns.refresh()
    assert len(set(held)) == 4
    assert redactor.redact(user, tenant=TENANT) == user

    person = Person.of(TENANT, user, redactor, await patterns.history(TENANT))
    assert set(person.forms) > {user, *held}, "the moment between a removal and the next pattern counts too"
    assert (await erasure.erase(own, valkey, person, redactor)).rows["calls"] == len(calls)
    assert [await get_call(own, call) for call in calls] == [None] * len(calls)
    for record in planted.of_others:
        assert await get_call(own, record.id) is not None

    assert await patterns.forget(datetime.now(UTC) + timedelta(days=keep_days)) == 0
    assert await patterns.forget(datetime.now(UTC) + timedelta(days=keep_days) + LATE) == 3
    assert await patterns.history(TENANT) == [()]


async def test_erasing_a_user_while_redaction_fails_erases_no_other_users_records(
    own: AsyncEngine, valkey: Redis, planted: Planted, tmp_path: Path
) -> None:
    """Records of that time have the same words for all users."""
    async with own.begin() as connection:
        row = {"tenant_id": TENANT, "name": "mine", "pattern": "("}
        await connection.execute(insert(security.redaction_patterns).values(row))
    patterns = TenantPatterns(own)
    await patterns.refresh()
    redactor = REDACTOR.with_patterns(patterns(TENANT))
    bobs = a_record(tenant=TENANT, user=BOB)
    await _record(own, tmp_path, [bobs], redactor)
    stored = await get_call(own, bobs.id)
    assert stored is not None
    assert stored["user"] == FAILED
    person = Person.of(TENANT, ADA, redactor, await patterns.history(TENANT))
    assert person.forms == (ADA, REDACTOR.redact(ADA, tenant=TENANT))
    assert (await erasure.erase(own, valkey, person, redactor)).rows["calls"] == 1
    assert await get_call(own, bobs.id) is not None


ONE = f"user#{'0' * 24}"
TO_ONE = f"UPDATE ledger SET \"user\" = '{ONE}'"  # noqa: S608 - our own words
FORGET = "SELECT ledger_forget('northwind', ARRAY['bob'], '{}')"
ON = "SET LOCAL octant.forgetting = 'on'"


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE ledger SET amount = 0"],
        [TO_ONE],
        [ON, "UPDATE ledger SET \"user\" = 'another'"],
        [ON, f"{TO_ONE}, amount = 0"],
        [ON, "DELETE FROM ledger"],
        [FORGET.format("alice")],
        [FORGET.format(ONE), TO_ONE],
        ["TRUNCATE ledger"],
    ],
)
async def test_the_ledger_takes_a_pseudonym_and_no_other_change(
    own: AsyncEngine, planted: Planted, statements: list[str]
) -> None:
    async with own.connect() as connection:
        for statement in statements[:-1]:
            await connection.execute(text(statement))
        with pytest.raises(DBAPIError, match="append-only"):
            await connection.execute(text(statements[-1]))


async def test_an_export_is_whole_and_of_one_user_and_holds_no_key(own: AsyncEngine, planted: Planted) -> None:
    rows = [row async for row in erasure.rows(own, planted.person)]
    counted = await erasure.count(own, planted.person)
    assert {table: sum(row["table"] == table for row in rows) for table in counted} == counted
    exported = json.dumps(rows)
    assert BOB not in exported
    assert "digest" not in exported
    assert "fingerprint" not in exported
    assert [row["request"] for row in rows if row["table"] == "calls"] == [f'{{"m": "I am {planted.person.forms[1]}"}}']
    assert [row["response"] for row in rows if row["table"] == "jobs" and row["response"]] == [ADA]
