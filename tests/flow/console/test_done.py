"""After an action each page says what was done and how to take it back, and while a stop holds each page shows it (X1, P5)."""

import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from html import unescape
from typing import Any, cast

import pytest_asyncio
from conftest import LIVE_RELEASE, octant
from signed_in import Person, signed_in

from app.console.console import SAID, link
from app.console.navigation import PAGES
from app.console.sessions import Session

BEHIND = (
    "/console?range=1h", "/console/calls?tried=openai&range=1h", "/console/budgets/acme", "/console/evals/production",
    "/console/evals/candidates", f"/console/releases/{LIVE_RELEASE}", "/console/releases?tab=stops", "/console/security?tab=keys",
    "/console/runbook?q=anthropic+is+failing", "/console/runbook?q=nothing+like+it", "/console/runbook/provider-outage",
    "/console/requests/failed", "/console/search?q=latency", "/console/nothing-here",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def viewer(service_url: str, stack_env: dict[str, str]) -> AsyncIterator[Person]:
    key = octant(stack_env, "key", "create", "acme", "--name", "console", "--scope", "view", "--quiet").strip()
    async with signed_in(service_url, key) as one:
        yield one


async def test_each_page_says_what_was_done(operator: Person) -> None:
    csrf = re.search(r'data-csrf="([0-9a-f]+)"', (await operator.get("/console")).text)
    assert csrf
    said = ("openai is stopped.", "octant resume provider openai", "/console/do/resume?scope=provider", str(int(time.time())))
    words = dict(zip(SAID, (*said, Session(uuid.uuid4(), cast(Any, None), csrf[1]).signed(*said)), strict=True))
    for path in (*(page.path for page in PAGES), *BEHIND):
        page = await operator.get(f"{path}{'&' if '?' in path else '?'}{link('', words).removeprefix('?')}")
        assert "Done. openai is stopped. To take it back: octant resume provider openai" in page.words, path
        assert "Take it back…" in page.words, path


async def test_a_stop_from_a_found_page_of_the_runbook_is_said_at_once_and_taken_back(operator: Person) -> None:
    """The way of the night: from the first page to the runbook by the words of the symptom, to the stop, and back there."""
    here = "/console/runbook?q=anthropic+is+failing"
    way = re.search(r'href="(/console/do/kill-provider[^"]*)"', (await operator.get(here)).text)
    assert way
    form = await operator.get(unescape(way[1]))
    fields = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form.text) if name != "csrf"}
    assert fields["reason"], "the reason that the page has"
    done = await operator.submit("/console/do/kill-provider", fields)
    assert done.status == 303, done.words
    page = await operator.get(done.headers["location"])
    assert "Done. anthropic is stopped" in page.words
    assert "Stopped: provider anthropic" in page.words, "at once, on whatever worker"
    back = re.search(r'href="(/console/do/resume[^"]*)">Take it back…', page.text)
    assert back
    try:
        for one in PAGES:
            assert "Stopped: provider anthropic" in (await operator.get(one.path)).words, one.path
        open_page = json.loads((await operator.get("/console/live/badge")).text)
        assert "provider anthropic" in open_page["stopped"], "a page that is open already asks for it"
    finally:
        form = await operator.get(unescape(back[1]))
        fields = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form.text)}
        assert fields["reason"] == "taken back"
        resumed = await operator.submit("/console/do/resume", {n: value for n, value in fields.items() if n != "csrf"})
    page = await operator.get(resumed.headers["location"])
    assert resumed.headers["location"].startswith(f"{here}&")
    assert "Done. anthropic is released" in page.words
    assert "Stopped:" not in page.words


async def test_a_resume_begins_with_the_reason_of_its_stop(operator: Person) -> None:
    stopped = {"name": "request_refund", "reason": "it refunds twice"}
    assert (await operator.submit("/console/do/kill-tool", stopped)).status == 303
    form = await operator.get("/console/do/resume?scope=tool&name=request_refund")
    assert 'name="reason" value="over: it refunds twice"' in form.text
    done = await operator.submit("/console/do/resume", {"scope": "tool", "name": "request_refund", "reason": "over"})
    assert done.status == 303


async def test_what_to_stop_is_chosen_on_a_page_that_the_night_is_one_press_from(operator: Person, viewer: Person) -> None:
    for path in ("/console?range=1h", "/console/oncall"):
        [way] = re.findall(r'href="(/console/stop[^"]*)">Stop…</a>', (await operator.get(path)).text)
        assert "/console/stop" not in (await viewer.get(path)).text
        page = await operator.get(unescape(way))
        assert f'name="back" value="{path}"' in page.text
        choices = re.findall(r'action="/console/do/kill-(\w+)"', page.text)
        assert choices[:5] == ["provider", "model", "user", "tenant", "all"]
        assert {"openai", "smart", "acme"} <= set(re.findall(r"<option>([\w-]+)</option>", page.text))
        asked = await operator.get(link("/console/do/kill-tenant", {"name": "acme", "back": path}))
        assert f'name="back" value="{path}"' in asked.text
    assert (await viewer.get("/console/stop")).status == 403
