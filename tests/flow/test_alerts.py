"""Alerts end to end, with a real Prometheus and Alertmanager, from a provider's fault to a page and its end (O6, C5, P3).

Days are made of seconds: rules are generated with every duration `SCALE` times shorter, and Prometheus scrapes more often.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from conftest import ROOT, Simulator, octant
from money import identity, make_budget, opened, settled
from pager import Pager, running_pager
from paging import paging
from paging_endpoint import serving
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tools import tool

from app.budget.alerts import Alerts, Receivers
from app.budget.caps import UserCaps
from app.budget.ledger import Ledger
from app.budget.recheck import recheck
from app.domain.money import MicroUSD
from app.oncall.incidents.store import Incidents, RunbookChange, incident_for_page
from app.oncall.incidents.timeline import timeline
from app.oncall.paging.pages import Page
from app.oncall.paging.paging import Paging
from app.oncall.paging.policy import Policy
from app.oncall.paging.tables import paging_marks
from app.stack.embedded import free_port
from deploy.alerting import prometheus_config, write_rules
from deploy.rules import slos
from deploy.rules.build import rule_files

SCALE = 100  # five minutes are three seconds, an hour is 36
EVERY = "1s"
ALERT = "OctantAvailabilityBurnsFast"
SHORT_DEADLINE = {"octant-deadline-ms": "2000"}  # callers who do not wait for all retries
TOKEN = "made-up-token"
PATIENCE = 300.0  # seconds for each wait

pytestmark = pytest.mark.timeout(900)  # three programs are started, and the waits take half a minute


class Receiver:
    """A pager: takes what Alertmanager posts."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["version"] == "4"
        async with self._news:
            self.alerts += [{**alert, "group": body["groupLabels"]} for alert in body["alerts"]]
            self._news.notify_all()
        return web.Response()

    async def until(self, after: int = 0, **wanted: str) -> dict[str, Any]:
        """The first alert with these labels (and ``status``) that comes, or came ``after`` so many."""

        def fits(alert: dict[str, Any]) -> bool:
            return wanted.items() <= ({**alert["labels"], "status": alert["status"]}).items()

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: any(map(fits, self.alerts[after:])))
        return next(filter(fits, self.alerts[after:]))


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield receiver, f"http://127.0.0.1:{port}/"
    await runner.cleanup()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=120)


async def answers(url: str, log: Path) -> None:
    async with aiohttp.ClientSession() as http:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    pytest.fail(f"{url} does not answer; its log ends:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True, slots=True)
class PagingRuns:
    """Our paging, its endpoint, and the receivers that check the vendors' schemas."""

    room: Paging
    endpoint: str
    pager: Pager
    engine: AsyncEngine

    async def until(self, action: str, alert: str) -> dict[str, Any]:
        """The event that PagerDuty gets for the page of an alert."""

        def found() -> list[dict[str, Any]]:
            events = self.pager.of("pagerduty")
            keys = {event["dedup_key"] for event in events if event.get("payload", {}).get("class") == alert}
            return [event for event in events if event["event_action"] == action and event["dedup_key"] in keys]

        async with asyncio.timeout(PATIENCE):
            while not found():  # noqa: ASYNC110 - it comes over HTTP
                await asyncio.sleep(0.05)
        return found()[0]

    async def page(self, alert: str) -> Page:
        """The newest page of an alert."""
        return next(page for page in await self.room.parts.pages.newest(resolved=True) if page.alert == alert)


@pytest_asyncio.fixture
async def paging_runs(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[PagingRuns]:
    policy = Policy(receivers=("pagerduty", "webhook"))
    incident_for = partial(incident_for_page, clean=str)
    async with running_pager() as pager, paging(engine, pager.base, tmp_path, policy, incident_for=incident_for) as room:
        await room.start()
        async with serving(room, TOKEN) as endpoint:
            yield PagingRuns(room, endpoint, pager, engine)
        await room.aclose()


@pytest_asyncio.fixture
async def alertmanager(receiver: tuple[Receiver, str], paging_runs: PagingRuns, tmp_path: Path) -> AsyncIterator[str]:
    """Alertmanager as we configure it, but it notifies at once: paging on the address of the test's, and the test's receiver."""
    config = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    (tmp_path / "token").write_text(TOKEN)
    for entry in config["receivers"]:
        if entry["name"] != "tickets":
            ours = entry["webhook_configs"][0]
            assert ours["url"].endswith("/v1/admin/alertmanager")
            entry["webhook_configs"].append({**ours, "url": paging_runs.endpoint})
            ours.pop("http_config")
        if entry["name"] == "watchdog":
            entry["webhook_configs"].pop(0)
        else:
            entry["webhook_configs"][0]["url"] = receiver[1]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    path, log, address = tmp_path / "alertmanager.yml", tmp_path / "alertmanager.log", f"127.0.0.1:{free_port()}"
    path.write_text(yaml.safe_dump(config))
    command = [tool("prometheus-alertmanager", "alertmanager"), f"--config.file={path}", f"--web.listen-address={address}"]
    with running([*command, f"--storage.path={tmp_path / 'alertmanager'}", "--cluster.listen-address="], log):
        await answers(f"http://{address}/-/ready", log)
        yield f"http://{address}"


@pytest_asyncio.fixture
async def prometheus(alertmanager: str, stack_env: dict[str, str], service_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Prometheus as we configure it, on the service's own metrics, in the test's time."""
    metrics = f"127.0.0.1:{stack_env['OCTANT_METRICS_PORT']}"
    config = prometheus_config({"octant": metrics}, alertmanager.removeprefix("http://"), every=EVERY)
    write_rules(tmp_path / "rules", speed=SCALE, least=0)
    path, log, address = tmp_path / "prometheus.yml", tmp_path / "prometheus.log", f"127.0.0.1:{free_port()}"
    path.write_text(yaml.safe_dump(config))
    command = [tool("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with running([*command, f"--web.listen-address={address}", "--rules.alert.resend-delay=1s"], log):
        await answers(f"http://{address}/-/ready", log)
        yield f"http://{address}"


async def calling(url: str, key: str, until: Callable[[], Awaitable[Any]], **headers: str) -> Any:  # noqa: ANN401 - what is waited for
    """Call all the time, until something has happened."""
    body = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}

    async def call_forever(http: aiohttp.ClientSession) -> None:
        while True:
            async with http.post("/v1/chat/completions", json=body) as answer:
                await answer.read()
            await asyncio.sleep(0.1)

    async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {key}", **headers}) as http:
        callers = [asyncio.create_task(call_forever(http)) for _ in range(2)]
        try:
            return await until()
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


async def query_result(prometheus: str, query: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{prometheus}/api/v1/query", params={"query": query}) as answer:
        found: list[dict[str, Any]] = (await answer.json())["data"]["result"]
        return found


async def until_value(prometheus: str, query: str, holds: Callable[[float], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(holds(float(one["value"][1])) for one in await query_result(prometheus, query)):  # noqa: ASYNC110 - Prometheus has no event to wait for
            await asyncio.sleep(0.2)


async def marks(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return {row.name for row in await connection.execute(select(paging_marks))}


async def test_an_outage_of_all_providers_pages_and_the_page_ends_with_it(
    prometheus: str,
    receiver: tuple[Receiver, str],
    paging_runs: PagingRuns,
    service_url: str,
    stack_env: dict[str, str],
    api_key: str,
    simulator: Simulator,
    database_url: str,
) -> None:
    """The whole way: fault, rule, Alertmanager, page, acknowledgement by command, end. And the watchdog comes."""
    pager = receiver[0]
    ratio = 'slo:bad_ratio:rate5m{slo="availability"}'
    await calling(service_url, api_key, lambda: until_value(prometheus, ratio, lambda bad: bad == 0))
    assert await query_result(prometheus, f'ALERTS{{alertname="{ALERT}"}}') == []

    simulator.put_faults(*({"kind": "status", "status": 503, "provider": name} for name in ("openai", "anthropic")))
    page = await calling(service_url, api_key, lambda: pager.until(alertname=ALERT, status="firing"), **SHORT_DEADLINE)
    assert (page["labels"]["severity"], page["labels"]["slo"]) == ("page", "availability")
    assert page["annotations"]["runbook_url"].endswith("/runbook/objectives.md#availability")
    assert page["annotations"]["dashboard"].endswith("octant-overview")
    assert "of calls failed in the last minutes (0.1% is allowed)." in page["annotations"]["summary"]
    assert page["generatorURL"]
    trigger = await paging_runs.until("trigger", ALERT)
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["payload"]["custom_details"]["person"] == "Ada"
    assert {"text": "runbook", "href": page["annotations"]["runbook_url"]} in trigger["links"]
    paged = await paging_runs.page(ALERT)
    command = ("oncall", "ack", str(paged.id)[:8], "--as", "ada")  # in a thread: our paging runs in this one
    await asyncio.to_thread(octant, stack_env | {"OCTANT_DATABASE_URL": database_url}, *command)
    await paging_runs.until("acknowledge", ALERT)

    simulator.clear()
    before = len(pager.alerts)
    over = await calling(service_url, api_key, lambda: pager.until(before, alertname=ALERT, status="resolved"))
    assert over["endsAt"] > page["startsAt"]
    await paging_runs.until("resolve", ALERT)
    ended = await paging_runs.page(ALERT)
    assert (ended.id, ended.status, ended.acknowledged_by) == (paged.id, "resolved", "ada")
    assert (paging_runs.pager.wrong, "watchdog" in await marks(paging_runs.engine)) == ([], True)
    assert await query_result(prometheus, f'ALERTS{{alertname="{ALERT}"}}') == []


async def test_an_alarm_test_pages_is_logged_and_is_refused_too_soon_after_another(
    prometheus: str, receiver: tuple[Receiver, str], service_url: str, stack_env: dict[str, str]
) -> None:
    key = octant(stack_env, "key", "create", "acme", "--name", "operator", "--scope", "admin", "--quiet").strip()
    await until_value(prometheus, 'octant_unexpected_errors_total{cause="alarm_test"}', lambda _: True)

    async def test(http: aiohttp.ClientSession) -> tuple[int, str, float]:
        async with http.post("/v1/admin/alarm-test", json={"reason": "new rotation"}) as answer:
            code = (await answer.json())["error"]["code"]
            return answer.status, code, float(answer.headers.get("retry-after", 0))

    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(service_url, headers={"x-api-key": key}) as http:
        first = await test(http)
        if first[0] == 429:  # a test before this one did the same
            await asyncio.sleep(first[2])
            first = await test(http)
        page = await receiver[0].until(alertname="OctantAlarmTest", status="firing")
        again = await test(http)
    assert first[:2] == (500, "internal_error")
    assert page["labels"]["severity"] == "page"
    assert page["annotations"]["runbook_url"].endswith("/runbook/observability.md#test-the-alarm")
    assert again[:2] == (429, "rate_limit_exceeded")
    assert 0 < again[2] <= 60
    assert "alarm test" in octant(stack_env, "audit", "list", "--count", "5")


async def test_every_rule_is_evaluated_by_prometheus_on_what_the_service_really_emits(
    prometheus: str, service_url: str, api_key: str
) -> None:
    """No rule fails; and the gauges that alerts read are there, with plausible figures."""
    await calling(service_url, api_key, lambda: until_value(prometheus, "octant_api_key_age_seconds", lambda age: age > 0))
    async with aiohttp.ClientSession() as http, http.get(f"{prometheus}/api/v1/rules") as answer:
        groups = (await answer.json())["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == sum(len(g["rules"]) for c in rule_files(slos.read()).values() for g in yaml.safe_load(c)["groups"])
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] == "err"] == []

    async def read(name: str) -> float:
        return float((await query_result(prometheus, f"max({name})"))[0]["value"][1])

    failed = "octant_gauge_samples_failed_total"  # a sample has seconds: on a machine that others use, one may have failed before
    before, age = await read(failed), await read("octant_api_key_age_seconds")
    assert before <= 1
    assert all([await read(name) >= 0 for name in ("octant_rehearsals", "octant_kill_switch_on", "octant_jobs_waiting_seconds")])
    await until_value(prometheus, 'octant_budget_used_ratio{scope="global-day"}', lambda share: 0 < share < 1)
    await until_value(prometheus, "octant:records_lag_seconds:p99_15m", lambda seconds: 0 < seconds < PATIENCE)
    await until_value(prometheus, "max(octant_api_key_age_seconds)", lambda later: later > age)  # all are sampled again
    assert await read(failed) == before


async def test_three_alerts_of_one_outage_are_three_pages_of_one_incident(
    alertmanager: str, paging_runs: PagingRuns, engine: AsyncEngine
) -> None:
    """By a real Alertmanager, all at once; the alert of another provider is an incident of its own."""
    run = uuid4().hex[:8]
    names = [f"{name}{run}" for name in ("Availability", "Latency", "Circuit", "Other")]
    places: list[dict[str, str]] = [{}, {}, {"provider": f"x{run}"}, {"provider": f"y{run}"}]
    alerts = [
        {"labels": {"alertname": name, "severity": "page", **place}, "annotations": {"summary": f"{name} is bad"}}
        for name, place in zip(names, places, strict=True)
    ]
    incidents = Incidents(engine, clean=str)
    for left in await incidents.list():
        await incidents.close(left, RunbookChange(None, "of another test"), by="ada")
    async with aiohttp.ClientSession() as http:
        for batch in (alerts[:3], alerts[3:]):
            async with http.post(f"{alertmanager}/api/v2/alerts", json=batch) as answer:
                assert answer.status == 200, await answer.text()
            for one in batch:
                await paging_runs.until("trigger", one["labels"]["alertname"])
    pages = [await paging_runs.page(name) for name in names]
    assert len({page.incident_id for page in pages[:3]}) == 1
    assert pages[3].incident_id not in {None, pages[0].incident_id}
    (shown,) = [one for one in await incidents.list() if one.id == pages[0].incident_id]
    triggered = [e.text for e in await timeline(engine, shown, clean=str) if e.text.startswith("triggered: ")]
    assert sorted(text.split()[1].rstrip(",") for text in triggered) == sorted(names[:3])


async def test_a_real_alertmanager_reports_a_nearly_used_cap_until_the_cap_changes(
    alertmanager: str, receiver: tuple[Receiver, str], valkey: Redis, engine: AsyncEngine
) -> None:
    """C5: from the counter to the pager. No user's id goes along."""
    who = identity(tenant_cap=1000, user=f"ada-{uuid4().hex}")
    budget = make_budget(valkey, engine)
    await opened(budget)
    hold = await budget.hold(who, MicroUSD(960), lease_id=uuid4().hex, seconds=10, feature="chat")
    hold.spend(MicroUSD(960))
    budget.settle(hold)
    await settled(budget)
    await Ledger(engine, valkey).drain()
    base = "https://runbook.example/"
    receivers = Receivers(webhook_url="", alertmanager_url=alertmanager, secret="", allowed_hosts=frozenset(), runbook_url=base)
    alerts = Alerts(engine, receivers)
    async with aiohttp.ClientSession() as http:
        async with asyncio.timeout(120):
            while not await alerts.repeat(http):  # noqa: ASYNC110 - another ledger on these stores may have it in hand
                await asyncio.sleep(0.1)
        ticket = await receiver[0].until(alertname="OctantBudget", tenant=who.tenant.id, share="95", status="firing")
        assert ticket["labels"]["severity"] == "ticket"
        assert ticket["group"] == {"alertname": "OctantBudget", "tenant": who.tenant.id, "scope": "tenant-day"}
        assert ticket["annotations"]["summary"] == f"{who.tenant.id} has spent 95 % of the cap of $0.001 a day."
        assert ticket["annotations"]["runbook_url"] == base + "cost-spike.md#confirm"
        async with http.get(f"{alertmanager}/api/v2/alerts", params={"filter": f'tenant="{who.tenant.id}"'}) as answer:
            held = await answer.json()
        assert {one["labels"]["share"] for one in held} == {"95"}  # shares passed at once are reported once
        assert who.user not in json.dumps(held)
        raised = replace(who.tenant, daily_cap=MicroUSD(10**9))
        await recheck(engine, raised, UserCaps(engine), (50, 80, 95), datetime.now(UTC))
        await alerts.repeat(http)
        await receiver[0].until(alertname="OctantBudget", tenant=who.tenant.id, share="95", status="resolved")
