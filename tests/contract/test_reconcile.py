"""Counters against ledger, alerts from a counter to a receiver, drift: on real stores (C3, C5, C10)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from money import identity, make_budget, opened, settled, user_day
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ValkeyConnectionError
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import reconcile
from app.budget.alert_words import LOWERED
from app.budget.alerts import Alerts, Receivers
from app.budget.budget import Budget
from app.budget.caps import UserCaps
from app.budget.drift import drifted, drifts
from app.budget.ledger import Ledger
from app.budget.recheck import recheck
from app.budget.scopes import scopes_of
from app.budget.tables import alerts as table
from app.domain.calls import Identity
from app.domain.money import MicroUSD
from app.security.webhooks import session, signature
from app.stack.embedded import free_port

SECRET = "whsec_c2VjcmV0"  # a made-up one


@pytest_asyncio.fixture
async def budget(valkey: Redis, engine: AsyncEngine) -> Budget:
    budget = make_budget(valkey, engine)
    await opened(budget)
    return budget


@pytest.fixture
def ledger(engine: AsyncEngine, valkey: Redis) -> Ledger:
    return Ledger(engine, valkey)


async def spend(budget: Budget, who: Identity, amount: int, feature: str = "chat") -> None:
    hold = await budget.hold(who, MicroUSD(amount), lease_id=uuid4().hex, seconds=10, feature=feature)
    hold.spend(MicroUSD(amount))
    budget.settle(hold)
    await settled(budget)


async def of(who: Identity, valkey: Redis, ledger: Ledger) -> dict[str, int]:
    """The amount that the tenant's counters lack."""
    found = await reconcile.differences(valkey, ledger)
    return {d.key.split(":", 3)[3]: d.amount for d in found if who.tenant.id in d.key}


async def test_before_during_and_after_the_ledger_caught_up_there_is_no_difference(
    budget: Budget, valkey: Redis, ledger: Ledger
) -> None:
    who = identity()
    await spend(budget, who, 30)
    assert await of(who, valkey, ledger) == {}
    await ledger.drain()
    await spend(budget, who, 40)
    assert await of(who, valkey, ledger) == {}
    await ledger.drain()
    assert await of(who, valkey, ledger) == {}


async def test_it_is_exact_while_money_moves(budget: Budget, valkey: Redis, ledger: Ledger) -> None:
    who = identity()
    await budget.start()
    over = asyncio.Event()

    async def moving() -> None:
        while not over.is_set():
            hold = await budget.hold(who, MicroUSD(3), lease_id=uuid4().hex, seconds=10)
            hold.spend(MicroUSD(2))
            budget.settle(hold)

    async def carrying() -> None:
        while not over.is_set():
            await ledger.drain()

    tasks = [asyncio.create_task(moving()), asyncio.create_task(carrying())]
    for _ in range(10):
        assert await of(who, valkey, ledger) == {}
    over.set()
    await asyncio.gather(*tasks)
    await budget.aclose()
    assert (await user_day(budget, who))[0] > 0


async def test_a_counter_that_says_too_little_is_raised_and_one_that_says_too_much_is_left(
    budget: Budget, valkey: Redis, ledger: Ledger
) -> None:
    """Too much errs on the safe side: an operator may lower it."""
    who = identity()
    await spend(budget, who, 100)
    await ledger.drain()
    tenant_day, _, user_day_scope, _ = scopes_of(who.tenant, who.user, datetime.now(UTC), (None, None))
    await valkey.hincrby(tenant_day.key, "spent", -60)
    await valkey.hincrby(user_day_scope.key, "spent", 5)
    found = [d for d in await reconcile.differences(valkey, ledger) if who.tenant.id in d.key]
    assert {d.amount for d in found} == {60, -5}
    assert await reconcile.mend(valkey, found) == 1
    assert set((await of(who, valkey, ledger)).values()) == {-5}
    assert await reconcile.mend(valkey, await reconcile.differences(valkey, ledger), lower=True) >= 1
    assert await of(who, valkey, ledger) == {}


async def test_a_counter_is_mended_once_although_the_connection_breaks_before_the_answer(
    budget: Budget, valkey_url: str, valkey: Redis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sends a command again whose connection was closed: it may have been carried out."""
    who = identity()
    await spend(budget, who, 100)
    await ledger.drain()
    tenant_day, *_ = scopes_of(who.tenant, who.user, datetime.now(UTC), (None, None))
    await valkey.hincrby(tenant_day.key, "spent", -60)
    found = [d for d in await reconcile.differences(valkey, ledger) if who.tenant.id in d.key]
    read, broken = AbstractConnection.read_response, list[object]()

    async def breaks_once(self: AbstractConnection, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's own
        answer = await read(self, *args, **kwargs)
        if isinstance(answer, int) and not broken:
            broken.append(answer)
            await self.disconnect(nowait=True)
            raise ValkeyConnectionError("the connection broke")
        return answer

    retry = Retry(NoBackoff(), 1, supported_errors=(ValkeyConnectionError,))
    async with Redis.from_url(valkey_url, retry=retry, decode_responses=True) as fragile:
        monkeypatch.setattr(AbstractConnection, "read_response", breaks_once)
        assert await reconcile.mend(fragile, found) == 1
        monkeypatch.undo()
    assert broken
    assert await of(who, valkey, ledger) == {}


class Receiver:
    """A webhook's server, and Alertmanager's, as far as they take alerts."""

    def __init__(self) -> None:
        self.status = 200
        self.webhooks: list[dict[str, Any]] = []
        self.signed: list[bool] = []
        self.alertmanager: list[dict[str, Any]] = []
        self.port = free_port()

    @property
    def receivers(self) -> Receivers:
        base = f"http://127.0.0.1:{self.port}"
        return Receivers(webhook_url=base + "/hook", alertmanager_url=base, secret=SECRET, allowed_hosts=frozenset({"127.0.0.1"}))

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = request.headers
        expected = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        self.signed.append(headers["webhook-signature"] == expected)
        if self.status == 200:
            self.webhooks.append(json.loads(body))
        return web.Response(status=self.status)

    async def api(self, request: web.Request) -> web.Response:
        self.alertmanager = await request.json()
        return web.Response()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_post("/api/v2/alerts", receiver.api)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", receiver.port).start()
    yield receiver
    await runner.cleanup()


async def test_each_share_is_reported_once_and_resolved_at_the_reset(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    """C5: 50, 80 and 95 % by default; a share that is jumped over is not reported."""
    who, teller = identity(tenant_cap=1000, user_cap=10**9), Alerts(engine, receiver.receivers)

    async def events() -> list[tuple[str, int]]:
        await ledger.drain()
        async with session(receiver.receivers.allowed_hosts) as http:
            await teller.deliver(http)
        mine = [hook for hook in receiver.webhooks if hook["data"]["tenant"] == who.tenant.id]
        return [(hook["type"], hook["data"]["share"]) for hook in mine]

    await spend(budget, who, 490)
    assert await events() == []
    await spend(budget, who, 20)
    await spend(budget, who, 10)
    assert await events() == [("budget.firing", 50)]
    await spend(budget, who, 440)
    assert await events() == [("budget.firing", 50), ("budget.firing", 95)]
    assert await events() == [("budget.firing", 50), ("budget.firing", 95)]
    assert all(receiver.signed)
    async with engine.begin() as connection:
        over = datetime.now(UTC) - timedelta(seconds=1)
        await connection.execute(update(table).where(table.c.tenant == who.tenant.id).values(ends_at=over))
    assert await events() == [
        ("budget.firing", 50), ("budget.firing", 95), ("budget.resolved", 50), ("budget.resolved", 95),
    ]  # fmt: skip
    assert len(await events()) == 4


async def test_a_cap_that_was_raised_is_reported_anew(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    who = identity(tenant_cap=1000, user_cap=10**9)
    await spend(budget, who, 960)
    raised = identity(tenant=who.tenant.id, tenant_cap=2000, user_cap=10**9)
    await spend(budget, raised, 30)
    await spend(budget, raised, 20)
    await ledger.drain()
    async with session(receiver.receivers.allowed_hosts) as http:
        await Alerts(engine, receiver.receivers).deliver(http)
    mine = [hook["data"] for hook in receiver.webhooks if hook["data"]["tenant"] == who.tenant.id]
    assert [(alert["share"], alert["limit"]) for alert in mine] == [(95, 1000), (50, 2000)]


async def test_alerts_of_caps_that_were_changed_end_for_both_receivers(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    who, teller = identity(tenant_cap=1000, user_cap=10**9), Alerts(engine, receiver.receivers)
    await spend(budget, who, 600)
    await ledger.drain()
    async with session(receiver.receivers.allowed_hosts) as http:
        await teller.deliver(http)
        assert await changed(engine, who, daily_cap=MicroUSD(10**9)) == 0
        await teller.deliver(http)
        await teller.repeat(http.listed)
    assert [h["type"] for h in receiver.webhooks if h["data"]["tenant"] == who.tenant.id] == ["budget.firing", "budget.resolved"]
    ends = [alert["endsAt"] for alert in receiver.alertmanager if alert["labels"].get("tenant") == who.tenant.id]
    assert [datetime.fromisoformat(end) <= datetime.now(UTC) for end in ends] == [True]


async def test_the_alert_of_a_users_cap_is_over_while_the_user_is_stopped(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    """Nothing is left to do about it; another user's alert goes on, and its own does after a resume."""
    who = identity(tenant_cap=10**9, user_cap=1000, user="ada")
    await spend(budget, who, 600)
    await ledger.drain()
    stopped: list[tuple[str, str]] = []
    teller = Alerts(engine, receiver.receivers, user_stopped=lambda *user: user in stopped)
    open_ = []
    async with session(receiver.receivers.allowed_hosts) as http:
        for now_stopped in ([], [(who.tenant.id, "grace")], [(who.tenant.id, "ada")], []):
            stopped[:] = now_stopped
            receiver.alertmanager = []
            await teller.repeat(http.listed)
            ends = [alert["endsAt"] for alert in receiver.alertmanager if alert["labels"].get("tenant") == who.tenant.id]
            open_ += [datetime.fromisoformat(end) > datetime.now(UTC) for end in ends]
    assert open_ == [True, True, False, True]


async def changed(engine: AsyncEngine, who: Identity, caps: UserCaps | None = None, **new: MicroUSD) -> int:
    """Change the tenant's caps, as `octant budget set` does. Returns how many alerts stand then."""
    tenant = replace(who.tenant, **new)  # type: ignore[arg-type]
    return await recheck(engine, tenant, caps or UserCaps(engine), (50, 80, 95), datetime.now(UTC))


async def test_a_cap_lowered_below_what_is_spent_alerts_although_no_call_settles_any_more(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    """C5: an alert for the tenant, for each user and for a user's own cap.

    Each comes once, and an alert that stands is not sent again.
    """
    who = identity(tenant_cap=10_000, user_cap=10_000, user="ada")
    grace = identity(tenant=who.tenant.id, tenant_cap=10_000, user_cap=10_000, user="grace")
    await spend(budget, who, 600)
    await spend(budget, grace, 300)
    await ledger.drain()

    async def sent() -> list[tuple[str, str, str, int]]:
        async with session(receiver.receivers.allowed_hosts) as http:
            await Alerts(engine, receiver.receivers).deliver(http)
        mine = [h for h in receiver.webhooks if h["data"]["tenant"] == who.tenant.id]
        receiver.webhooks.clear()
        notes.extend(h["data"]["note"] for h in mine if h["type"] == "budget.firing")
        return sorted((h["type"], h["data"]["scope"], h["data"]["subject"], h["data"]["share"]) for h in mine)

    notes: list[str] = []
    assert await sent() == []
    assert await changed(engine, who, daily_cap=MicroUSD(500)) == 1
    assert await sent() == [("budget.firing", "tenant-day", "", 95)]
    assert await changed(engine, who, daily_cap=MicroUSD(500)) == 1
    assert await sent() == [], "it stands as it was"
    assert await changed(engine, who, daily_cap=MicroUSD(500), user_daily_cap=MicroUSD(600)) == 3
    assert await sent() == [("budget.firing", "user-day", "ada", 95), ("budget.firing", "user-day", "grace", 50)]
    assert notes == [LOWERED, "", ""], "one cap is below what is spent"
    assert await changed(engine, who, daily_cap=MicroUSD(10_000), monthly_cap=MicroUSD(0)) == 1
    assert await sent() == [
        ("budget.firing", "tenant-month", "", 95), ("budget.resolved", "tenant-day", "", 95),
        ("budget.resolved", "user-day", "ada", 95), ("budget.resolved", "user-day", "grace", 50),
    ]  # fmt: skip
    assert await changed(engine, who, daily_cap=MicroUSD(500)) == 1
    assert ("budget.firing", "tenant-day", "", 95) in await sent(), "the same cap as before, and it is reached again"
    caps = UserCaps(engine)
    await caps.put(who.tenant.id, "grace", (MicroUSD(320), None))
    assert await changed(engine, who, caps, daily_cap=MicroUSD(10_000)) == 1
    assert ("budget.firing", "user-day", "grace", 80) in await sent()


async def test_a_receiver_that_is_away_is_tried_again_and_alertmanager_gets_repeats(
    budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver
) -> None:
    who, teller = identity(tenant_cap=1000, user_cap=10**9, user="ada@example.com"), Alerts(engine, receiver.receivers)
    await spend(budget, who, 600)
    await ledger.drain()
    receiver.status = 503
    async with session(receiver.receivers.allowed_hosts) as http:
        await teller.deliver(http)
        receiver.status = 200
        async with engine.begin() as connection:
            await connection.execute(update(table).where(table.c.tenant == who.tenant.id).values(due_at=datetime.now(UTC)))
        await teller.deliver(http)
        assert [h["data"]["share"] for h in receiver.webhooks if h["data"]["tenant"] == who.tenant.id] == [50]
        for _ in range(2):
            receiver.alertmanager = []
            assert await teller.repeat(http.listed) >= 1
            mine = [alert for alert in receiver.alertmanager if alert["labels"].get("tenant") == who.tenant.id]
            assert [(a["labels"]["alertname"], a["labels"]["scope"], a["labels"]["share"]) for a in mine] == [
                ("OctantBudget", "tenant-day", "50")
            ]
            assert datetime.fromisoformat(mine[0]["endsAt"]) > datetime.now(UTC)
    assert "ada@example.com" not in json.dumps(receiver.alertmanager)  # a user's id may be personal


async def test_two_tellers_at_once_tell_once(budget: Budget, ledger: Ledger, engine: AsyncEngine, receiver: Receiver) -> None:
    who = identity(tenant_cap=1000, user_cap=10**9)
    await spend(budget, who, 600)
    await ledger.drain()
    async with session(receiver.receivers.allowed_hosts) as http:
        await asyncio.gather(*(Alerts(engine, receiver.receivers).deliver(http) for _ in range(5)))
    assert [h["data"]["share"] for h in receiver.webhooks if h["data"]["tenant"] == who.tenant.id] == [50]


def test_drift_needs_many_calls_a_sure_difference_and_one_that_matters() -> None:
    before = [100 + n % 50 for n in range(2000)]
    assert drifted("chat", before, [2 * cost for cost in before[:500]]) is not None
    assert drifted("chat", before, [cost // 2 for cost in before[:500]]) is not None
    assert drifted("chat", before, [2 * cost for cost in before[:199]]) is None
    assert drifted("chat", before, [cost + 10 for cost in before]) is None
    assert drifted("chat", before, before[:500]) is None


async def test_drift_is_found_in_the_ledger(engine: AsyncEngine) -> None:
    feature, now = f"f{uuid4().hex[:12]}", datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                'INSERT INTO ledger (lease, kind, shard, tenant, "user", key_id, feature, amount, at, day, month, global_day,'
                " stream_ms, stream_seq)"
                " SELECT :f || n, 'settled', 0, 'drift', '', '', :f, CASE WHEN n < 300 THEN 250 ELSE 100 END,"
                " CAST(:now AS timestamptz) - CASE WHEN n < 300 THEN interval '5 minutes' ELSE interval '2 days' END,"
                " '2020-01-01', '2020-01', '2020-01-01', 0, n FROM generate_series(0, 1299) n"
            ),
            {"f": feature, "now": now},
        )
    found = [drift for drift in await drifts(engine, now) if drift.feature == feature]
    assert [(round(drift.ratio, 1), drift.distance) for drift in found] == [(2.5, 1.0)]
