"""Readiness, on-call, runbook and game days on the running service (X1, X2)."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from client import eventually
from commands import octant, run
from signed_in import Person, signed_in
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.oncall.paging.tables import pages

EVIL = "<script>alert(1)</script>'\"{{7*7}}"
PATHS = (
    "readiness",
    "oncall",
    "oncall?month=2026-12",
    "oncall?month=x",
    "runbook",
    "runbook?q=answers+are+slow",
    "runbook/alerts",
    "gameday",
    "tour",
)


def key(env: dict[str, str], scope: str) -> str:
    return octant(env, "key", "create", "acme", "--name", f"operations {scope}", "--scope", scope, "--quiet").strip()


@pytest_asyncio.fixture(scope="module")
async def operator(service_url: str, stack_env: dict[str, str]) -> AsyncIterator[Person]:
    async with signed_in(service_url, key(stack_env, "admin")) as one:
        yield one


@pytest.fixture
async def page(stack_env: dict[str, str]) -> AsyncIterator[str]:
    """The id of a page that waits for an answer."""
    engine = create_async_engine(stack_env["OCTANT_DATABASE_URL"])
    values = {
        "id": uuid.uuid4(), "dedup_key": str(uuid.uuid4()), "alert": "OctantBreakerOpen", "severity": "page", "summary": EVIL,
        "labels": {},
        "status": "triggered", "triggered_at": text("now()"), "level": 1, "person": "Ada", "test": False,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(pages.insert().values(values))
    yield str(values["id"])
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM page_events WHERE page_id = :id"), {"id": values["id"]})
        await connection.execute(text("DELETE FROM page_deliveries WHERE page_id = :id"), {"id": values["id"]})
        await connection.execute(text("DELETE FROM pages WHERE id = :id"), {"id": values["id"]})
    await engine.dispose()


async def test_every_page_opens_with_its_answer_and_its_command(operator: Person) -> None:
    for path in PATHS:
        shown = await operator.get(f"/console/{path}")
        assert shown.status == 200, (path, shown.words)
        assert 'class="answer' in shown.text or path == "runbook/alerts", path
        assert "In the terminal" in shown.words, path
        assert not re.search(r"<script>|\sstyle=|\son\w+=", shown.text), path


async def test_names_that_are_not_there_are_not_found(operator: Person) -> None:
    for path in (
        "runbook/nothing",
        "runbook/..%2f..%2fREADME",
        "gameday/nothing",
        "oncall/incidents/x",
        f"oncall/incidents/{'9' * 30}",
    ):
        assert (await operator.get(f"/console/{path}")).status == 404, path


async def test_the_page_and_the_command_give_the_same_states(operator: Person, stack_env: dict[str, str], tmp_path: Path) -> None:
    printed = await asyncio.to_thread(run, stack_env, "readiness", "--html", str(tmp_path / "review.html"))
    written = (tmp_path / "review.html").read_text(encoding="utf-8")
    saved = await operator.get("/console/readiness.html")
    assert saved.headers["content-disposition"].startswith('attachment; filename="readiness-')
    questions = re.compile(r"<strong>([^<]+\?)</strong>")
    assert len(questions.findall(written)) == 8
    assert questions.findall(saved.text) == questions.findall(written)
    listed = [line[3:20].strip() for line in printed.stdout.splitlines()[:8]]
    assert printed.returncode == (0 if set(listed) <= {"proved", "proved, with gaps"} else 1)
    states: list[str] = []
    for _ in range(20):  # a store that is slow for the page leaves its question unanswered
        shown = (await operator.get("/console/readiness")).text
        states = re.findall(r'</h2><span class="state \w+"><svg.*?</svg>([^<]+)</span>', shown)
        if states == listed:
            return
    assert states == listed


async def test_an_operator_acknowledges_and_resolves_a_page(operator: Person, page: str) -> None:
    shown = await operator.get("/console/oncall")
    assert "waits for an answer" in shown.words or "wait for an answer" in shown.words
    assert "<script>alert(1)" not in shown.text
    assert f"/console/do/oncall-ack?page={page}" in shown.text
    done = await operator.submit("/console/do/oncall-ack", {"page": page, "reason": "I have it", "back": "/console/oncall"})
    assert done.status == 303, done.words
    assert f"/console/do/oncall-ack?page={page}" not in (await operator.get("/console/oncall")).text
    done = await operator.submit("/console/do/oncall-page-resolve", {"page": page, "reason": "over", "back": "/console/oncall"})
    assert done.status == 303, done.words
    assert page not in (await operator.get("/console/oncall")).text


async def test_a_game_day_is_played_once_at_a_time_shown_and_stopped(operator: Person, stack_env: dict[str, str]) -> None:
    form = {"scenario": "provider-outage", "reason": "practice", "back": "/console/gameday"}
    assert "refuses every connection" in (await operator.get("/console/do/drill-gameday?scenario=provider-outage")).words
    assert (await operator.submit("/console/do/drill-gameday", form | {"scenario": "../x"})).status == 404
    begun = await operator.submit("/console/do/drill-gameday", form)
    assert begun.status == 303, begun.words
    try:
        assert "Being played: provider-outage" in (await operator.get("/console/gameday")).words
        again = await operator.submit("/console/do/drill-gameday", form)
        assert (again.status, "already being played" in again.words) == (409, True)
    finally:
        stopped = await operator.submit("/console/do/drill-gameday-stop", {"reason": "enough", "back": "/console/gameday"})
    assert stopped.status == 303, stopped.words

    async def over() -> bool:
        return "Being played" not in (await operator.get("/console/gameday")).words

    await eventually(over)
    assert (await operator.get("/console/do/drill-gameday-stop")).status == 404
    logged = await asyncio.to_thread(octant, stack_env, "audit", "list")
    assert "drill gameday stop" in logged


async def test_a_viewer_has_no_action(service_url: str, stack_env: dict[str, str], page: str) -> None:
    async with signed_in(service_url, key(stack_env, "view")) as viewer:
        assert "/console/do/" not in (await viewer.get("/console/oncall")).text
        assert (await viewer.submit("/console/do/oncall-ack", {"page": page, "reason": "x"})).status == 403


async def test_the_static_twin_is_saved_as_a_file(operator: Person) -> None:
    twin = await operator.get("/console/runbook.html")
    assert (twin.status, twin.headers["content-disposition"]) == (200, 'attachment; filename="runbook.html"')
    assert "Kill switch" in twin.words or "Stopping everything" in twin.words
