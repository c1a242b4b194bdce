"""The overview's figures, read from records on the real database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from records import a_record
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.attempt_times import CALLS, Times, attempt_times
from app.audit.call_filter import CallFilter, bounds_of
from app.audit.failed_answers import SHOWN
from app.audit.failed_answers import failed_answers as failed_answers_of
from app.audit.figures import estimated_since
from app.audit.overview import EDGES, overview
from app.audit.query import find_calls, total_of
from app.audit.requests import MOST, Wanted, find_requests
from app.audit.rows import Writer
from app.audit.tables import failed_answers
from app.budget.standing import Everything
from app.budget.under_way import UnderWay
from app.console.health import Now, Stops, answer, kinds_of, last_minutes, of_stops, summary
from app.console.pages.overview import cost_steps
from app.console.provider_strips import FAILURE, Resting, strips_of
from app.console.ranges import Range
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord

MINUTE = timedelta(minutes=1)
BEGAN = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)  # a day of its own


def attempt(number: int, provider: str, outcome: str, *, violations: tuple[str, ...] = ()) -> Attempt:
    return Attempt(
        number=number, provider=provider, model="m", outcome=outcome, started_ms=0.0, latency_ms=1.0, violations=violations
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def recorded(engine: AsyncEngine) -> AsyncEngine:
    """One call each: answered, retried, fallen back, repaired, degraded, failed; and one that made no model call."""
    good, bad = attempt(1, "anthropic", "ok"), attempt(1, "anthropic", "provider_timeout")
    plain = a_record(at=BEGAN, tenant="overview", fallbacks=0, degraded=(), attempts=(good,), cost=MicroUSD(10), latency_ms=100.0)
    second = BEGAN + 2 * MINUTE
    records = [
        plain,
        replace(plain, id="o-retried", attempts=(bad, attempt(2, "anthropic", "ok"))),
        replace(plain, id="o-fallen", at=second, fallbacks=1, attempts=(bad, attempt(2, "openai", "ok"))),
        replace(
            plain,
            id="o-repaired",
            at=second,
            attempts=(attempt(1, "openai", "ok", violations=("x",)), attempt(2, "openai", "ok")),
        ),
        replace(plain, id="o-degraded", at=second, degraded=("cheaper",)),
        replace(
            plain, id="o-failed", at=second, outcome="providers_unavailable", attempts=(bad,), cost=MicroUSD(0), latency_ms=900.0
        ),
        replace(plain, id="o-none", at=second, outcome="no_evidence", attempts=()),
    ]
    await Writer(engine).write(records)
    return engine


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_attempts_of_a_short_range_are_found_by_their_time(engine: AsyncEngine) -> None:
    """A day has millions; a page of the last 5 min reads none of the others."""
    day = (BEGAN + timedelta(days=53)).replace(hour=0)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT records_partition(:day)"), {"day": day.date()})
        await connection.execute(SEEDED, {"day": day})
        name = f"attempts_{day:%Y%m%d}"
        await connection.execute(SUMMED_UP, {"name": name})  # in production the server does, by itself
        await connection.execute(text(f"ANALYZE {name}"))
        wanted = {"since": day + timedelta(hours=10), "until": day + timedelta(hours=10, minutes=5)}
        plan = "\n".join((await connection.execute(COUNTED, wanted)).scalars())
        await connection.rollback()
    assert f"Bitmap Index Scan on {name}_at_idx" in plan, plan


SEEDED = text("""
    INSERT INTO attempts (call_id, number, at, provider, model, outcome, started_ms, latency_ms, input_tokens, output_tokens,
                          cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated, cost)
    SELECT 's-' || n, 1, CAST(:day AS timestamptz) + n * interval '1 s', 'anthropic', 'm', 'ok', 1, 1, 1, 1, 0, 0, 0, false, 1
    FROM generate_series(1, 80000) AS n
""")
SUMMED_UP = text("""
    SELECT brin_summarize_new_values(indexrelid) FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE indrelid = CAST(:name AS regclass) AND relam = (SELECT oid FROM pg_am WHERE amname = 'brin')
""")
COUNTED = text("EXPLAIN SELECT provider, count(*) FROM attempts WHERE at >= :since AND at < :until GROUP BY 1")


async def test_rates_come_from_calls_and_their_attempts(recorded: AsyncEngine) -> None:
    seen = await overview(recorded, BEGAN, BEGAN + 5 * MINUTE, MINUTE)
    total = seen.total
    assert (total.calls, total.ok, total.failed) == (6, 5, 1)
    assert (total.retried, total.fallen_back, total.repaired, total.degraded) == (1, 1, 1, 1)
    assert (total.cost, sum(calls for _, calls, _ in seen.costs)) == (50, 6)
    assert [bucket.calls for bucket in seen.series] == [2, 0, 4, 0, 0]
    assert (await overview(recorded, BEGAN + MINUTE, BEGAN + 2 * MINUTE, MINUTE)).earlier, "a rate of zero, not the beginning"
    long_ago = BEGAN.replace(year=2000)
    assert not (await overview(recorded, long_ago, long_ago + MINUTE, MINUTE)).earlier
    young = await overview(recorded, long_ago, BEGAN + 5 * MINUTE, timedelta(days=30))
    assert (young.earlier, young.began is not None and young.began >= BEGAN) == (False, True), "its rate begins there"
    begun = await overview(recorded, BEGAN - 15 * MINUTE, BEGAN + 5 * MINUTE, 10 * MINUTE)
    assert begun.first == BEGAN, "within its step: before it nothing is known"
    assert not begun.earlier
    with statements(recorded) as sent:
        assert (await overview(recorded, BEGAN, BEGAN + 5 * MINUTE, MINUTE)).earlier
    assert not [one for one in sent if "EXISTS" in one], "a range that begins with calls asks for none before it"
    assert sum(bucket.cost for bucket in seen.series) == total.cost
    assert total.latency is not None
    assert total.latency[0] == 100.0
    assert seen.outcomes == [("providers_unavailable", 1)]
    assert {name: sum(n for n, _ in steps.values()) for name, steps in seen.providers.items()} == {"anthropic": 6, "openai": 3}

    range_ = Range(BEGAN, BEGAN + 5 * MINUTE, "")
    strips = strips_of(seen, range_, {"openai": Resting(FAILURE, "the circuit of m is open", frozenset({"m"}))})
    assert [(strip.name, strip.attempts, strip.failed) for strip in strips] == [("anthropic", 6, 3), ("openai", 3, 0)]
    assert (strips[1].kind, strips[1].word) == ("bad", "failing"), "an open circuit is the state, whatever the attempts were"
    assert strips[1].symptom == "a provider is failing", "the words that the runbook is searched by"
    kind, words = answer(seen, strips, range_)
    assert kind == "bad"
    assert "openai is failing (the circuit of m is open)" in words
    assert "83.3 % of 6 calls" in words
    rests = answer(seen, strips_of(seen, range_, {"groq": Resting(FAILURE, "the circuit of m is open")}), range_)[1]
    assert "groq is failing (the circuit of m is open)" in rests, "though no call of the range tried it"


async def test_a_request_is_all_its_calls_and_the_tools_between_them(engine: AsyncEngine) -> None:
    """The sums of requests and of calls are the same money, in each step and in all."""
    began = BEGAN + timedelta(hours=3)
    first = a_record(at=began, trace_id="t", request_id="one", before_ms=20.0, latency_ms=100.0, cost=MicroUSD(30))
    second = began + timedelta(milliseconds=700)  # after a tool of some 600 ms
    records = [
        first,
        replace(first, id="r-second", at=second, before_ms=720.0, latency_ms=200.0, cost=MicroUSD(50)),
        replace(first, id="r-other", request_id="two", before_ms=None, cost=MicroUSD(5)),
        replace(first, id="r-later", at=began + MINUTE, trace_id="u", before_ms=10.0, cost=MicroUSD(1)),
        replace(first, id="r-none", request_id="three", outcome="no_evidence"),
    ]
    await Writer(engine).write(records)
    seen = await overview(engine, began, began + 2 * MINUTE, MINUTE)
    total = seen.total
    assert (total.calls, total.requests, total.cost) == (4, 3, 86), "an id alone names no request: callers choose it"
    assert [(bucket.calls, bucket.requests, bucket.cost) for bucket in seen.series] == [(3, 2, 85), (1, 1, 1)]
    assert total.request_cost_bands == [5, 80]
    assert seen.series[0].request_latency
    assert seen.series[0].request_latency[0] == pytest.approx((100 + 920) / 2)
    assert sum(requests for *_, requests in seen.costs) == total.requests
    assert [(one.number, one.mean) for one in kinds_of(total)] == [(3, 86 / 3), (4, 86 / 4)]
    for step in cost_steps(seen.costs):
        bounds = bounds_of(
            *([f"cost={cost}" for name, cost in step.found_by.items() if name[:3] == end] for end in ("min", "max"))
        )
        wanted = CallFilter(since=began, until=began + 2 * MINUTE, ranges=bounds, needed_model=True, refused=False)
        assert (await total_of(engine, wanted)).calls == step.calls, step.words
    assert [step.begins for step in cost_steps(seen.costs)][:4] == ["<$0.00001", "", "", ""]
    steps = {step.words: (step.requests, step.calls) for step in cost_steps(seen.costs)}
    assert steps == {
        "under $0.00001": (2, 2),
        "$0.00001 to $0.00002": (0, 0),
        "$0.00002 to $0.00005": (0, 1),
        "$0.00005 to $0.0001": (1, 1),
    }


async def test_a_lost_race_is_charged_to_the_provider_that_was_too_slow(engine: AsyncEngine) -> None:
    """The one that was overtaken is at fault. The one that another model answered before, or whose caller left, is not."""
    began = BEGAN + timedelta(hours=5)
    plain = a_record(at=began, tenant="overview", fallbacks=0, degraded=(), attempts=(), cost=MicroUSD(50))
    guess, known = Usage(output=9, estimated=True), Usage(output=3)
    lost = replace(attempt(1, "openai", "cancelled"), cost=MicroUSD(40), usage=guess)
    slow = replace(attempt(1, "anthropic", "provider_timeout"), cost=MicroUSD(40), usage=guess)
    records = [
        *(
            replace(
                plain, id=f"race-{n}", attempts=(lost, replace(attempt(2, "anthropic", "ok"), cost=MicroUSD(10), usage=known))
            )
            for n in range(5)
        ),
        *(replace(plain, id=f"late-{n}", fallbacks=1, attempts=(slow, attempt(2, "openai", "ok"))) for n in range(3)),
        replace(plain, id="left", outcome="cancelled", fallbacks=1, attempts=(replace(lost, cost=MicroUSD(0)),)),
        replace(plain, id="too-long", attempts=(attempt(1, "openai", "provider_rejected"), attempt(2, "anthropic", "ok"))),
    ]
    await Writer(engine).write(records)
    seen = await overview(engine, began, began + MINUTE, MINUTE)
    assert {name: next(iter(steps.values())) for name, steps in seen.providers.items()} == {"anthropic": (9, 3), "openai": (4, 0)}
    assert (seen.total.fallen_back, seen.total.cost, seen.total.estimated) == (3, 500, 320)
    assert seen.total.estimated <= await estimated_since(engine, began), "later tests' records may add to it"

    range_ = Range(began, began + MINUTE, "")
    strips = strips_of(seen, range_, {})
    assert {strip.name: strip.word for strip in strips} == {"anthropic": "slow", "openai": "answering"}
    _, words = answer(seen, strips, range_)
    assert words.startswith("anthropic is slow (3 of 9 attempts in 5 min got no answer in time, all of m); ")
    assert "openai" not in words
    assert words.endswith(" 3 by another model (30 %).")


async def test_a_provider_that_takes_several_times_its_usual_time_is_slow(engine: AsyncEngine) -> None:
    """Sixty quick answers and five slow ones: no attempt failed, and all is not well. Quick ones after them end it."""
    began = BEGAN + timedelta(hours=7)
    plain = a_record(at=began, tenant="overview", fallbacks=0, degraded=(), attempts=(), cost=MicroUSD(50))
    quick, slow = (replace(attempt(1, "anthropic", "ok"), latency_ms=ms) for ms in (59.0, 3050.0))
    times = [(quick, 60, timedelta()), (slow, 5, timedelta(seconds=100)), (quick, 5, timedelta(seconds=200))]
    for number, (one, count, later) in enumerate(times):
        records = [
            replace(plain, id=f"slow-{number}-{n}", at=began + later + timedelta(seconds=n), attempts=(one,))
            for n in range(count)
        ]
        await Writer(engine).write(records)
    said = []
    for seconds in (90, 150, 250):
        range_ = Range(began, began + timedelta(seconds=seconds), "")
        seen = await overview(engine, range_.since, range_.until, MINUTE)
        said.append(answer(seen, strips_of(seen, range_, {}), range_))
    assert [kind for kind, _ in said] == ["good", "warn", "good"]
    assert said[1][1].startswith("anthropic is slow (3.05 s where 59 ms is usual); ")


async def test_a_providers_state_is_that_of_the_last_minutes(engine: AsyncEngine) -> None:
    began = BEGAN + timedelta(hours=9)
    plain = a_record(at=began, tenant="overview", fallbacks=0, degraded=(), attempts=())
    bad, good = (attempt(1, "anthropic", outcome) for outcome in ("provider_failed", "ok"))
    records = [
        *(replace(plain, id=f"then-{n}", attempts=(bad,)) for n in range(4)),
        replace(plain, id="now", at=began + 55 * MINUTE, attempts=(good,)),
    ]
    await Writer(engine).write(records)
    range_ = Range(began, began + 60 * MINUTE, "")
    seen = await overview(engine, range_.since, range_.until, MINUTE)
    [strip] = strips_of(seen, range_, {})
    assert (strip.word, strip.failed, strip.symptom) == ("answering", 4, "")


async def test_a_model_that_is_not_tried_any_more_says_nothing_about_now(engine: AsyncEngine) -> None:
    """A fallback was slow for minutes after the first model was well: no call tried it, so none showed that it was well."""
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    quick = replace(attempt(1, "openai", "ok"), latency_ms=10.0)
    slow, usual = (replace(quick, model="sol", latency_ms=ms) for ms in (15_000.0, 10.0))
    words = []
    for days, (last_slow, answers) in enumerate(((100, 20), (100, 2), (30, 20)), start=60):
        end = BEGAN + timedelta(days=days)
        made = [(1_200, usual)] * 20 + [(last_slow, slow)] * 5 + [(20, quick)] * answers
        rows = [
            replace(plain, id=f"past-{days}-{n}", at=end - timedelta(seconds=s), attempts=(a,)) for n, (s, a) in enumerate(made)
        ]
        await Writer(engine).write(rows)
        range_ = Range(end - timedelta(minutes=10), end, "")
        [strip] = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        words.append(strip.word)
    assert words == ["answering", "slow", "slow"], "of few other answers nothing follows, and it was tried half a minute ago"


async def test_a_provider_that_no_call_tries_is_not_said_to_answer(engine: AsyncEngine) -> None:
    """With both slow the second was green, by answers of before: no call tried it any more."""
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    shown = []
    for days, newest in enumerate((61, 59), start=95):
        end = BEGAN + timedelta(days=days)
        made = [(newest + n, attempt(1, "openai", "ok")) for n in range(20)]
        made += [(2 * n + 1, attempt(1, "anthropic", "ok")) for n in range(20)]
        rows = [
            replace(plain, id=f"tried-{days}-{n}", at=end - timedelta(seconds=s), attempts=(a,)) for n, (s, a) in enumerate(made)
        ]
        await Writer(engine).write(rows)
        range_ = Range(end - timedelta(minutes=10), end, "")
        strips = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        shown.append([(one.kind, one.word, one.why) for one in strips])
    untried = ("none", "not tried", f"since {(BEGAN - timedelta(seconds=61)).astimezone(UTC):%H:%M} UTC")
    answering = ("good", "answering", "")
    assert shown == [[answering, untried], [answering, answering]]


async def test_a_provider_is_dead_only_where_each_of_its_models_failed_last(engine: AsyncEngine) -> None:
    """Five embeddings that failed at once offered to stop the provider whose chat models answered."""
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    for days, (last, dead) in enumerate((("ok", False), ("provider_failed", True)), start=80):
        end = BEGAN + timedelta(days=days)
        chat = [(60 - n, attempt(1, "openai", "ok")) for n in range(50)] + [(9, attempt(1, "openai", last))]
        failing = [(4 + n / 10, replace(attempt(1, "openai", "provider_failed"), model="embed")) for n in range(5)]
        rows = [
            replace(plain, id=f"dead-{days}-{n}", at=end - timedelta(seconds=seconds), attempts=(one,))
            for n, (seconds, one) in enumerate([*chat, *failing])
        ]
        await Writer(engine).write(rows)
        range_ = Range(end - timedelta(minutes=10), end, "")
        seen = await overview(engine, range_.since, range_.until, MINUTE)
        [strip] = strips_of(seen, range_, {})
        assert (seen.states["openai"].dead, strip.away, strip.kind) == (dead, dead, "bad" if dead else "warn")


async def test_answers_that_missed_their_schema_are_over_after_a_minute_without_one(engine: AsyncEngine) -> None:
    """They led the first page for five minutes, before what was wrong by then."""
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    found = []
    for days, last in enumerate((50, 70), start=85):
        end = BEGAN + timedelta(days=days)
        made = [(last + n, "output_invalid") for n in range(8)] + [(5 * n, "ok") for n in range(20)]
        rows = [
            replace(
                plain, id=f"shape-{days}-{n}", at=end - timedelta(seconds=s, milliseconds=1), attempts=(attempt(1, "openai", o),)
            )
            for n, (s, o) in enumerate(made)
        ]
        await Writer(engine).write(rows)
        range_ = Range(end - timedelta(minutes=10), end, "")
        [strip] = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        found.append((strip.word, strip.kind))
    assert found == [("malformed answers", "warn"), ("answering", "good")]


async def test_the_newest_failures_say_what_goes_wrong(engine: AsyncEngine) -> None:
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    end = BEGAN + timedelta(days=70)
    made = [(200, "provider_failed")] * 8 + [(30, "provider_rate_limited")] * 4 + [(20, "ok")]
    rows = [
        replace(plain, id=f"cause-{n}", at=end - timedelta(seconds=seconds), attempts=(attempt(1, "anthropic", outcome),))
        for n, (seconds, outcome) in enumerate(made)
    ]
    await Writer(engine).write(rows)
    seen = await overview(engine, end - timedelta(minutes=10), end, MINUTE)
    assert seen.states["anthropic"].cause == "provider_rate_limited"


async def test_a_provider_that_answers_again_is_not_one_with_some_errors(engine: AsyncEngine) -> None:
    """After an outage a few answers in a row show it; at one error in ten, as many are chance."""
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    bad, good = (attempt(1, "anthropic", outcome) for outcome in ("provider_failed", "ok"))
    words = []
    for hours, outcomes in enumerate(("x" * 12 + "." * 2, "x" * 12 + "." * 5, "x........." * 3, "x" * 12 + "." * 20), start=13):
        began = BEGAN + timedelta(hours=hours)
        records = [
            replace(plain, id=f"again-{hours}-{n}", at=began + timedelta(seconds=n), attempts=(bad if one == "x" else good,))
            for n, one in enumerate(outcomes)
        ]
        await Writer(engine).write(records)
        range_ = Range(began, began + MINUTE, "")
        [strip] = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        words.append((strip.word, strip.kind))
    assert words == [("failing", "bad"), ("answering again", "warn"), ("errors", "warn"), ("answering again", "good")]


async def test_one_failed_attempt_or_two_make_no_provider_failing(engine: AsyncEngine) -> None:
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    bad, found = attempt(1, "anthropic", "provider_timeout"), []
    for failed in (1, 2, 3):
        began = BEGAN + timedelta(hours=30 + failed)
        await Writer(engine).write(
            [replace(plain, id=f"few-{failed}-{n}", at=began + timedelta(seconds=n), attempts=(bad,)) for n in range(failed)]
        )
        range_ = Range(began, began + MINUTE, "")
        [strip] = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        found.append((strip.word, strip.kind, strip.why))
    assert [kind for _, kind, _ in found] == ["warn", "warn", "bad"]
    assert found[0] == ("slow", "warn", "its only attempt in 5 min got no answer in time, all of m")


async def test_a_refusal_on_purpose_is_no_failure(engine: AsyncEngine) -> None:
    """And a call that needed no model is in no figure: the page says how many there are."""
    began = BEGAN + timedelta(hours=11)
    plain = a_record(at=began, tenant="overview", fallbacks=0, degraded=(), attempts=(attempt(1, "anthropic", "ok"),))
    outcomes = ["ok", "budget_exceeded", "budget_exceeded", "rate_limit_exceeded", "stopped_by_operator", "no_evidence"]
    records = [
        replace(plain, id=f"no-{n}", outcome=name, attempts=plain.attempts if name == "ok" else ())
        for n, name in enumerate(outcomes)
    ]
    await Writer(engine).write(records)
    range_ = Range(began, began + MINUTE, "")
    seen = await overview(engine, range_.since, range_.until, MINUTE)
    assert (seen.total.calls, seen.total.refused, seen.total.failed, seen.unneeded) == (1, 4, 0, 1)
    kind, words = answer(seen, strips_of(seen, range_, {}), range_)
    assert kind == "good"
    assert words.startswith("All is well: 100 % of 1 call ")
    assert "(not counted: 2 refused by a cap, 1 refused by a rate limit, 1 refused by an operator's stop)" in words
    wanted = CallFilter(tenant="overview", since=began, until=began + MINUTE)
    total = await total_of(engine, wanted)
    assert (total.failed, total.refused) == (0, 4), "the list of the calls counts as the overview does"
    assert not await find_calls(engine, replace(wanted, failed=True, refused=False)), "no call is behind no failure"
    assert len(await find_calls(engine, replace(wanted, refused=True))) == 4


async def test_a_storm_of_refusals_is_named_and_makes_no_figure_look_better(engine: AsyncEngine) -> None:
    began = BEGAN + timedelta(hours=12)
    plain = a_record(at=began, tenant="overview", fallbacks=0, degraded=(), cost=MicroUSD(500), latency_ms=400.0, ttft_ms=90.0)
    good = replace(plain, id="storm-ok", attempts=(attempt(1, "anthropic", "ok"),))
    refused = replace(plain, outcome="budget_exceeded", attempts=(), cost=MicroUSD(0), latency_ms=2.0, ttft_ms=None)
    refused = replace(refused, degraded=("cheaper_model",))  # made cheaper first, and refused all the same: 204 % were degraded
    storm = [replace(refused, id=f"storm-{n}", request_id=f"storm-{n}") for n in range(30)]
    await Writer(engine).write([good])
    range_ = Range(began, began + MINUTE, "")
    before = await overview(engine, range_.since, range_.until, MINUTE)
    await Writer(engine).write(storm)
    seen = await overview(engine, range_.since, range_.until, MINUTE)
    assert replace(seen.total, refused=0) == before.total, "what was refused is in no other figure"
    assert (seen.total.refused, seen.costs) == (30, before.costs)
    listed, total = await find_requests(engine, Wanted(since=range_.since, until=range_.until))
    assert len(listed) == total.requests == seen.total.requests == 1, "nor in the list of requests"
    kind, words = answer(seen, strips_of(seen, range_, {}), range_)
    refusals = "96.8 % of all calls were refused: 30 refused by a cap."
    assert (kind, words) == ("warn", f"{refusals} Of the others 100 % of 1 call {range_.words} were answered.")
    none_let_through = replace(seen, total=replace(seen.total, calls=0, ok=0, requests=0))
    assert answer(none_let_through, (), range_)[0] == "warn"


async def test_answers_of_5xx_that_no_call_knows_are_named(engine: AsyncEngine) -> None:
    """A product that cannot use an answer fails after its call: every figure of calls is good, and its callers get 502."""
    day = BEGAN + timedelta(days=41)
    good = attempt(1, "anthropic", "ok")
    calls = [a_record(at=day, tenant="overview-5xx", fallbacks=0, degraded=(), attempts=(good,)) for _ in range(20)]
    await Writer(engine).write(calls)
    row = {"at": day, "tenant": "overview-5xx", "path": "/v1/extract", "request_id": "req_1", "key_id": "k", "message": "m"}
    async with engine.begin() as connection:
        await connection.execute(insert(failed_answers).values(row | {"status": 404, "code": "model_not_found", "answers": 90}))
    range_ = Range(day, day + 5 * MINUTE, "")
    seen = await overview(engine, range_.since, range_.until, range_.width)
    assert answer(seen, strips_of(seen, range_, {}), range_)[0] == "good", "a caller's own mistakes are no trouble of ours"
    async with engine.begin() as connection:
        await connection.execute(insert(failed_answers).values(row | {"status": 502, "code": "output_invalid", "answers": 3}))
    seen = await overview(engine, range_.since, range_.until, range_.width)
    kind, words = answer(seen, strips_of(seen, range_, {}), range_)
    assert kind == "warn"
    assert words.startswith("3 requests got an answer of 5xx (502 output_invalid on /v1/extract: 3), though of the calls 100 %")


async def test_what_has_just_begun_comes_first_and_so_does_that_it_is_over(engine: AsyncEngine) -> None:
    """A thousand good calls of before hide an outage of a minute, and an outage of before all that is good now."""
    good, bad = attempt(1, "anthropic", "ok"), attempt(1, "anthropic", "provider_failed")
    answered = a_record(tenant="just-now", fallbacks=0, degraded=(), attempts=(good,))
    failed = replace(answered, outcome="providers_unavailable", attempts=(bad,))
    said = []
    for days, before, after in ((43, answered, failed), (44, failed, answered), (45, failed, failed), (46, answered, answered)):
        end = BEGAN + timedelta(days=days)
        times = [(before, 40, timedelta(minutes=10)), (after, 12, timedelta(seconds=50))]
        records = [
            replace(one, id=f"just-{days}-{n}-{ago}", at=end - ago + timedelta(seconds=n))
            for one, count, ago in times
            for n in range(count)
        ]
        await Writer(engine).write(records)
        whole = Range(end - timedelta(minutes=15), end, "15m")
        latest = last_minutes(whole)
        assert latest
        seen, newest = [
            await overview(engine, one.since, one.until, one.width, with_states=one is whole) for one in (whole, latest)
        ]
        said.append(summary(seen, whole, newest, None, Stops())[:2])
        stopped = ["An operator has stopped tenant x.", *(words.replace("All is well: ", "") for words in said[-1][1])]
        assert summary(seen, whole, newest, None, Stops(words=of_stops(["tenant x"])))[1] == stopped, (
            "all is not well with a stop"
        )
    kinds = [(kind, len(sentences)) for kind, sentences in said]
    assert kinds == [("bad", 2), ("warn", 2), ("bad", 1), ("good", 1)], said
    assert said[0][1][0].startswith(
        "Just now: anthropic is failing (100 % of attempts in 5 min failed, all of m); 0 % of 12 calls in"
    )
    assert said[1][1][0].startswith("Just now: All is well: 100 % of 12 calls")


async def test_a_provider_whose_every_attempt_fails_now_is_failing_whatever_came_before(engine: AsyncEngine) -> None:
    plain = a_record(tenant="overview", fallbacks=0, degraded=(), attempts=())
    bad, good = (attempt(1, "anthropic", outcome) for outcome in ("provider_failed", "ok"))
    found = []
    for days, outcomes in enumerate(("." * 60 + "x" * 4, "." * 60 + "x" * 2, "x." * 15 + "xxx"), start=50):
        began = BEGAN + timedelta(days=days)
        records = [
            replace(plain, id=f"now-{days}-{n}", at=began + timedelta(seconds=n), attempts=(bad if one == "x" else good,))
            for n, one in enumerate(outcomes)
        ]
        await Writer(engine).write(records)
        range_ = Range(began, began + 2 * MINUTE, "")
        [strip] = strips_of(await overview(engine, range_.since, range_.until, MINUTE), range_, {})
        found.append((strip.word, strip.why))
    assert found[0] == ("failing", "none of the newest 4 attempts at m was answered")
    assert [word for word, _ in found[1:]] == ["answering", "failing"], "two may be chance, and so may three where half fail"
    assert found[2][1].endswith("of attempts in 5 min failed, all of m")


async def test_calls_that_wait_far_longer_than_calls_take_are_named_though_no_record_has_them(engine: AsyncEngine) -> None:
    """Where every provider hangs, nothing ends: every figure of ended calls stays good until the first time-out."""
    end = BEGAN + timedelta(days=48)
    call = a_record(tenant="waiting", at=end - timedelta(minutes=3), fallbacks=0, degraded=(), latency_ms=1200.0)
    await Writer(engine).write([replace(call, id=f"waiting-{n}", attempts=(attempt(1, "anthropic", "ok"),)) for n in range(20)])
    range_ = Range(end - timedelta(minutes=15), end, "15m")
    seen = await overview(engine, range_.since, range_.until, range_.width)
    money = Everything(spent=0, held=0, granted=0, cap=1, resets_at=end)

    def state(*ages: float) -> Now:
        about = {"trace_id": "", "request_id": "", "tenant": "t", "user": "", "key_id": "k", "feature": "chat", "held": 1}
        calls = [UnderWay(call_id=str(age), began_at=end - timedelta(seconds=age), **about) for age in ages]  # type: ignore[arg-type]
        return Now((), money, (len(calls), calls))

    kind, said, *_ = summary(seen, range_, seen, state(25.0, 14.0, 13.5, 12.0, 2.0), Stops())
    assert kind == "bad"
    assert said[0] == (
        "4 calls under way for up to 25.0 s, where 95 % took at most 1.20 s: without an answer yet, they are in no figure here."
    )
    for few in (state(25.0, 14.0, 2.0), state(9.0, 8.0, 8.0, 8.0)):  # two may be long ones; none waits long yet
        assert summary(seen, range_, seen, few, Stops())[0] == "good"


async def test_refusals_are_shown_beside_many_kinds_of_errors(engine: AsyncEngine) -> None:
    """A tenant at its cap, in the minutes of an outage that gave a dozen kinds of 5xx."""
    day = BEGAN + timedelta(days=47)
    row = {"at": day, "tenant": "many", "request_id": "req_1", "key_id": "k", "message": "m"}
    rows = [row | {"path": f"/v1/{n}", "status": 503, "code": "dependency_unavailable", "answers": 9} for n in range(20)]
    rows.append(row | {"path": "/v1/chat/completions", "status": 429, "code": "budget_exceeded", "answers": 3})
    async with engine.begin() as connection:
        await connection.execute(insert(failed_answers), rows)
        found = await failed_answers_of(connection, day, day + MINUTE)
    assert [one.status for one in found] == [503] * SHOWN + [429]


async def test_the_total_of_a_search_is_the_sum_of_its_rows(recorded: AsyncEngine) -> None:
    wanted = CallFilter(tenant="overview", since=BEGAN, until=BEGAN + 5 * MINUTE, limit=100)
    rows, total = await find_calls(recorded, wanted), await total_of(recorded, wanted)
    assert rows
    assert total.calls == len(rows)
    assert total.cost == sum(row["cost"] for row in rows)
    assert total.failed == sum(row["outcome"] not in ("ok", "no_evidence") for row in rows)
    assert total.input_tokens == sum(
        row["input_tokens"] + row["cached_input_tokens"] + row["cache_write_tokens"] for row in rows
    ), "tokens of the prompt cache are read too"
    assert sum(row["cached_input_tokens"] + row["cache_write_tokens"] for row in rows), "or the sum above shows nothing"
    assert (await total_of(recorded, replace(wanted, failed=True))).calls == total.failed + total.refused


async def test_the_overviews_number_of_calls_leads_to_as_many(recorded: AsyncEngine) -> None:
    """What needed no model counts in no rate, so it is not behind the link either."""
    shown = (await overview(recorded, BEGAN, BEGAN + 5 * MINUTE, MINUTE)).total.calls
    wanted = CallFilter(tenant="overview", since=BEGAN, until=BEGAN + 5 * MINUTE)
    assert (await total_of(recorded, replace(wanted, needed_model=True, refused=False))).calls == shown
    assert [row["id"] for row in await find_calls(recorded, replace(wanted, needed_model=False))] == ["o-none"]


async def test_the_overviews_figures_of_requests_lead_to_a_list_with_the_same_sums(recorded: AsyncEngine) -> None:
    seen = await overview(recorded, BEGAN, BEGAN + 5 * MINUTE, MINUTE)
    shown = seen.total
    rows, total = await find_requests(recorded, Wanted(since=BEGAN, until=BEGAN + 5 * MINUTE, sort="latency_ms"))
    assert shown.request_latency
    assert (total.requests, total.calls, total.cost) == (shown.requests, shown.calls, shown.request_cost)
    assert total.latency_ms == pytest.approx(shown.request_latency[:2])
    assert len(rows) == total.requests
    assert sum(row["cost"] for row in rows) == total.cost
    assert [row["latency_ms"] for row in rows] == sorted((row["latency_ms"] for row in rows), reverse=True)
    for least, _, requests in seen.costs:
        most = next((edge for edge in EDGES if edge > least), None)
        step = Wanted(since=BEGAN, until=BEGAN + 5 * MINUTE, least=least, most=most - 1 if most else MOST, limit=1)
        assert (await find_requests(recorded, step))[1].requests == requests
    second = await find_requests(recorded, Wanted(since=BEGAN, until=BEGAN + 5 * MINUTE, sort="latency_ms", limit=1, skip=1))
    assert second == (rows[1:2], total)


async def test_a_provider_that_is_silent_or_slow_stands_out(engine: AsyncEngine) -> None:
    """Of two that are silent neither is the cause. A cancelled attempt and a call that needed no model are in no share."""
    at = BEGAN + timedelta(days=1)
    plain = a_record(
        at=at, tenant="times", fallbacks=0, degraded=(), attempts=(), cost=MicroUSD(0), latency_ms=100.0, ttft_ms=None
    )
    quick, silent = attempt(1, "anthropic", "ok"), attempt(1, "anthropic", "provider_timeout")
    late = replace(attempt(2, "openai", "ok"), latency_ms=5000.0)
    stream = replace(late, number=1, ttft_ms=20.0)
    await Writer(engine).write(
        [
            replace(plain, id="t-quick", attempts=(quick,)),
            replace(plain, id="t-silent", attempts=(silent, late), latency_ms=6000.0),
            replace(plain, id="t-stream", attempts=(stream, replace(quick, number=2, outcome="cancelled")), ttft_ms=20.0),
            replace(plain, id="t-none", outcome="no_evidence"),
        ]
    )
    assert await attempt_times(engine, at, at + MINUTE, slow_ms=2000) == [
        Times("anthropic", 2, 1, 1, 0, 1, 1.0, 1.0),  # a time-out of a millisecond took no two seconds
        Times("openai", 2, 2, 0, 1, 1, 2510.0, 4751.0),
        Times(CALLS, 3, 3, 0, 1, 1, 100.0, pytest.approx(5410.0)),  # type: ignore[arg-type] # interpolated
    ]
    assert await attempt_times(engine, at + MINUTE, at + 2 * MINUTE, slow_ms=2000) == []


def refusal(at: datetime, user: str, *, outcome: str = "invalid_request", error: str = "HTTP 400 (invalid)") -> CallRecord:
    refused = replace(attempt(1, "openai", "provider_rejected"), error=error)
    answered = (attempt(2, "anthropic", "ok"),) if outcome == "ok" else ()
    return a_record(at=at, tenant="refused", user=user, outcome=outcome, attempts=(refused, *answered))


async def test_a_model_that_refuses_every_request_of_several_callers_is_named(engine: AsyncEngine) -> None:
    async def refused(*records: CallRecord, day: int) -> tuple[tuple[str, int], ...]:
        await Writer(engine).write(records)
        until = BEGAN + timedelta(days=day, minutes=5)
        return (await overview(engine, until - 5 * MINUTE, until, MINUTE)).states["openai"].refused

    def at(day: int) -> datetime:
        return BEGAN + timedelta(days=day, minutes=3)

    several = [refusal(at(60), user) for user in ("ada", "grace", "ada", "grace", "ada")]
    assert await refused(*several, day=60) == (("m", 5),)
    assert await refused(*[refusal(at(61), "ada") for _ in range(9)], day=61) == (), "its requests may be wrong"
    elsewhere = [refusal(at(62), "ada", outcome="ok") for _ in range(5)]
    assert await refused(*elsewhere, day=62) == (("m", 5),), "another model answered them"
    assert await refused(*[replace(one, id=f"f{n}", at=at(63)) for n, one in enumerate(several[:4])], day=63) == (), "too few"
    one_answer = a_record(at=at(64), attempts=(attempt(1, "openai", "ok"),))
    assert await refused(*[replace(one, id=f"a{n}", at=at(64)) for n, one in enumerate(several)], one_answer, day=64) == ()
    long = [refusal(at(65), user, error="HTTP 400 (context_length)") for user in ("ada", "grace") * 3]
    assert await refused(*long, day=65) == (), "each of these was too long"
