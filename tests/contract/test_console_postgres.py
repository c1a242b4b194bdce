"""The queries behind the console's releases and security pages, on a real Postgres (X1)."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from manifests import PRICES, write
from records import Drops, a_record
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.action_search import ActionFilter, find_actions
from app.audit.actions import SIGN_IN, Action, ActionLog
from app.audit.call_filter import SORTS, CallFilter, Sort
from app.audit.flags import flagged_requests, flags
from app.audit.query import SIDES, find_calls
from app.audit.recent import recent_calls
from app.audit.recorder import Recorder
from app.audit.rows import Writer
from app.audit.spill import Spill
from app.console.known import LastKnown
from app.console.pages.calls import _found
from app.console.pages.security import filter_of
from app.console.ranges import Range
from app.domain.errors import NotFound
from app.releases import canaries, evidence, evidence_line
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.security.redaction.redactor import Redactor

MINUTE = timedelta(minutes=1)


@pytest.fixture
def tenant() -> str:
    """A name of this test's own: the database is shared."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def recorder(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Recorder]:
    made = Recorder(engine, Redactor(b"a key for tests"), Spill(tmp_path / "spill"), on_drop=Drops(), interval=0.01)
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
def releases(engine: AsyncEngine, tmp_path: Path) -> Releases:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    (tmp_path.parent / "outside.toml").write_text("a secret of the machine")
    write(tmp_path, "console-a")
    (tmp_path / "console-b.toml").write_text("no = manifest")
    where = Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset({"openai"}))
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    return Releases(engine, away, where, secret=b"a secret")


async def test_the_pages_of_the_operators_log_add_up_to_its_total(engine: AsyncEngine, tmp_path: Path, tenant: str) -> None:
    log = ActionLog(engine, secret=b"a secret for tests", notes=tmp_path / "notes")
    for n in range(7):
        outcome = "ok" if n % 2 else "not_found"
        action = Action(actor=f"os:{tenant}@host", action="kill tool", subject=f"name={n}%", reason="x_y", outcome=outcome)
        await log.write(action)
    seen, before = [], None
    while True:
        page = await find_actions(engine, ActionFilter(actor=tenant.upper(), before=before, limit=3))
        assert page.total == 7
        seen += [row.number for row in page.rows]
        if len(page.rows) < 3:
            break
        before = page.rows[-1].number
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    assert (await find_actions(engine, ActionFilter(actor=tenant, failed=True))).total == 4
    assert (await find_actions(engine, ActionFilter(actor=tenant, subject="3%"))).total == 1
    assert (await find_actions(engine, ActionFilter(actor=tenant, reason="x%y"))).total == 0
    assert (await find_actions(engine, ActionFilter(actor=tenant, before=2**70))).total == 7


async def test_sign_ins_can_be_left_out_of_the_operators_log_or_be_found_alone(
    engine: AsyncEngine, tmp_path: Path, tenant: str
) -> None:
    """They change nothing, and hide the action that did."""
    log = ActionLog(engine, secret=b"a secret for tests", notes=tmp_path / "notes")
    for action in ("rollback", SIGN_IN, SIGN_IN):
        await log.write(Action(actor=f"os:{tenant}@host", action=action, subject="", reason="", outcome="ok"))
    assert [row.action for row in await log.newest(1, sign_ins=False)] == ["rollback"]
    assert [row.action for row in await log.newest(1)] == [SIGN_IN]
    found = {one: (await find_actions(engine, ActionFilter(actor=tenant, sign_ins=one))).total for one in (None, False, True)}
    assert found == {None: 3, False: 1, True: 2}
    range_ = Range(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC), "")
    asked: list[dict[str, str]] = [{}, {"sign_ins": "true"}, {"action": SIGN_IN}]
    assert [filter_of(query, range_).sign_ins for query in asked] == [False, None, None]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_list_of_calls_reads_and_keeps_none_of_their_texts(engine: AsyncEngine, tenant: str, sort: Sort) -> None:
    """Each may have megabytes, a page has fifty, a tail of it comes every two seconds, and a worker keeps two hundred pages."""
    await Writer(engine).write([a_record(tenant=tenant, request="x" * 100_000) for _ in range(3)])
    wanted = CallFilter(tenant=tenant, since=datetime.now(UTC) - timedelta(hours=1), sort=sort)
    whole = await find_calls(engine, wanted)
    assert [{name: row[name] for name in row if name not in SIDES} for row in whole] == await find_calls(
        engine, wanted, brief=True
    )
    assert {len(row["request"]) for row in whole} == {100_000}
    console = SimpleNamespace(parts=SimpleNamespace(engine=engine), known=LastKnown())
    found = (await _found(cast(Any, console), wanted, {"tenant": tenant, "sort": sort})).value
    assert found
    assert (len(found.rows), found.total.calls) == (3, 3)
    assert len(repr(list(console.known._kept.values()))) < 20_000


async def test_a_stop_counts_the_calls_that_it_would_have_met(engine: AsyncEngine, recorder: Recorder, tenant: str) -> None:
    feature = f"f_{tenant}"
    for name in (f"{feature}.answer", feature, f"{feature}x.answer", f"f-{tenant}.answer"):
        recorder.record(a_record(tenant=tenant, feature=name))
    old = datetime.now(UTC) - timedelta(hours=1)
    recorder.record(a_record(tenant=tenant, feature=feature, at=old))
    await recorder.flush()
    found = await recent_calls(engine, "tenant", tenant)
    assert found
    assert (found.calls, found.tenants) == (4, 1)
    of_feature = await recent_calls(engine, "feature", feature)
    assert of_feature
    assert of_feature.calls == 2
    assert await recent_calls(engine, "tool", "anything") is None


async def test_flags_of_the_guard_are_counted_by_step_and_feature(engine: AsyncEngine, recorder: Recorder, tenant: str) -> None:
    now = datetime.now(UTC)
    for degraded in (("guard:leak",), ("guard:leak", "truncated"), ("truncated",)):
        recorder.record(a_record(tenant=tenant, feature=tenant, degraded=degraded))
    await recorder.flush()
    found = await flags(engine, now - 5 * MINUTE, now + 5 * MINUTE, 10 * MINUTE)
    mine = [(one.flag, one.calls) for one in found if one.feature == tenant]
    assert sum(calls for _, calls in mine) == 2
    assert {flag for flag, _ in mine} == {"leak"}
    before = await flagged_requests(engine, now - 5 * MINUTE, now + 5 * MINUTE)
    two = [a_record(tenant=tenant, request_id=f"two-{tenant}", degraded=("guard:leak", "guard:link")) for _ in range(2)]
    for record in (two[0], replace(two[1], outcome="provider_failed")):
        recorder.record(record)
    await recorder.flush()
    after = await flagged_requests(engine, now - 5 * MINUTE, now + 5 * MINUTE)
    assert (after.requests - before.requests, after.calls - before.calls, after.refused - before.refused) == (1, 2, 1)


@pytest.mark.parametrize("name", ["../outside", "console-a/../console-a", "console-a.toml", "", "x" * 500])
async def test_only_a_known_release_is_read_whatever_the_address_says(releases: Releases, name: str) -> None:
    with pytest.raises(NotFound, match="No release"):
        await releases.find(name)


async def test_a_release_is_listed_also_where_its_text_cannot_be_read(releases: Releases) -> None:
    listed = {one.id: one for one in await releases.listed()}
    assert not listed["console-a"].problem
    assert "console-b" in listed["console-b"].problem
    found = await releases.find("console-a")
    assert found.release
    assert found.release.id == "console-a"
    assert found.first_live is None


async def test_the_evidence_over_time_ends_where_the_verdict_stands(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:  # never committed: one canary runs at a time, and others' tests have theirs
        for name in ("ev-live", "ev-next"):
            await connection.execute(text("INSERT INTO manifests (id, sha256, text) VALUES (:id, 'x', 'x')"), {"id": name})
        started = datetime.now(UTC) - timedelta(hours=1)
        row = {"started": started, "deadline": started + timedelta(days=1)}
        number = await connection.scalar(
            text(
                'INSERT INTO canaries (release, against, state, shares, tenants, limits, cap, "by", reason, started_at, deadline)'
                " VALUES ('ev-next', 'ev-live', 'stopped', '{0.1,0.5}', '{}', '{}', 1000, 'ada', 'x', :started, :deadline)"
                " RETURNING id"
            ),
            row,
        )
        users = [
            {"id": number, "digest": f"d{n}", "canary": n % 3 > 0, "step": int(n > 4), "at": started + n * MINUTE}
            for n in range(12)
        ]
        await connection.execute(
            text(
                "INSERT INTO canary_users (canary, metric, digest, has_canary, step, at)"
                " VALUES (:id, 'failed', :digest, :canary, :step, :at)"
            ),
            users,
        )
        canary = await canaries.newest(connection, "ev-next")
        assert canary
        line = await evidence_line.read(connection, canary)
        judged = await canaries.judgement(connection, canary.id)
        await connection.rollback()
    at_the_end = {name: evidence.worse(steps) for name, steps in judged.metrics.items()}
    worst = max(at_the_end, key=lambda name: at_the_end[name])
    stop, _ = evidence_line.towards(at_the_end[worst], 1.0, len(judged.metrics))
    assert line[-1].stop == pytest.approx(stop)
    assert line[-1].worst == worst
    assert line[0].stop == 0
    assert [point.at for point in line] == sorted(point.at for point in line)
