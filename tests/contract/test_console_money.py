"""The reads and changes behind the budget and eval pages, on Postgres and Valkey: pages add up, changes hold (C4, E9)."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import quality
from app.audit.scores import eval_candidates, eval_scores
from app.budget import change as changing
from app.budget import exposure, fullest, standing
from app.budget.change import change_of
from app.budget.ledger import Ledger
from app.budget.scopes import scopes_of, shard_of, windows_of
from app.budget.tables import alerts, ledger
from app.domain.calls import Tenant
from app.domain.errors import InvalidRequest, NotFound
from app.domain.money import MicroUSD
from app.releases import eval_history
from app.releases.evaluations import eval_results, eval_runs
from app.security.keys.administration import KeyAdministration

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    name = f"t-{uuid4().hex[:8]}"
    keys = KeyAdministration(engine, secret=b"")
    await keys.create_tenant(name, name, MicroUSD(10_000), MicroUSD(1_000))
    return await keys.change_tenant(name, time_zone="Pacific/Auckland")


async def spend(engine: AsyncEngine, tenant: Tenant, user: str, amount: int, at: datetime = NOW) -> None:
    windows = windows_of(tenant.time_zone, at)
    row = {
        "lease": uuid4().hex, "kind": "settled", "shard": shard_of(tenant.id), "tenant": tenant.id, "user": user, "key_id": "k",
        "feature": "f", "amount": amount, "at": at, "day": windows.day, "month": windows.month,
        "global_day": windows_of("UTC", at).day, "stream_ms": 1, "stream_seq": 1,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(ledger).values(row))


async def test_pages_of_users_add_up_to_the_total(engine: AsyncEngine, tenant: Tenant) -> None:
    for n, user in enumerate(("", "ada", "grace", "<b>'\";--", "linus")):
        await spend(engine, tenant, user, 100 * (n + 1))
    own = {"linus": (MicroUSD(10_000), None), "never-called": (MicroUSD(5), None)}
    seen: list[standing.UserLine] = []
    for skip in (0, 2, 4, 6):
        page = await standing.users_of(engine, tenant, own, NOW, sort="share", most=2, skip=skip)
        assert (page.users, page.day, page.month) == (6, 1500, 1500)
        seen += page.lines
    assert (sum(line.day for line in seen), len({line.name for line in seen})) == (1500, 6)
    assert [line.name for line in seen] == ["<b>'\";--", "grace", "ada", "-", "linus", "never-called"]
    by_name = await standing.users_of(engine, tenant, own, NOW, sort="name")
    assert next(line.name for line in by_name.lines) == "-"


async def test_the_fullest_caps_of_users_are_found_among_all_tenants(engine: AsyncEngine, tenant: Tenant) -> None:
    keys = KeyAdministration(engine, secret=b"")
    other = await keys.create_tenant(f"{tenant.id}-b", "b", MicroUSD(10_000), MicroUSD(2_000))
    for whose, user, amount in ((tenant, "ada", 820), (tenant, "", 300), (tenant, "owner", 900), (other, "bob", 500)):
        await spend(engine, whose, user, amount)
    own = {tenant.id: {"owner": (MicroUSD(9_000), MicroUSD(1_000))}}
    found = await fullest.fullest_users(engine, [tenant, other], own, NOW)
    assert [(one.tenant, one.name, one.day, one.own) for one in found] == [
        (tenant.id, "owner", 900, (9_000, 1_000)), (tenant.id, "ada", 820, (None, None)), (tenant.id, "-", 300, (None, None)),
        (other.id, "bob", 500, (None, None)),
    ]  # fmt: skip
    by_day = await fullest.fullest_users(engine, [tenant, other], {}, NOW, most=2)
    assert [one.name for one in by_day] == ["owner", "ada"]
    largest = await fullest.largest_users(engine, NOW - HOUR, NOW + HOUR, [tenant.id, other.id, "none"])
    assert largest == {tenant.id: ("owner", 900), other.id: ("bob", 500)}


async def test_spending_over_time_loses_nothing_and_names_the_largest(engine: AsyncEngine, tenant: Tenant) -> None:
    for user, amount, minutes in (("ada", 100, 1), ("ada", 50, 50), ("", 30, 2), ("grace", 7, 3), ("grace", 1000, 100)):
        await spend(engine, tenant, user, amount, NOW - timedelta(minutes=minutes))
    since, width = NOW - timedelta(hours=1), timedelta(minutes=5)
    top = await Ledger(engine, None).top(tenant=tenant.id, since=since, until=NOW, count=2)  # type: ignore[arg-type]
    found = await standing.over_time(engine, since, NOW, width, named=[name for name, _, _ in top], tenant=tenant.id)
    assert top == [("ada", 150, 2), ("-", 30, 1)]
    assert found.by_name == {"ada": 150, "-": 30, None: 7}
    assert sum(found.steps.values()) == sum(found.by_name.values()) == 187
    assert found.entries == {"ada": 2, "-": 1, None: 1}


async def test_the_ledger_stands_in_for_lost_counters_in_the_tenants_time_zone(engine: AsyncEngine, tenant: Tenant) -> None:
    await spend(engine, tenant, "ada", 70)
    yesterday = NOW - timedelta(days=1)
    await spend(engine, tenant, "ada", 5, yesterday)
    same_month = windows_of(tenant.time_zone, yesterday).month == windows_of(tenant.time_zone, NOW).month
    sums = await standing.spent_by_tenant(engine, [tenant, Tenant("none", "none", MicroUSD(1), MicroUSD(1))], NOW)
    assert sums == {tenant.id: (70, 75 if same_month else 70)}


async def test_counters_of_many_tenants_are_read_at_once(valkey: Redis, tenant: Tenant) -> None:
    scope = scopes_of(tenant, "", NOW, (None, None))[0]
    await valkey.hset(scope.key, mapping={"spent": 12, "held": 3})
    keys = [f"octant:{{1}}:nothing-{n}" for n in range(standing.AT_ONCE + 10)]
    found = await standing.counted(valkey, [*keys, scope.key])
    assert (found[scope.key], found[keys[0]], len(found)) == ((12, 3), (0, 0), len(keys) + 1)
    everything = await standing.everything(valkey, MicroUSD(100), NOW)
    assert everything.left == max(0, 100 - everything.spent - everything.held)


async def test_a_lower_cap_alerts_at_once_and_a_users_own_cap_is_its_own(engine: AsyncEngine, tenant: Tenant) -> None:
    await spend(engine, tenant, "ada", 900)
    await changing.apply(engine, change_of({"day": "0.0009"}, {}), tenant=tenant.id, shares=(50, 80, 95))
    await changing.apply(engine, change_of({"day": "0.002"}, {}), tenant=tenant.id, user="ada", shares=(50, 80, 95))
    changed = await KeyAdministration(engine, secret=b"").tenant(tenant.id)
    assert (changed.daily_cap, changed.user_daily_cap) == (900, 1_000)
    assert await standing.own_caps(engine, tenant.id) == {"ada": (2_000, None)}
    assert (await exposure.highest_own_caps(engine))[tenant.id] == 2_000
    found, count = await standing.open_alerts(engine, datetime.now(UTC), tenant=tenant.id)
    assert (count, found[0]["scope"], found[0]["share"], found[0]["limit"]) == (1, "tenant-day", 95, 900)
    async with engine.connect() as connection:
        assert (await connection.execute(select(alerts.c.id).where(alerts.c.tenant == tenant.id))).all()
    with pytest.raises(NotFound):
        await changing.apply(engine, change_of({"day": "1"}, {}), tenant="no-such-tenant", shares=())


async def test_one_user_has_one_open_alert_of_a_cap(engine: AsyncEngine, tenant: Tenant) -> None:
    """The highest threshold that it passed; here, in the terminal and in a hand-over."""
    now = datetime.now(UTC)
    row = {"scope": "user-day", "tenant": tenant.id, "window": "w", "limit": 5, "spent": 5, "ends_at": now + timedelta(hours=1)}
    passed = [("ada", 50), ("ada", 80), ("ada", 95), ("bob", 50)]
    async with engine.begin() as connection:
        await connection.execute(insert(alerts), [{**row, "subject": who, "share": share} for who, share in passed])
    found, count = await standing.open_alerts(engine, now, tenant=tenant.id)
    assert (count, [(one["subject"], one["share"]) for one in found]) == (2, [("ada", 95), ("bob", 50)])


async def test_a_limit_of_a_key_says_what_was_before_and_leaves_its_others(engine: AsyncEngine, tenant: Tenant) -> None:
    """Once it said nothing, and took the limits away that were not named."""
    key = (await KeyAdministration(engine, secret=b"s").create_key(tenant.id, name="x")).split("_")[1]

    async def limited(**limits: str) -> str:
        before = await changing.apply(engine, change_of({}, limits), tenant=tenant.id, key=key, shares=())
        return changing.words_before(before)

    assert await limited(tokens_per_minute="900", concurrency="2") == "before: --tokens-per-minute none --concurrency none"
    assert await limited(requests_per_minute="60") == "before: --requests-per-minute none"
    assert await limited(concurrency="none", tokens_per_minute="5") == "before: --concurrency 2 --tokens-per-minute 900"
    assert await limited(requests_per_minute="none", tokens_per_minute="none") == (
        "before: --requests-per-minute 60 --tokens-per-minute 5"
    )
    with pytest.raises(NotFound):
        await changing.apply(engine, change_of({}, {"concurrency": "1"}), tenant=tenant.id, key="unknown", shares=())


async def test_a_candidate_is_dismissed_once_and_reopened_once(engine: AsyncEngine) -> None:
    values = {
        "digest": uuid4().hex, "at": NOW, "tenant": "t", "user": "u", "request_id": "r", "feature": "f", "release": "1",
        "reasons": ["low_score"], "times": 1, "asked": {"text": "?"}, "seen": {},
    }  # fmt: skip
    async with engine.begin() as connection:
        wanted = insert(eval_candidates).values(values).returning(eval_candidates.c.id)
        number = (await connection.execute(wanted)).scalar_one()
    before = await quality.candidate_states(engine)
    await quality.dismiss(engine, number, "no question of ours")
    after = await quality.candidate_states(engine)
    assert (after["new"], after["dismissed"]) == (before["new"] - 1, before["dismissed"] + 1)
    with pytest.raises(InvalidRequest, match="dismissed already: no question of ours"):
        await quality.dismiss(engine, number, "again")
    with pytest.raises(NotFound):
        await quality.dismiss(engine, 2**62, "x")
    listed = await quality.candidates(engine, state="dismissed", reason="low_score", most=1000, skip=0)
    assert number in [row["id"] for row in listed.rows]
    assert listed.count == len(listed.rows)
    await quality.reopen(engine, number)
    assert await quality.candidate_states(engine) == before
    again = await quality.open_candidate(engine, number)
    assert (again["why"], again["decided_at"]) == (None, None)
    with pytest.raises(InvalidRequest, match="was not dismissed: it waits for a decision"):
        await quality.reopen(engine, number)
    with pytest.raises(NotFound):
        await quality.reopen(engine, 2**62)


async def test_scores_of_a_range_add_up_by_step_and_by_release(engine: AsyncEngine) -> None:
    until = NOW - timedelta(days=300)
    since = until - timedelta(hours=1)
    rows = [
        {"call_id": f"c-{uuid4().hex}", "at": since + timedelta(minutes=n), "tenant": "t", "user": "u", "request_id": f"r{n}",
         "feature": f"f{n % 2}", "release": str(n % 3), "passed": n % 4 != 0, "findings": [], "fair": True}
        for n in range(20)
    ]  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(eval_scores), rows)
    found = await quality.quality(engine, since, until, timedelta(minutes=5))
    assert (found.scored, found.passed) == (20, 15)
    assert sum(scored for scored, _ in found.steps.values()) == 20
    pages = [await quality.failing(engine, since, until, feature="", most=3, skip=skip) for skip in (0, 3)]
    assert [page.count for page in pages] == [5, 5]
    assert len({row["call_id"] for page in pages for row in page.rows}) == 5


async def test_a_runs_cases_add_up_and_flips_are_between_runs_of_the_same_models(engine: AsyncEngine) -> None:
    suite, numbers = uuid4().hex, []
    for label, passes in (("a", {"x": True, "y": False}), ("b", {"x": False, "y": False}), ("a", {"x": False, "y": True})):
        run = {
            "release": "1", "label": label, "replay": False, "code": 0, "passed": 1.0, "total": 2, "cost_micro_usd": 5,
            "report": {"suite": suite},
        }  # fmt: skip
        async with engine.begin() as connection:
            number = (await connection.execute(insert(eval_runs).values(run).returning(eval_runs.c.id))).scalar_one()
            lines = [
                {"run": number, "case": case, "trial": 0, "failure_mode": f"mode-{case}", "passed": passed, "findings": [],
                 "broken": None, "seconds": 0.1, "request_id": ""}
                for case, passed in passes.items()
            ]  # fmt: skip
            await connection.execute(insert(eval_results), lines)
        numbers.append(number)
    listed = await eval_history.runs(engine, suite=suite, most=2)
    assert ([run.id for run in listed.rows], listed.count) == ([numbers[2], numbers[1]], 3)
    last = await eval_history.run_of(engine, numbers[2])
    assert last is not None
    earlier = await eval_history.before(engine, last)
    assert earlier is not None
    assert earlier.id == numbers[0]
    assert await eval_history.flips(engine, earlier, last) == (["x"], ["y"])
    cases = await eval_history.cases_of(engine, numbers[2], failed=True)
    assert ([row["case"] for row in cases.rows], cases.count) == (["x"], 1)
    assert cases.modes == {"mode-x": (1, 0), "mode-y": (1, 1)}
    assert await eval_history.run_of(engine, 2**62) is None
