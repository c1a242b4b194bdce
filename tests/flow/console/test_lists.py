"""A number of the console leads to as many rows, and a list has the pages that it offers (X1)."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from records import a_record
from signed_in import Person
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import Action, ActionLog
from app.audit.rows import Writer
from app.audit.scores import eval_scores
from app.console.pages.calls import PAGE
from app.settings import DEVELOPMENT_SECRET


def next_of(page: str) -> str:
    """Where the button to the next page leads; empty without one."""
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("more", [0, 1])
async def test_calls_have_a_next_page_where_there_is_one(operator: Person, stored: AsyncEngine, more: int) -> None:
    user = f"pages-{uuid.uuid4().hex[:8]}"
    await Writer(stored).write([a_record(user=user) for _ in range(PAGE + more)])
    first = await operator.get(f"/console/calls?range=1h&user={user}")
    assert f"{PAGE + more} calls match" in first.words
    assert bool(next_of(first.text)) == bool(more)
    if more:
        assert (await operator.get(next_of(first.text))).text.count("<tr data-row") == more


async def test_the_operators_log_has_a_next_page_where_there_is_one(
    operator: Person, stored: AsyncEngine, stack_env: dict[str, str], tmp_path: Path
) -> None:
    secret = stack_env.get("OCTANT_SECRET_KEY", DEVELOPMENT_SECRET).encode()  # the service's: it checks the chain
    reason = f"pages {uuid.uuid4().hex[:8]}"
    log = ActionLog(stored, secret=secret, notes=tmp_path / "notes")
    action = Action(actor="ada", action="kill all", subject="", reason=reason, outcome="ok")
    for _ in range(PAGE):
        await log.write(Action(**{name: getattr(action, name) for name in ("actor", "action", "subject", "reason", "outcome")}))
    way = f"/console/security?tab=log&range=1h&reason={reason.replace(' ', '+')}"
    assert not next_of((await operator.get(way)).text)
    await log.write(action)
    assert (await operator.get(next_of((await operator.get(way)).text))).text.count("<tr data-row") == 1


async def test_a_requests_number_of_calls_leads_to_as_many(operator: Person, stored: AsyncEngine) -> None:
    """Of its calls some were refused, or needed no model: the number counts neither."""
    trace, request, at = uuid.uuid4().hex, f"req_{uuid.uuid4().hex}", datetime.now(UTC)
    same = {"trace_id": trace, "request_id": request, "at": at}
    await Writer(stored).write([a_record(**same, outcome=one) for one in ("ok", "ok", "budget_exceeded", "no_evidence")])
    page = await operator.get("/console/requests?range=15m")
    found = re.search(rf'href="(/console/calls\?[^"]*{request}[^"]*)">(\d+)</a>', page.text)
    assert found
    listed = await operator.get(unescape(found[1]))
    assert f"{found[2]} calls match" in listed.words
    assert listed.text.count("<tr data-row") == int(found[2]) == 2


async def test_a_number_of_calls_that_no_filter_finds_is_no_link(operator: Person, stored: AsyncEngine) -> None:
    """The calls of requests that cost so much are not the calls that cost so much."""
    await Writer(stored).write([a_record()])
    assert re.search(r">[\d,.k]+ calls?</a>\.", (await operator.get("/console/requests?range=15m")).text)
    by_cost = await operator.get("/console/requests?range=15m&min_cost=0.000001")
    assert " calls." in by_cost.words or " call." in by_cost.words
    assert not re.search(r">[\d,.k]+ calls?</a>\.", by_cost.text)


async def test_a_score_leads_to_the_scores_of_the_same_time(operator: Person) -> None:
    page = await operator.get("/console?range=15m")
    found = re.search(r'<dt>Score of live calls</dt>\s*<dd><a href="([^"]+)"', page.text)
    assert found
    assert parse_qs(urlsplit(unescape(found[1])).query) == {"range": ["15m"]}


async def test_another_range_begins_with_its_first_page(operator: Person) -> None:
    for way in ("/console/requests?range=1h&skip=50", "/console/security?tab=log&range=7d&before=2"):
        page = await operator.get(way)
        if page.status == 303:
            continue
        ranges = re.findall(r'<div class="ranges".*?</div>', page.text, re.DOTALL)
        assert "range=24h" in ranges[0]
        assert not re.search("skip=|before=", ranges[0]), way


@pytest.mark.parametrize(
    "path", [f"/console/{name}" for name in ("requests", "evals", "evals/production", "evals/candidates", "budgets/acme")]
)
async def test_a_page_behind_the_end_leads_to_the_first(operator: Person, path: str) -> None:
    """It said that there is nothing, where there is nothing further."""
    answer = await operator.get(f"{path}?skip=9000&range=1h")
    assert (answer.status, answer.headers.get("location")) == (303, f"{path}?range=1h")


async def test_answers_that_come_meanwhile_move_none_to_another_page(operator: Person, stored: AsyncEngine) -> None:
    feature, now = f"f{uuid.uuid4().hex[:8]}", datetime.now(UTC)

    async def score(number: int, at: datetime) -> None:
        values = {
            "call_id": f"{feature}-{number}", "at": at, "tenant": "acme", "user": "ada", "request_id": "r", "feature": feature,
            "release": "r", "passed": False, "findings": [],
        }  # fmt: skip
        async with stored.begin() as connection:
            await connection.execute(insert(eval_scores).values(values))

    for number in range(15):
        await score(number, now - timedelta(minutes=number + 1))
    first = await operator.get(f"/console/evals/production?range=24h&feature={feature}")
    await score(99, datetime.now(UTC))
    second = await operator.get(next_of(first.text).partition("#")[0])
    ids = re.findall(rf"q=({feature}-\d+)", first.text + second.text)
    assert (len(ids), len(set(ids))) == (15, 15)
