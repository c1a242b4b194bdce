"""Facts of the last two minutes, and the caps that are used, on the real database (O1, C5)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from records import a_record
from redis.asyncio import Redis
from sqlalchemy import delete, event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from app.audit import just_now as facts
from app.audit import searching
from app.audit.just_now import Busiest, Cost, Dearest, JustNow, RefusedTenant, just_now
from app.audit.overview import overview
from app.audit.rows import Writer
from app.audit.scores import eval_drift
from app.audit.tables import failed_answers
from app.budget.scopes import key, shard_of
from app.budget.standing import used_caps
from app.budget.tables import alerts
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord

END = datetime(2026, 3, 5, 10, 0, 30, tzinfo=UTC)  # a day of its own
SECOND = timedelta(seconds=1)


async def test_two_minutes_by_tenant_kind_model_and_caller(engine: AsyncEngine) -> None:
    def attempt(model: str, cost: int, *, estimated: bool) -> Attempt:
        return Attempt(
            number=1, provider="openai", model=model, outcome="ok", started_ms=0.0, latency_ms=1.0, cost=MicroUSD(cost),
            usage=Usage(estimated=estimated),
        )  # fmt: skip

    plain = a_record(tenant="acme", outcome="ok", stream=False, fallbacks=0, degraded=(), attempts=())
    broken = replace(plain, outcome="provider_garbled", stream=True)
    turned_away = replace(plain, tenant="globex", outcome="budget_exceeded")
    made = [
        (500, broken), (121, turned_away),  # before the two minutes
        (90, broken), (80, replace(broken, request_id="req_last")), (85, replace(broken, outcome="cancelled", stream=False)),
        (100, replace(plain, attempts=(attempt("cheap", 10, estimated=False),))),
        (70, replace(plain, attempts=(attempt("dear", 100, estimated=True),))),
        (60, replace(plain, attempts=(attempt("dear", 100, estimated=False),))),
        (50, replace(turned_away, user="mallory")), (40, replace(turned_away, user="mallory")),
        (30, replace(turned_away, outcome="rate_limit_exceeded")),
        (20, replace(plain, tenant="globex")), (10, replace(plain, outcome="no_evidence")),
        (5, replace(turned_away, tenant="tiny")),
    ]  # fmt: skip
    await Writer(engine).write([replace(one, id=f"just-{n}", at=END - ago * SECOND) for n, (ago, one) in enumerate(made)])
    found = await just_now(engine, END)
    assert (found.calls, found.failed, found.failed_at, found.later) == (7, 3, END - 80 * SECOND, 3)
    assert found.refused == [
        RefusedTenant("globex", "budget_exceeded", 3, 4, let_in=1, user="mallory", of_user=2, newest=(3, 4)),
        RefusedTenant("tiny", "budget_exceeded", 1, 1, user="ada", of_user=1, newest=(1, 1)),
    ]
    assert [(one.code, one.calls, one.streams, one.request_id) for one in found.failures] == [
        ("provider_garbled", 2, 2, "req_last"), ("cancelled", 1, 0, plain.request_id),
    ]  # fmt: skip
    assert found.cost.calls == 7
    assert found.dearest == Dearest("openai", "dear", 200, 2, 1, 210)
    assert found.mistakes is None
    assert await just_now(engine, END + timedelta(minutes=10)) == JustNow(refused=[], failures=[], drifted=[])

    row = {"path": "/v1/chat/completions", "key_id": "k7", "message": "m", "at": END.replace(second=0), "tenant": "globex"}
    wrong = row | {"status": 400, "code": "invalid_request"}
    rows = [
        wrong | {"answers": 40, "request_id": "req_old", "at": END - 90 * SECOND, "key_id": "k1"},
        wrong | {"answers": 60, "request_id": "req_new"},
        row | {"status": 429, "code": "budget_exceeded", "answers": 900, "request_id": "req_cap"},
        row | {"status": 502, "code": "output_invalid", "answers": 900, "request_id": "req_5xx"},
        row | {"status": 404, "code": "not_found", "path": "unmatched", "answers": 900, "request_id": "req_scan"},
        row | {"status": 404, "code": "model_not_found", "answers": 99, "request_id": "req_404"},
    ]  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(failed_answers), rows)
    most = (await just_now(engine, END)).mistakes
    assert most is not None
    assert (most.tenant, most.status, most.answers, most.key_id, most.request_id) == ("globex", 400, 100, "k7", "req_new")
    assert most.calls == 12, "of the same whole minutes: with the one of 121 seconds before"
    assert (await just_now(engine, END + 89 * SECOND)).mistakes is not None
    assert (await just_now(engine, END + 90 * SECOND)).mistakes is None, "a whole minute has passed without one"


async def test_a_cap_that_is_used_is_known_from_its_alert_and_how_far_from_its_counter(
    engine: AsyncEngine, valkey: Redis
) -> None:
    tenant, now = uuid4().hex, datetime.now(UTC)
    row = {
        "tenant": tenant, "subject": "", "window": "2026-03-05", "share": 95, "limit": 1_000, "spent": 960,
        "ends_at": now + timedelta(hours=1), "scope": "tenant-day",
    }  # fmt: skip
    rows = [
        row,
        row | {"scope": "tenant-month", "limit": 2_000, "share": 80},
        row | {"scope": "user-day", "subject": "u", "limit": 5},
        row | {"limit": 7, "ends_at": now - timedelta(seconds=1)},  # of a cap that was changed
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(alerts), rows)
    counter = key(shard_of(tenant), tenant, "day", "2026-03-05")

    async def found() -> list[tuple[str, int, int]]:
        caps = await used_caps(engine, valkey, now, share=95, most=1_000)
        return [(one.window, one.spent, one.limit) for one in caps if one.tenant == tenant]

    assert await found() == [("day", 960, 1_000)]
    await valkey.hset(counter, mapping={"spent": 1_200, "held": 50})
    assert await found() == [("day", 1_250, 1_000)]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budget_alerts SET resolved_at = now() WHERE tenant = :tenant"), {"tenant": tenant})
    assert await found() == []


async def test_a_fault_is_as_old_as_the_first_failed_call_after_the_newest_answer(engine: AsyncEngine) -> None:
    """It lasts longer than two minutes; a call that the caller ended, and a caller's own mistake, say nothing."""
    end = END + timedelta(days=1)
    plain = a_record(tenant="outage", outcome="ok", stream=False, fallbacks=0, degraded=(), attempts=())
    failed = replace(plain, outcome="providers_unavailable")
    made = [(700, failed), (600, plain), (420, failed), (300, replace(plain, outcome="cancelled")), (90, failed),
            (60, replace(plain, outcome="budget_exceeded")), (50, replace(plain, outcome="invalid_request")),
            (40, replace(plain, outcome="context_length_exceeded")), (30, replace(plain, outcome="last_resort"))]  # fmt: skip
    await Writer(engine).write([replace(one, id=f"outage-{n}", at=end - ago * SECOND) for n, (ago, one) in enumerate(made)])
    found = await just_now(engine, end)
    assert (found.failing, found.failing_since) == (3, end - 420 * SECOND)


async def test_a_call_is_compared_with_calls_of_its_own_kind(engine: AsyncEngine) -> None:
    """Once the end of cheap calls made a request "3.9 times as much as before"."""
    end = END + timedelta(days=40)
    cheap = a_record(feature="chat", target="fast", outcome="ok", cost=MicroUSD(10), attempts=())
    dear = replace(cheap, target="smart", cost=MicroUSD(1_000))
    made = [(300, cheap)] * 90 + [(300, dear)] * 10 + [(30, dear)] * 20 + [(20, replace(dear, target="new"))] * 5
    await Writer(engine).write([replace(one, id=f"kind-{n}", at=end - ago * SECOND) for n, (ago, one) in enumerate(made)])
    assert (await just_now(engine, end)).cost == Cost(calls=20, calls_before=10, cost=20_000, usual=20_000.0)


@contextmanager
def written_behind(engine: AsyncEngine, words: str, late: Sequence[CallRecord]) -> Iterator[None]:
    """Write the records as soon as a query with these words has run, before those behind it."""
    waiting = [late]

    def write(*happened: object) -> None:
        if waiting and words in str(happened[2]):
            await_only(Writer(engine).write(waiting.pop()))

    event.listen(engine.sync_engine, "after_cursor_execute", write)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", write)


async def test_calls_that_are_written_meanwhile_count_in_no_figure_or_in_all(engine: AsyncEngine) -> None:
    """In a storm of refusals: a user has never more of them than its tenant."""
    until = END + timedelta(hours=3)
    refused = a_record(tenant="acme", user="mallory", outcome="budget_exceeded", attempts=(), at=until - SECOND)
    await Writer(engine).write([replace(refused, id="storm-0")])

    with written_behind(engine, "refused_at", [replace(refused, id=f"storm-{n}") for n in range(1, 4)]):
        found = await just_now(engine, until)
    assert found.refused == [RefusedTenant("acme", "budget_exceeded", 1, 1, user="mallory", of_user=1, newest=(1, 1))]
    [found_later] = (await just_now(engine, until)).refused
    assert found_later == RefusedTenant("acme", "budget_exceeded", 4, 4, user="mallory", of_user=4, newest=(4, 4))


async def test_the_figures_of_overview_are_of_one_moment_too(engine: AsyncEngine) -> None:
    until = END + timedelta(hours=6)
    broken = a_record(tenant="acme", outcome="provider_garbled", attempts=(), at=until - SECOND)
    await Writer(engine).write([replace(broken, id="moment-0")])
    with written_behind(engine, "date_bin", [replace(broken, id=f"moment-{n}") for n in range(1, 4)]):
        seen = await overview(engine, until - timedelta(hours=1), until, timedelta(hours=1), with_states=False)
    assert (seen.total.calls, seen.outcomes) == (1, [("provider_garbled", 1)])


async def test_most_of_a_tenants_newest_calls_are_refused_though_few_of_two_minutes_are(engine: AsyncEngine) -> None:
    end = END + timedelta(days=60)
    plain = a_record(tenant="limited", outcome="ok", stream=False, fallbacks=0, degraded=(), attempts=())
    limited = replace(plain, outcome="rate_limit_exceeded")
    made = [(100 - n / 10, plain) for n in range(300)] + [(18 - n / 2, limited) for n in range(30)]
    await Writer(engine).write([replace(one, id=f"limited-{n}", at=end - ago * SECOND) for n, (ago, one) in enumerate(made)])
    [found] = (await just_now(engine, end)).refused
    assert (found.refused, found.calls, found.newest) == (30, 330, (20, 20))


async def test_the_tenant_far_above_its_usual_number_is_known_with_its_key(engine: AsyncEngine) -> None:
    """A tenant that always sends more is not the one."""
    end = END + timedelta(days=70)
    big = a_record(tenant="big", key_id="k1", outcome="ok", stream=False, cost=MicroUSD(10), attempts=())
    small = replace(big, tenant="small", key_id="k2")
    usual = [(900 - n, big) for n in range(770)] + [(800, small)] * 130  # the flood began three minutes ago
    now = [(100, big)] * 20 + [(60, small)] * 30 + [(50, replace(small, key_id="leaked", user="mallory"))] * 120
    now.append((30, replace(big, tenant="new")))  # one call after none: it hid the flood
    rows = [replace(one, id=f"busy-{n}", at=end - ago * SECOND) for n, (ago, one) in enumerate([*usual, *now])]
    await Writer(engine).write(rows)
    assert (await just_now(engine, end)).busiest == Busiest("small", 150, 130, 1_500, "leaked", 120, "mallory", 120)


@pytest.mark.parametrize(("first", "known"), [(300, 180), (245, 125), (239, None)])
async def test_a_young_service_knows_what_is_usual_from_its_first_two_minutes_on(
    engine: AsyncEngine, first: int, known: int | None
) -> None:
    """``first``: seconds since the first call of all. A new service's flood had no name for its first 17 minutes."""
    end = END - timedelta(days=3_650)  # before all others
    made = a_record(tenant="young", key_id="k", outcome="ok", stream=False, cost=MicroUSD(1), attempts=())
    ago = [first, *(200 - n for n in range(20)), *(100 - n / 10 for n in range(400))]
    await Writer(engine).write([replace(made, id=f"young-{first}-{n}", at=end - one * SECOND) for n, one in enumerate(ago)])
    try:
        found = (await just_now(engine, end)).busiest
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM calls WHERE at < :end"), {"end": end})
    wanted = known and Busiest("young", 400, 21, 400, "k", 400, "ada", 400, timedelta(seconds=known))
    assert found == wanted


async def test_calls_that_were_refused_before_are_usual_too(engine: AsyncEngine) -> None:
    """After a stop of a quarter of an hour the usual calls were a flood "after none"."""
    end = END + timedelta(days=75)
    sent = a_record(tenant="resumed", outcome="ok", stream=False, attempts=())
    stopped = replace(sent, outcome="stopped_by_operator")
    made = [(1_100, sent), *((1_000 - n, stopped) for n in range(870)), *((110 - n / 2, sent) for n in range(200))]
    await Writer(engine).write([replace(one, id=f"resumed-{n}", at=end - ago * SECOND) for n, (ago, one) in enumerate(made)])
    found = (await just_now(engine, end)).busiest
    assert found is not None
    assert (found.tenant, found.calls, found.before > 700) == ("resumed", 200, True)


async def test_answers_found_to_have_drifted_are_news_for_an_hour(engine: AsyncEngine) -> None:
    end = END + timedelta(days=80)
    test = {"seen": 200, "mean": 0.2, "sum": 11.0, "least": 0.0}
    found = {"support": end - timedelta(minutes=59), "extract": end - timedelta(minutes=61)}
    async with engine.begin() as connection:
        await connection.execute(delete(eval_drift))
        await connection.execute(insert(eval_drift), [{"feature": name, "drifted_at": at} | test for name, at in found.items()])
    try:
        assert (await just_now(engine, end)).drifted == [("support", end - timedelta(minutes=59))]
    finally:
        async with engine.begin() as connection:
            await connection.execute(delete(eval_drift))


async def test_a_comparison_of_costs_that_takes_too_long_hides_no_other_fact(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = END + timedelta(days=50)
    await Writer(engine).write([a_record(id="slow-cost", at=end - SECOND, tenant="acme", outcome="budget_exceeded", attempts=())])
    monkeypatch.setattr(facts, "_BEFORE", text("SELECT pg_sleep(60)"))
    monkeypatch.setattr(searching, "LONGEST", 0.5)
    found = await just_now(engine, end)
    assert (found.cost, [one.tenant for one in found.refused]) == (Cost(), ["acme"])
