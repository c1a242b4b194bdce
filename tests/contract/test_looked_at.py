"""Gauges that alerts read, on real stores: caps used, keys' age, jobs that wait, stops, records' lag."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from money import identity, make_budget, opened, settled
from records import a_record
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.recorder import Recorder
from app.audit.spill import Spill
from app.budget.usage_shares import usage_shares
from app.domain.calls import Identity, Tenant
from app.domain.money import MicroUSD
from app.jobs.jobs import Jobs
from app.oncall.stops import KEY
from app.oncall.switch import KillSwitch, Listeners
from app.security.keys.administration import KeyAdministration
from app.security.redaction.redactor import Redactor

SECRET = b"a secret of the tests, 32 bytes.."


async def test_the_largest_share_of_all_tenants_and_that_of_everything_are_reported(valkey: Redis, engine: AsyncEngine) -> None:
    cap = MicroUSD(10**13)  # other tests spend on the same day
    budget = make_budget(valkey, engine, global_daily_cap=cap)
    await opened(budget)
    some, more, none = identity(tenant_cap=1000), identity(tenant_cap=400), identity(tenant_cap=0)
    before = (await budget.counted_globally())[0]
    for who in (some, more):
        hold = await budget.hold(who, MicroUSD(300), lease_id=uuid4().hex, seconds=10)
        hold.spend(MicroUSD(300))
        budget.settle(hold)
    await settled(budget)
    tenants = [who.tenant for who in (some, more, none)]
    assert await usage_shares(valkey, budget, tenants) == {"tenant-day": 0.75, "global-day": (before + 600) / cap}
    assert (await usage_shares(valkey, budget, tenants[:1]))["tenant-day"] == 0.3
    assert (await usage_shares(valkey, budget, []))["tenant-day"] == 0


async def test_the_oldest_key_counts_that_works(engine: AsyncEngine) -> None:
    keys = KeyAdministration(engine, secret=SECRET)
    tenant = f"t{uuid4().hex[:10]}"
    await keys.create_tenant(tenant, tenant, MicroUSD(1), MicroUSD(1))
    ids = {}
    for name, days in (("works", 20_000), ("revoked", 30_000), ("expired", 40_000)):
        expires = datetime.now(UTC) - timedelta(seconds=1) if name == "expired" else None
        ids[name] = (await keys.create_key(tenant, name=name, expires_at=expires)).split("_")[1]
        made = datetime.now(UTC) - timedelta(days=days)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE api_keys SET created_at = :at WHERE id = :id"), {"at": made, "id": ids[name]})
    await keys.revoke_key(ids["revoked"])
    assert round(await keys.oldest_age() / 86_400) == 20_000
    await keys.revoke_key(ids["works"])
    assert await keys.oldest_age() < 20_000 * 86_400


async def test_a_job_waits_from_when_it_is_due_and_not_while_it_is_put_off(engine: AsyncEngine) -> None:
    jobs = Jobs(engine, lease=15, keep=60)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM jobs"))
    assert await jobs.waiting() == (0, 0)
    who = Identity(Tenant("t", "t", MicroUSD(1), MicroUSD(1)), "k", "ada")
    due, later = [await jobs.submit(who, "/v1/chat/completions", b"{}") for _ in range(2)]
    async with engine.begin() as connection:
        change = text("UPDATE jobs SET due_at = now() + make_interval(secs => :by) WHERE id = :id")
        await connection.execute(change, [{"by": -400, "id": due.id}, {"by": 400, "id": later.id}])
    count, seconds = await jobs.waiting()
    assert count == 1
    assert 400 <= seconds < 430
    started = await jobs.start()
    assert started
    assert started.id == due.id
    assert await jobs.waiting() == (0, 0)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM jobs WHERE tenant = 't'"))


async def test_stops_are_reported_by_scope_and_the_file_is_one_of_everything(valkey: Redis, tmp_path: Path) -> None:
    reported: list[Mapping[str, int]] = []
    file = tmp_path / "stop"
    await valkey.delete(KEY)
    switch = KillSwitch(valkey, file=file, listeners=Listeners(on_state=reported.append))
    await switch._refresh()
    nothing = dict.fromkeys(("all", "provider", "model", "prompt", "feature", "tool", "tenant", "user"), 0)
    assert reported[-1] == nothing
    for name in ("a", "b"):
        await switch.stop("provider", name, by="tests", reason="tests")
    file.touch()
    await switch._refresh()
    assert reported[-1] == {**nothing, "all": 1, "provider": 2}
    for name in ("a", "b"):
        await switch.resume("provider", name)
    file.unlink()
    await switch._refresh()
    assert reported[-1] == nothing


async def test_a_records_lag_runs_from_the_end_of_its_call_to_its_commit(engine: AsyncEngine, tmp_path: Path) -> None:
    """O2: the call's own duration is not ours to count."""
    lags: list[float] = []
    recorder = Recorder(engine, Redactor(SECRET), Spill(tmp_path), on_drop=lambda _: None, on_lag=lags.append, interval=0.01)
    await recorder.start()
    recorder.record(a_record(at=datetime.now(UTC) - timedelta(seconds=40), latency_ms=40_000.0))
    recorder.record(a_record(at=datetime.now(UTC) - timedelta(seconds=40), latency_ms=10_000.0))
    async with asyncio.timeout(120):
        await recorder.flush()
    await recorder.aclose()
    first, second = sorted(lags)  # two batches may be under way
    assert 0 < first < 25
    assert 5 < second - first < 55  # 30 but for the time between two commits, which is 0 where durations count
