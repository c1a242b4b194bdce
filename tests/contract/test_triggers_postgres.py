"""Triggers of a rollback: the evidence is stored once, with the command to run, and nothing acts (B4)."""

import json
import uuid
from collections.abc import AsyncIterator
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
from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit.recorder import Recorder
from app.audit.scores import eval_scores
from app.audit.spill import Spill
from app.budget import alerts
from app.budget.alerts import Alerts, Receivers
from app.budget.drift import Drift
from app.budget.tables import alerts as budget_alerts
from app.domain.money import MicroUSD
from app.oncall import triggers
from app.oncall.incidents.store import Incidents
from app.oncall.tables import triggers as table
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.releases.tables import activations, canaries, canary_users, manifests
from app.releases.way_back import way_back
from app.security.redaction.redactor import Redactor
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.triggers.escalation import Report, escalate
from app.triggers.found import answers_drift, calls_dearer
from evals.online.worker import Worker

NOW = datetime.now(UTC)
SECRET = b"a secret of the tests"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    with own_database(database_url, "triggering") as url:
        engine = create_async_engine(url)
        yield engine
        await engine.dispose()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(own_engine: AsyncEngine) -> AsyncEngine:
    async with own_engine.begin() as connection:
        for one in (canary_users, canaries, activations, manifests, table, eval_scores):
            await connection.execute(delete(one))
        await connection.execute(text("TRUNCATE calls, attempts"))
    return own_engine


@pytest_asyncio.fixture(loop_scope="session")
async def releases(engine: AsyncEngine, tmp_path: Path) -> Releases:
    """Two releases were live: `live` is, `before` was, and `next` can be a canary."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    for release_id in ("before", "next"):
        write(tmp_path, release_id)
    write(tmp_path, "live", '[routes.fast]\ntargets = [{ provider = "openai", model = "m" }]\nmax_output_tokens = 5\n')
    write(tmp_path, "next", '[routes.fast]\ntargets = [{ provider = "openai", model = "m" }]\nmax_output_tokens = 9\n')
    places = Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset({"openai"}))
    found = Releases(engine, Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)), places, secret=SECRET)
    for release_id in ("before", "live"):
        await found.activate(release_id, by="ada", reason="r")
    return found


async def with_a_canary(releases: Releases) -> None:
    await releases.try_out("next", 0.1, by="ada", reason="better", cap=MicroUSD(10**6), days=7)


async def recorded(engine: AsyncEngine, tmp_path: Path, *facts: dict[str, Any]) -> None:
    recorder = Recorder(engine, Redactor(SECRET), Spill(tmp_path), on_drop=lambda _: None, interval=0.01)
    await recorder.start()
    for each in facts:
        recorder.record(a_record(**{"at": datetime.now(UTC), "feature": "chat", **each}))
    await recorder.aclose()


async def scored(engine: AsyncEngine, release: str, *, passed: int, failed: int) -> None:
    rows = [
        {
            "call_id": uuid.uuid4().hex, "at": NOW, "tenant": "acme", "user": "u", "request_id": "r", "feature": "chat",
            "release": release, "passed": number < passed, "findings": [],
        }
        for number in range(passed + failed)
    ]  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(eval_scores), rows)


async def test_the_way_back_says_since_when_what_changed_and_the_command(engine: AsyncEngine, releases: Releases) -> None:
    back = await way_back(engine)
    assert (back.release, back.previous, back.by, back.changes) == ("live", "before", "ada", ("model fast (new)",))
    assert back.live_since is not None
    assert back.command("it's worse") == """octant rollback --to before --reason 'it'"'"'s worse'"""
    assert back.command("worse", of_canary=True) == back.command("worse"), "no canary runs"
    await releases.rollback(by="ada", reason="r", to="before")
    back = await way_back(engine)
    assert (back.command("worse"), back.left) == ("", "live"), "before the first release there is none"


async def test_without_any_release_a_trigger_is_stored_all_the_same(engine: AsyncEngine) -> None:
    assert await calls_dearer(engine, "chat", 2.0)
    assert [(one.release, one.command) for one in await triggers.newest(engine, 9)] == [("", "")]


async def test_answers_that_drift_are_stored_once_with_the_scores_by_release(engine: AsyncEngine, releases: Releases) -> None:
    await scored(engine, "live", passed=10, failed=20)
    number = await answers_drift(engine, "chat", NOW)
    assert number
    assert await answers_drift(engine, "chat", NOW) is None
    stored = await triggers.one(engine, number)
    assert stored is not None
    assert (stored.kind, stored.subject, stored.release, stored.by) == ("eval_drift", "chat", "live", "octant")
    assert stored.command == "octant rollback --to before --reason 'answers of chat fail more often'"
    assert stored.evidence["scores_of_a_day"] == {"live": {"scored": 30, "failed": 20}}
    assert stored.evidence["changes"] == ["model fast (new)"]
    assert await answers_drift(engine, "chat", NOW + timedelta(hours=1)), "another finding is another trigger"


@pytest.mark.parametrize(("failed", "blamed"), [(12, True), (1, False)])
async def test_scores_that_point_at_a_canary_recommend_its_end_and_end_nothing(
    engine: AsyncEngine, releases: Releases, failed: int, blamed: bool
) -> None:
    await with_a_canary(releases)
    await scored(engine, "next", passed=20 - failed, failed=failed)
    await scored(engine, "live", passed=180, failed=9)
    number = await answers_drift(engine, "chat", NOW)
    stored = await triggers.one(engine, number or 0)
    assert stored is not None
    assert stored.command.startswith("octant release abort" if blamed else "octant rollback --to before")
    assert stored.evidence["points_at_canary"] is blamed
    assert await releases.canary() is not None


@pytest.mark.parametrize(("cost", "blamed"), [(2_000, True), (1_200, False)])
async def test_a_dearer_canary_is_named_and_a_rise_is_stored_once_a_day(
    engine: AsyncEngine, releases: Releases, tmp_path: Path, cost: int, blamed: bool
) -> None:
    await with_a_canary(releases)
    calls = [{"release": "live", "cost": MicroUSD(1_000)}] * 40 + [{"release": "next", "cost": MicroUSD(cost)}] * 20
    await recorded(engine, tmp_path, *calls)
    number = await calls_dearer(engine, "chat", 1.7, NOW)
    assert await calls_dearer(engine, "chat", 1.8, NOW) is None
    stored = await triggers.one(engine, number or 0)
    assert stored is not None
    assert stored.evidence["costs_of_an_hour"]["next"] == {"calls": 20, "median_cost": cost}
    assert stored.command.startswith("octant release abort" if blamed else "octant rollback")
    assert await calls_dearer(engine, "chat", 1.8, NOW + timedelta(days=1))


async def test_the_budgets_drift_alert_triggers_for_costs_that_rise_alone(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drifts(*_: object) -> list[Drift]:
        return [Drift("chat", 2.0, 0.9), Drift("extract", 0.4, 0.9)]

    monkeypatch.setattr(alerts, "drifts", drifts)
    rises: list[tuple[str, float]] = []

    async def rise(feature: str, ratio: float) -> None:
        rises.append((feature, ratio))

    receivers = Receivers(webhook_url="", alertmanager_url="", secret="s", allowed_hosts=frozenset())
    assert await Alerts(engine, receivers, on_rise=rise).note_drift() == 2
    assert rises == [("chat", 2.0)]
    async with engine.begin() as connection:
        await connection.execute(delete(budget_alerts))


def test_the_evals_drift_triggers_for_as_long_as_it_shows(own_engine: AsyncEngine) -> None:
    """So that a finding is not lost where Postgres went away just after it."""
    from sqlalchemy import create_engine

    from app.audit.scores import eval_drift

    found: list[tuple[str, datetime]] = []
    engine = create_engine(own_engine.url)
    with engine.begin() as connection:
        for feature, days in (("chat", 0), ("old", 2)):
            values = {"feature": feature, "seen": 0, "mean": 0, "sum": 0, "least": 0, "drifted_at": NOW - timedelta(days=days)}
            connection.execute(insert(eval_drift).values(values))
    worker = Worker(engine, (), Settings().evals, Metrics(), on_drift=lambda *one: found.append(one))
    worker._show(NOW + timedelta(hours=1))
    with engine.begin() as connection:
        connection.execute(delete(eval_drift))
    engine.dispose()
    assert [feature for feature, _ in found] == ["chat"]


async def test_an_escalation_keeps_a_redacted_text_ids_of_records_and_figures(
    engine: AsyncEngine, releases: Releases, tmp_path: Path
) -> None:
    mine = {"tenant": "acme", "user": "grace@example.com", "request": "my secret plan", "response": "the answer"}
    await recorded(
        engine, tmp_path,
        *[{**mine, "request_id": f"r-{n}", "outcome": "ok" if n else "internal", "release": "live"} for n in range(4)],
        {**mine, "tenant": "other"},
    )  # fmt: skip
    stored = await escalate(
        engine, Report(tenant="acme", text="Grace (grace@example.com) got nonsense.", by="ada"),
        redact=lambda words: Redactor(SECRET).redact(words, tenant="acme"),
        around={"stops": ["tenant other"], "circuits": []},
    )  # fmt: skip
    assert (stored.kind, stored.subject, stored.by, stored.release) == ("escalation", "acme", "ada", "live")
    assert "got nonsense" in stored.text
    kept = json.dumps({"text": stored.text, **stored.evidence})
    assert not [word for word in ("grace@", "secret plan", "the answer") if word in kept]
    evidence = stored.evidence
    assert (evidence["last_hour"]["calls"], evidence["week"]["not_ok_share"], len(evidence["records"])) == (4, 0.25, 4)
    assert evidence["stops"] == ["tenant other"]
    assert stored.command.startswith("octant rollback --to before --reason")
    opened = await Incidents(engine, clean=str).list(since=datetime.now(UTC) - timedelta(hours=1))
    assert [(str(one.id), one.title, one.severity) for one in opened] == [(evidence["incident"], "acme escalates", "sev3")]
    about_one = await escalate(
        engine, Report(tenant="acme", text="t", by="ada", call="r-0"), redact=str, around={"stops": [], "circuits": []}
    )
    assert [record["outcome"] for record in about_one.evidence["records"]] == ["internal"]
    assert about_one.evidence["incident"] != evidence["incident"]
    assert [one.id for one in await triggers.newest(engine, 9, "escalation")] == [about_one.id, stored.id]
