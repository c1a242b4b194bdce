"""A canary on real Postgres: who gets it, what stops it, and that it is stopped once (B4)."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from conftest import own_database
from manifests import PRICES, write
from records import a_record
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.domain.calls import Identity, Tenant
from app.domain.errors import Misconfigured
from app.domain.money import ZERO, MicroUSD
from app.releases import canary_state, watch
from app.releases.bad_events import METRICS, SEEN
from app.releases.canaries import CAUSES, SERVICE, STOPPED, Canary, Judgement, end
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.releases.tables import activations, canaries, canary_users, manifests
from app.telemetry.metrics import Metrics
from app.wiring.watching import show_canary

TENANT = Tenant("acme", "Acme", MicroUSD(10**9), MicroUSD(10**9))
CAP = MicroUSD(1_000_000)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    with own_database(database_url, "canaries") as url:
        engine = create_async_engine(url)
        yield engine
        await engine.dispose()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(own_engine: AsyncEngine) -> AsyncEngine:
    async with own_engine.begin() as connection:
        for table in (canary_users, canaries, activations, manifests):
            await connection.execute(delete(table))
        await connection.execute(text("TRUNCATE calls, eval_scores, eval_position"))
    return own_engine


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    for release_id in ("live", "next", "other"):
        write(tmp_path, release_id)
    return Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset({"openai"}))


@pytest.fixture
def valkey() -> Redis:
    """Away: the workers see changes at their next poll."""
    return Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))


def user(number: int) -> Identity:
    return Identity(TENANT, "key", f"user-{number}")


@asynccontextmanager
async def workers(engine: AsyncEngine, valkey: Redis, places: Places, count: int = 2) -> AsyncIterator[list[Releases]]:
    async with AsyncExitStack() as stack:
        started = [Releases(engine, valkey, places, secret=b"one secret of all", poll=0.05) for _ in range(count)]
        for number, each in enumerate(started):
            each._worker = f"w{number}"
            await each.start()
            stack.push_async_callback(each.aclose)
        yield started


async def on_the_way(engine: AsyncEngine, valkey: Redis, places: Places, **choices: Any) -> Releases:  # noqa: ANN401
    operator = Releases(engine, valkey, places, secret=b"an operator's is not used")
    await operator.activate("live", by="ada", reason="first")
    await operator.try_out("next", **{"share": 0.1, "by": "ada", "reason": "better", "cap": CAP, "days": 7, **choices})
    return operator


async def until(condition: Callable[[], object], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it polls what a worker knows
            await asyncio.sleep(0.02)


def call(worker: Releases, who: Identity, *, bad_release: str = "", **facts: Any) -> str:  # noqa: ANN401
    """One user's call as the gateway makes it: pin, then record. It fails on ``bad_release``."""
    release = worker.pin("smart", who).release
    outcome = "providers_unavailable" if release == bad_release else "ok"
    facts = {"outcome": outcome, "target": "smart", "cost": ZERO, "fallbacks": 0, "degraded": (), **facts}
    worker.note(a_record(tenant=who.tenant.id, user=who.user, release=release, **facts))
    return release


async def test_a_share_of_the_users_gets_it_on_every_worker_and_keeps_it(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = await on_the_way(engine, valkey, places)
    async with workers(engine, valkey, places) as (one, two):
        await until(lambda: one._watch.canary and two._watch.canary)
        first = {n for n in range(2_000) if one.pin("smart", user(n)).release == "next"}
        assert 140 <= len(first) <= 260
        assert first == {n for n in range(2_000) if two.pin("smart", user(n)).release == "next"}
        assert one.pin("smart").release == "live", "a call without a caller is the live release's"
        await operator.try_out("next", 0.5, by="ada", reason="no complaints", cap=CAP, days=7)
        await until(lambda: one._watch.canary and one._watch.canary.share == 0.5)
        wider = {n for n in range(2_000) if one.pin("smart", user(n)).release == "next"}
        assert first < wider
        await operator.abort(by="ada", reason="enough")
        await until(lambda: one._watch.canary is None)
        assert one.pin("smart", user(min(first))).release == "live"


async def test_a_broken_release_is_stopped_by_its_first_users_and_the_counts_are_kept(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = await on_the_way(engine, valkey, places)
    async with workers(engine, valkey, places) as (one, two):
        await until(lambda: one._watch.canary and two._watch.canary)
        exposed = 0
        for number in range(10_000):
            exposed += call((one, two)[number % 2], user(number), bad_release="next") == "next"
            await asyncio.sleep(0.005)
            if one._watch.canary is None or two._watch.canary is None:
                break
        await until(lambda: one._watch.canary is None and two._watch.canary is None)
        assert one.pin("smart", user(3)).release == two.pin("smart", user(3)).release == "live"
    found = await operator.last_canary("next")
    assert found is not None
    canary, judged = found
    assert (canary.state, canary.ended_by, judged.verdict) == ("stopped", "octant", "stop")
    assert canary.verdict == judged.why, "a reader gets the same from the rows"
    assert canary.evidence == judged.as_json()
    assert exposed <= 60, f"{exposed} users met the broken release"
    assert 1 <= judged.metrics["failed"][0].canary <= exposed


async def test_a_good_release_in_a_bad_hour_of_the_provider_goes_on(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        for number in range(400):
            call(one, user(number), outcome="providers_unavailable")
        await one._watch.flush()
        assert one._watch.canary is not None
    found = await operator.canary()
    assert found is not None
    assert found[1].metrics["failed"][0].users == 400


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"cost": MicroUSD(2_000_000)}, r"cost \$[0-9.]+, more than the \$1\.0"), ({"bad_release": "next"}, "first 5 users")],
)
async def test_absolute_limits_stop_a_canary_without_statistics(
    engine: AsyncEngine, valkey: Redis, places: Places, facts: dict[str, Any], said: str
) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.9)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        for number in range(8):
            call(one, user(number), **facts)
        await one._watch.flush()
    found = await operator.last_canary("next")
    assert found is not None
    assert found[0].state == "stopped"
    assert re.search(said, found[0].verdict or "")


async def test_a_pinned_tenant_always_gets_it_and_is_not_judged(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.01, tenants=["pilot"])
    pilot = replace(user(1), tenant=replace(TENANT, id="pilot"))
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        assert {call(one, replace(pilot, user=f"u{n}"), bad_release="next") for n in range(30)} == {"next"}
        await one._watch.flush()
    found = await operator.canary()
    assert found is not None
    assert found[1].seen[0].users == 0


async def test_promotion_needs_the_evidence_or_force_and_a_person(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places)
    with pytest.raises(Misconfigured, match=r"is not proven\. Too few bad events to tell in failed"):
        await operator.promote(by="ada", reason="looks fine")
    assert (await operator.history())[0].release == "live"
    await operator.promote(by="ada", reason="looks fine", force=True)
    assert (await operator.history())[0].release == "next"
    assert await operator.canary() is None


@pytest.mark.parametrize("decision", ["promote", "abort"])
async def test_what_the_service_ended_meanwhile_is_decided_by_no_operator(
    engine: AsyncEngine, valkey: Redis, places: Places, decision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read that the canary runs; the service finds it worse, and ends it, before the decision is written."""
    operator = await on_the_way(engine, valkey, places)
    read = Releases._judged

    async def late(connection: AsyncConnection) -> tuple[Canary, Judgement]:
        found = await read(connection)
        async with engine.begin() as other:
            await end(other, found[0], STOPPED, by=SERVICE, verdict="worse", evidence={})
        return found

    monkeypatch.setattr(operator, "_judged", late)
    force = {"force": True} if decision == "promote" else {}
    with pytest.raises(Misconfigured, match="has ended in this moment"):
        await getattr(operator, decision)(by="ada", reason="looks fine", **force)
    assert (await operator.history())[0].release == "live"
    found = await operator.last_canary("next")
    assert found
    assert (found[0].state, found[0].ended_by) == (STOPPED, SERVICE)


async def test_a_rollback_or_an_activation_ends_the_canary(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places)
    await operator.activate("other", by="grace", reason="urgent")
    assert await operator.canary() is None
    found = await operator.last_canary("next")
    assert found is not None
    assert found[0].verdict == "other was activated: urgent"


@pytest.mark.parametrize(
    ("release", "share", "said"),
    [
        ("live", 0.1, "is live already"),
        ("next", 1.0, "between 0 and 100 %"),
        ("poorer", 0.1, "lacks fast"),
        ("none", 0.1, "No release"),
    ],
)
async def test_what_cannot_be_a_canary_is_refused_with_the_reason(
    engine: AsyncEngine, valkey: Redis, places: Places, release: str, share: float, said: str
) -> None:
    write(places.directory, "live", '[routes.fast]\ntargets = [{ provider = "openai", model = "m" }]\nmax_output_tokens = 5\n')
    write(places.directory, "poorer")
    operator = Releases(engine, valkey, places, secret=b"s")
    await operator.activate("live", by="ada", reason="first")
    with pytest.raises(Misconfigured, match=said):
        await operator.try_out(release, share, by="ada", reason="r", cap=CAP, days=7)
    assert await operator.canary() is None


async def test_the_share_only_grows_and_one_canary_runs_at_a_time(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.5)
    with pytest.raises(Misconfigured, match="can only grow"):
        await operator.try_out("next", 0.1, by="ada", reason="r", cap=CAP, days=7)
    with pytest.raises(Misconfigured, match="A canary is running"):
        await operator.try_out("other", 0.1, by="ada", reason="r", cap=CAP, days=7)


async def test_events_after_the_end_change_nothing(engine: AsyncEngine, valkey: Redis, places: Places) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        await operator.abort(by="ada", reason="enough")
        for number in range(50):
            call(one, user(number), bad_release="next")
        await one._watch.flush()
    found = await operator.last_canary("next")
    assert found is not None
    assert (found[0].ended_by, found[0].verdict) == ("ada", "enough")
    assert all(counts[0].users == 0 for counts in found[1].metrics.values())


async def score(engine: AsyncEngine, release: str, who: str, *, passed: bool = False, fair: bool = True) -> None:
    values = {"id": f"{release}-{who}-{fair}", "user": who, "release": release, "passed": passed, "fair": fair}
    async with engine.begin() as connection:
        await connection.execute(
            text(
                """INSERT INTO eval_scores (call_id, at, tenant, "user", request_id, feature, release, passed, findings, fair)
                VALUES (:id, now(), 'acme', :user, :id, 'support.answer', :release, :passed, '[]', :fair)"""
            ),
            values,
        )


async def test_answers_that_the_evals_score_as_wrong_stop_a_canary(
    engine: AsyncEngine, valkey: Redis, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One a user, of the fair sample alone; a metric only where production was being scored when the canary began."""
    monkeypatch.setattr("app.releases.watch.SCORES_EVERY", 0.05)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO eval_position (one, until, scored_at) VALUES (true, now(), now())"))
    operator = await on_the_way(engine, valkey, places)
    for n in range(5):
        await score(engine, "next", f"unfair-{n}", fair=False)
        await score(engine, "next", f"passed-{n}", passed=True)
        await score(engine, "live", f"wrong-{n}")
    async with workers(engine, valkey, places) as (one, two):
        await until(lambda: one._watch.canary and two._watch.canary)
        await two._watch.flush()
        running = await operator.canary()
        assert running is not None
        assert [(c.canary, c.users) for c in running[1].metrics["scored_low"]] == [(0, 5)]
        for n in range(12):
            await score(engine, "next", f"wrong-{n}")
        await until(lambda: one._watch.canary is None and two._watch.canary is None)
    found = await operator.last_canary("next")
    assert found is not None
    assert (found[0].state, found[0].ended_by, found[1].verdict) == ("stopped", "octant", "stop")
    assert "scored_low" in (found[0].verdict or "")


async def test_without_a_scorer_of_production_scores_hold_up_no_promotion(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    operator = await on_the_way(engine, valkey, places)
    running = await operator.canary()
    assert running is not None
    assert set(running[1].metrics) == {"failed", "slow", "dear", "refused", "rated_bad"}


async def counted(operator: Releases, metric: str = SEEN) -> int:
    found = await operator.last_canary("next")
    assert found is not None
    return sum(count.users for count in (found[1].seen if metric == SEEN else found[1].metrics[metric]))


async def test_more_users_than_a_worker_remembers_are_all_counted_and_each_once(
    engine: AsyncEngine, valkey: Redis, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_REMEMBERED", 8)
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        for _ in range(2):
            for number in range(60):
                call(one, user(number), outcome="providers_unavailable")
            await one._watch.flush()
        sent = one._watch._sent
        assert len(sent._new) + len(sent._old) <= 8
    assert [await counted(operator, metric) for metric in (SEEN, "failed")] == [60, 60]


async def test_users_who_come_while_too_many_wait_are_counted_at_their_next_call(
    engine: AsyncEngine, valkey: Redis, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_WAITING", 4)
    monkeypatch.setattr(watch, "FLUSH_EVERY", 600.0)
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        for expected in (4, 8, 10, 10):
            for number in range(10):
                call(one, user(number))
            await one._watch.flush()
            assert await counted(operator) == expected


async def test_gauges_show_a_canary_with_its_evidence_and_its_deadline(
    engine: AsyncEngine, valkey: Redis, places: Places
) -> None:
    assert (await canary_state.read(engine)).share == 0
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        fates = [call(one, user(number), outcome="providers_unavailable") for number in range(100)]
        await one._watch.flush()
    found = await canary_state.read(engine)
    assert (found.share, found.users, found.aborted) == (0.5, (fates.count("next"), fates.count("live")), "")
    assert found.promotion["failed"] > 0 > found.evidence["failed"], "an outage that hits both releases alike is no evidence"
    assert 6 * 86_400 < found.seconds_left < 7 * 86_400
    assert (await canary_state.read(engine, datetime.now(UTC) + timedelta(days=8))).seconds_left < 0, "no operator has decided"
    metrics = Metrics()
    await show_canary(metrics, engine)
    value = metrics.registry.get_sample_value
    assert value("octant_canary_share_ratio") == 0.5
    assert value("octant_canary_evidence_log_ratio", {"metric": "failed"}) == pytest.approx(found.evidence["failed"])
    assert value("octant_canary_users", {"release": "live"}) == fates.count("live")
    await operator.abort(by="ada", reason="enough")
    await show_canary(metrics, engine)
    assert value("octant_canary_share_ratio") == 0
    assert {value("octant_canary_aborted", {"cause": cause}) for cause in CAUSES} == {0}, "an operator's end is none"


@pytest.mark.parametrize("cause", CAUSES)
async def test_gauges_show_for_a_day_why_the_service_stopped_a_canary(
    engine: AsyncEngine, valkey: Redis, places: Places, cause: str
) -> None:
    operator = await on_the_way(engine, valkey, places, share=0.5)
    async with workers(engine, valkey, places, 1) as (one,):
        await until(lambda: one._watch.canary)
        if cause == "cap":
            of_canary = next(user(n) for n in range(400) if one.pin("smart", user(n)).release == "next")
            call(one, of_canary, cost=MicroUSD(2_000_000))
        elif cause == "split":
            for number in range(400):
                if one.pin("smart", user(number)).release == "live":
                    call(one, user(number))
        else:
            wrong: dict[str, Any] = {"bad_release": "next"} if cause == "first_users" else {}
            for number in range(400):
                refused = one.pin("smart", user(number)).release == "next" and cause == "evidence"
                flags: dict[str, Any] = {"degraded": ("guard:canary",)} if refused else {}
                call(one, user(number), **wrong, **flags)
        await one._watch.flush()
    assert (await canary_state.read(engine)).aborted == cause
    assert (await canary_state.read(engine, datetime.now(UTC) + timedelta(hours=25))).aborted == ""
    metrics = Metrics()
    await show_canary(metrics, engine)
    shown = {one: metrics.registry.get_sample_value("octant_canary_aborted", {"cause": one}) for one in CAUSES}
    assert shown == {one: float(one == cause) for one in CAUSES}
    await operator.try_out("other", 0.5, by="ada", reason="better", cap=CAP, days=7)
    assert (await canary_state.read(engine)).aborted == "", "the next one has begun"


def test_every_metric_and_cause_of_a_canary_has_its_gauge() -> None:
    metrics = Metrics()
    for metric in METRICS:
        metrics.canary_promotion.set(1, metric=metric)
        metrics.canary_evidence.set(1, metric=metric)
    for cause in CAUSES:
        metrics.canary_aborted.set(1, cause=cause)
    assert metrics.registry.get_sample_value("octant_canary_evidence_log_ratio", {"metric": "other"}) is None
    assert metrics.registry.get_sample_value("octant_canary_aborted", {"cause": "other"}) is None
