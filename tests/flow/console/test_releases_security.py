"""Releases and security in the console of the running service: shown, acted on, recorded (X1, S8)."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape

import aiohttp
import pytest
import pytest_asyncio
from client import eventually, post
from commands import run
from conftest import RELEASES, ROOT, octant
from products import needs_example
from signed_in import Person, signed_in
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import actions
from app.console.pages.releases import MOST_REHEARSALS
from app.releases.bad_events import SEEN
from app.releases.canaries import RUNNING
from app.releases.rehearsals import read
from app.releases.tables import activations, canaries, canary_users

EVIL = "<script>alert(1)</script>'\"{{7*7}}"


@pytest_asyncio.fixture(scope="module")
async def viewer(service_url: str, stack_env: dict[str, str]) -> AsyncIterator[Person]:
    key = octant(stack_env, "key", "create", "acme", "--name", "console", "--scope", "view", "--quiet").strip()
    async with signed_in(service_url, key) as one:
        yield one


@needs_example
async def test_a_stop_is_asked_for_in_numbers_done_shown_and_taken_back(operator: Person, viewer: Person) -> None:
    asked = await operator.get("/console/do/kill-tool?name=request_refund")
    assert "keeps the tool request_refund from running for 1 prompt" in asked.words
    assert "octant kill tool request_refund --reason" in asked.words
    assert "octant resume tool request_refund" in asked.words
    without = await operator.submit("/console/do/kill-tool", {"name": "request_refund"})
    assert (without.status, "Give a reason" in without.words) == (400, True)
    done = await operator.submit("/console/do/kill-tool", {"name": "request_refund", "reason": EVIL})
    assert done.status == 303
    page = await viewer.get("/console/releases")
    assert "tool request_refund" in page.words
    assert EVIL not in page.text
    assert "/console/do/" not in page.text
    taken_back = await operator.submit("/console/do/resume", {"scope": "tool", "name": "request_refund", "reason": "checked"})
    assert taken_back.status == 303

    async def resumed() -> bool:
        return "Nothing is stopped." in (await viewer.get("/console/releases?tab=stops")).words

    await eventually(resumed)
    log = await viewer.get("/console/security?tab=log&range=1h&check=1&subject=request_refund")
    assert {"kill tool", "resume"} <= set(re.findall(r"action=[\w+]+\">([\w ]+)</a>", log.text))
    assert "none is missing" in log.words


async def test_where_nothing_is_stopped_no_command_stops_everything(operator: Person) -> None:
    page = await operator.get("/console/releases?tab=stops")
    assert "Nothing is stopped." in page.words
    assert "octant kill status" in page.words
    assert "octant kill all" not in page.text
    assert ["Kind", "Which", "Message to callers (optional)"] in [row[:3] for row in page.rows]


async def test_a_slip_of_the_pen_stops_nothing(operator: Person) -> None:
    wrong = await operator.get("/console/do/kill-tool?name=request_refnd")
    assert (wrong.status, "No tool" in wrong.words) == (404, True)
    assert (await operator.get("/console/do/kill-provider?name=unknown")).status == 404
    assert (await operator.get("/console/do/resume?scope=tenant&name=acme")).status == 400


async def test_viewers_see_releases_and_change_nothing(viewer: Person) -> None:
    for name in (
        "kill-all",
        "rollback",
        "release-activate?release=1-start",
        "release-promote-force",
        "release-canary?release=x&share=1%25",
        "key-revoke?key=x",
    ):
        assert (await viewer.get(f"/console/do/{name}")).status == 403
        assert (await viewer.submit(f"/console/do/{name}", {"reason": "x", "release": "1-start", "key": "x"})).status == 403


@needs_example
async def test_an_attacks_case_that_did_not_pass_says_what_was_found_and_what_it_came_to(operator: Person) -> None:
    """On its own page, which once said only "failed", and in one list on Security."""
    found = r"tools: cancel_order was called \(pending\)"
    assert re.search(rf"failed {found}", (await operator.get("/console/evals/cases/support/review-with-orders")).words)
    page = await operator.get("/console/security")
    assert re.search(rf"review-with-orders prompt injection {found} None: a call that is pending waits", page.words), page.words
    assert "6 eval cases of attacks to mend, and the harm" in page.words


@needs_example
async def test_two_releases_stand_side_by_side_with_what_they_change_and_cost(operator: Person) -> None:
    live = re.search(r'href="/console/releases/([\w.-]+)">', (await operator.get("/console/releases")).text)
    assert live
    answer = await operator.get("/console/releases/2026-11-01/diff?to=2026-11-22")
    assert answer.status == 200
    assert re.search(r"<del>[^<]+</del>", answer.text)
    assert re.search(r"<ins>[^<]+</ins>", answer.text)
    assert "octant release diff 2026-11-22 --against 2026-11-01" in unescape(answer.text)
    assert "No eval suite has results of either release. python -m evals release 2026-11-22" in answer.words
    judged = await operator.get("/console/releases/2026-11-24/diff?to=2026-11-26")
    assert re.search(r"In the evals \d+ cases are lost and \d+ won\.", judged.words), judged.words
    assert ["overall", "85 of 240", "143 of 240", "+24.2 points", "58 %"] in judged.rows
    fell = ["answer that should be refusal", "18 of 19", "8 of 19", "-52.6 points", "allowed: 36 %"]
    assert fell in judged.rows, "why the gate lets a mode fall"
    assert re.search(r"<p>Lost: <a href=\"/console/evals/cases/support/director-phone\">", judged.text)
    asked = await operator.get("/console/do/release-activate?release=2026-11-24")
    assert "The alias of embeddings embed is removed: its calls will get 404." in asked.words, asked.words
    assert "Evals of support: -24.2 points:" in asked.words
    listed = (await operator.get("/console/evals")).text
    assert 'href="/console/releases/2026-11-26/diff?to=2026-11-24#evals">' in listed, "flips of a release lead to their cases"
    assert listed.count("to a later one") == 1, "a change beside a later release says so"
    same = await operator.get(f"/console/releases/{live[1]}/diff?to={live[1]}")
    assert "pin the same" in same.words
    assert (await operator.get("/console/releases/..%2f..%2fetc/diff?to=x")).status == 404
    assert (await operator.get("/console/releases/no-such")).status == 404


async def test_the_page_of_releases_begins_with_the_way_back_and_its_seconds(operator: Person) -> None:
    page = await operator.get("/console/releases")
    back = page.words.partition("All releases Kill switch")[2]
    assert re.search(r"^ Roll back .*\d m?s from the start of the command .*until the last worker answered", back), back[:300]
    assert 'octant rollback --reason "…"' in unescape(page.text)
    assert 'href="/console/do/rollback"' in page.text
    heads = {"history": "Workers", "canary": "Canary", "all": "All releases", "stops": "Stopped by the kill switch"}
    for tab, head in heads.items():
        shown = await operator.get(f"/console/releases?tab={tab}")
        first = re.search(r"<h2[^>]*>([^<]+)</h2>", shown.text)
        assert first
        assert first[1] == head
    assert (await operator.get("/console/releases?tab=nonsense")).words.count("until the last worker answered") > 0


async def test_rehearsals_that_came_with_the_code_are_marked_alike(operator: Person, stack_env: dict[str, str]) -> None:
    """And in the command. The log in the repository is older than this service's first release."""
    log = read(ROOT / "runbook" / "rehearsals.jsonl")
    rows = (await operator.get("/console/releases")).rows
    head = next(number for number, row in enumerate(rows) if row[:3] == ["At", "Rehearsed", "Promise"])
    shown = [row for row in rows[head + 1 :] if row[1] in {one.what for one in log}]
    assert len(shown) == len(log[-MOST_REHEARSALS:])
    for one, row in zip(log[: -len(shown) - 1 : -1], shown, strict=True):
        assert one.code, "the shipped log names the code that ran"
        assert f" of commit {one.code}, made on {one.at:%Y-%m-%d}, that came with the code)" in row[5]
    assert "a recorded run of the injection gate of commit " in (await operator.get("/console/readiness")).words
    assert octant(stack_env, "release", "rehearsals").count("that came with the code)") == len(shown)


@needs_example
async def test_a_release_that_lacks_eval_results_is_activated_by_no_click_without_force(operator: Person) -> None:
    page = await operator.get("/console/releases/2026-11-01")
    assert "The eval gate refuses it" in page.words
    assert 'type="checkbox" required' in page.text
    asked = await operator.get("/console/do/release-activate?release=2026-11-01")
    assert "It will be refused" in asked.words
    refused = await operator.submit("/console/do/release-activate", {"release": "2026-11-01", "reason": "try"})
    assert (refused.status, "lacks eval results" in refused.words) == (409, True)
    for unknown in ("no-such", "../x"):
        answer = await operator.get(f"/console/do/release-activate?release={unknown}")
        assert (answer.status, "No release" in answer.words) == (400, True)
    assert (await operator.get("/console/do/release-promote")).status == 400
    forced = await operator.get("/console/do/release-activate-force?release=2026-11-01")
    assert "An alert will fire" in forced.words
    assert "octant release activate 2026-11-01" in forced.words


@needs_example
async def test_a_refused_release_comes_first_while_live_and_no_name_leads_back_to_it_without_force(
    operator: Person, stored: AsyncEngine, stack_env: dict[str, str]
) -> None:
    """On the first page, in `octant status`, in the console's effect and in the command (B2, B3)."""
    bad, live = "2026-11-24", str((await newest(stored))[0])
    forced = await operator.submit("/console/do/release-activate-force", {"release": bad, "reason": "a test"})
    assert forced.status == 303, forced.words
    try:
        said = f"The eval gate refuses the live release {bad}: 12 of its eval results are missing or below their threshold"
        way = "octant rollback --to"
        first = (await operator.get("/console")).words.replace(" : ", ": ")
        assert said in first
        assert first.index(said) < first.index("Calls failed"), first
        printed = run(stack_env, "status").stdout
        assert printed.startswith(said), printed[:300]
        assert way in printed.splitlines()[0]
        releases = await operator.get("/console/releases")
        assert said in releases.words.replace(" : ", ": ")
        beside = releases.text.partition('<dl class="figures">')[0]
        assert re.search(rf'class="button strong" href="/console/do/rollback\?to=(?!{bad})[\w.-]+">Go back to ', beside), (
            "no scrolling"
        )
        assert said in (await operator.get("/console/readiness")).words.replace(" : ", ": ")
    finally:
        await activated(operator, stored, live)
    page = await operator.get(f"/console/releases/{bad}")
    assert "Roll back to it by force…" in page.words
    assert "Roll back to it… " not in page.words
    asked = await operator.get(f"/console/do/rollback?to={bad}")
    assert f"The eval gate refuses {bad} for 12 reasons; it goes live by force alone." in asked.words
    assert 'action="/console/do/rollback-force"' in asked.text
    assert 'type="checkbox" required' in asked.text
    refused = await operator.submit("/console/do/rollback", {"to": bad, "reason": "try"})
    assert (refused.status, "nevertheless: --force" in refused.words) == (409, True)
    with pytest.raises(AssertionError, match=f"The eval gate refuses {bad} for 12 reasons"):
        octant(stack_env, "rollback", "--to", bad, "--reason", "try")
    assert (await newest(stored))[0] == live
    before = await operator.get("/console/do/rollback")
    assert "the release before goes live nevertheless" in before.words, "it was forced, and is the release before"
    back = octant(stack_env, "rollback", "--reason", "at 3 a.m.")
    assert re.search(rf"All \d workers serve it .*\nWARNING   The eval gate refuses {bad} for 12 reasons, and it is live", back)
    assert back.splitlines()[-1].endswith(f'{live} passes it: `octant rollback --to {live} --reason "…"`'), back
    await activated(operator, stored, live)


async def test_a_canary_is_promoted_on_its_evidence_and_a_release_activated_without_force(
    operator: Person, stored: AsyncEngine, http: aiohttp.ClientSession
) -> None:
    """Both are done by the service's own releases, so callers' answers name them; the log has neither as forced (B4)."""
    earlier, live = RELEASES
    assert (await activated(operator, stored, earlier))[:3] == (earlier, "activate", None)
    await eventually(lambda: answered_by(http, earlier))
    form = {"release": live, "share": "50%", "reason": "try it"}
    assert (await operator.submit("/console/do/release-canary", form)).status == 303
    promote = {"reason": "the evidence is in"}
    asked = await operator.get("/console/do/release-promote")
    assert "The evidence does not reach a promotion. It will be refused." in asked.words
    early = await operator.submit("/console/do/release-promote", promote)
    assert (early.status, "is not proven" in early.words) == (409, True)
    await good_evidence(stored)
    assert "may be promoted" in (await operator.get("/console/releases")).words
    asked = await operator.get("/console/do/release-promote")
    assert "Every metric shows that it is less than twice as bad." in asked.words
    assert "refused" not in asked.words.partition("Every metric")[2]
    done = await operator.submit("/console/do/release-promote", promote)
    assert done.status == 303, done.words
    assert await newest(stored) == (live, "activate", None, "the evidence is in")
    async with stored.connect() as connection:
        ended = select(canaries.c.state, canaries.c.release).order_by(canaries.c.id.desc()).limit(1)
        assert (await connection.execute(ended)).one() == ("promoted", live)
        log = select(actions.c.action, actions.c.outcome).order_by(actions.c.number.desc()).limit(2)
        assert (await connection.execute(log)).all() == [("release promote", "ok"), ("release promote", "begun")]
    await eventually(lambda: answered_by(http, live))


async def test_after_the_last_rollback_the_page_offers_to_take_it_back(
    operator: Person, stored: AsyncEngine, http: aiohttp.ClientSession
) -> None:
    """Button, text and action follow one rule: a release that was rolled back from is none to go back to (B2)."""
    earlier, live = RELEASES
    if (await newest(stored))[0] != live:
        await activated(operator, stored, live)
    button = 'href="/console/do/rollback"'
    while True:  # the path becomes shorter with each rollback
        page = await operator.get("/console/releases")
        asked = await operator.get("/console/do/rollback")
        assert (button in page.text) == (asked.status == 200) == ("The release before is" in page.words)
        if asked.status == 303:
            break
        assert (await operator.submit("/console/do/rollback", {"reason": "a test"})).status == 303
    assert (await newest(stored))[:2] == (earlier, "rollback")
    assert f"A rollback has left {live}" in page.words
    assert asked.headers["location"] == "/console/releases#rollback", "no dead end: that page says so"
    assert f"No other release was live here before {earlier}" in page.words
    assert f"octant release activate {live}" in page.words
    assert (await operator.submit("/console/do/rollback", {"reason": "a test"})).headers["location"] == asked.headers["location"]
    assert button not in (await operator.get("/console/releases?tab=history")).text
    way = re.search(r'href="(/console/do/release-activate\?release=[\w.-]+)">Take it back', page.text)
    assert way
    assert f"Activate {live}" in (await operator.get(way[1])).words
    await activated(operator, stored, live)
    page = await operator.get("/console/releases")
    assert button in page.text
    assert "Take it back" not in page.words
    await eventually(lambda: answered_by(http, live))


async def activated(operator: Person, stored: AsyncEngine, release: str) -> tuple[object, ...]:
    """Activate a release by the console's form without force, and return the newest line of the history."""
    asked = await operator.get(f"/console/do/release-activate?release={release}")
    assert "It has every eval result that it needs." in asked.words
    done = await operator.submit("/console/do/release-activate", {"release": release, "reason": "a test"})
    assert (done.status, str(done.headers["location"])[:23]) == (303, "/console/releases?done="), done.words
    return await newest(stored)


async def newest(stored: AsyncEngine) -> tuple[object, ...]:
    """Release, kind, lacking eval results and reason of the last activation."""
    columns = (activations.c.release, activations.c.kind, activations.c.unproven, activations.c.reason)
    async with stored.connect() as connection:
        return tuple((await connection.execute(select(*columns).order_by(activations.c.number.desc()).limit(1))).one())


async def answered_by(http: aiohttp.ClientSession, release: str) -> bool:
    """Whether the next answers all name this release. Each has a connection of its own, which any worker may take."""
    body = {"model": "fast", "user": "ada", "messages": [{"role": "user", "content": "hi"}]}
    answers = [await post(http, "/v1/chat/completions", body, connection="close") for _ in range(10)]
    return {answer.headers["octant-release"] for answer in answers} == {release}


async def good_evidence(stored: AsyncEngine) -> None:
    """Store what workers count: 400 users, of whom every second had the canary, and as many bad events in both halves."""
    async with stored.begin() as connection:
        canary, metrics = (
            await connection.execute(select(canaries.c.id, canaries.c.metrics).where(canaries.c.state == RUNNING))
        ).one()
        rows = [
            {"canary": canary, "metric": metric, "digest": f"{number:032x}", "has_canary": number % 2 == 0, "step": 0}
            for metric in (SEEN, *metrics)
            for number in range(0 if metric == SEEN else 200, 400)
        ]
        await connection.execute(insert(canary_users), rows)


async def test_a_key_is_revoked_and_the_log_names_it(operator: Person, stack_env: dict[str, str]) -> None:
    key = octant(stack_env, "key", "create", "acme", "--name", "to be revoked", "--quiet").strip()
    number = key.split("_")[1]
    asked = await operator.get(f"/console/do/key-revoke?key={number}")
    assert "never used" in asked.words
    done = await operator.submit("/console/do/key-revoke", {"key": number, "reason": "leaked"})
    assert done.status == 303
    assert (await operator.get(f"/console/do/key-revoke?key={number}")).status == 404
    page = await operator.get(done.headers["location"])
    assert "Done." in page.words
    assert any(number in row[0] and "revoked" in " ".join(row) for row in page.rows if row), "it is in the list"
    assert key not in page.text
    log = await operator.get(f"/console/security?tab=log&action=key+revoke&subject={number}")
    assert "leaked" in log.words
    [line] = [line for line in octant(stack_env, "key", "list", "acme").splitlines() if line.startswith(number)]
    assert re.search(r"  revoked \d{4}-\d\d-\d\d \d\d:\d\d UTC by key:\w+ of acme in the console$", line), line
    other = octant(stack_env, "key", "create", "acme", "--name", "another", "--quiet").strip().split("_")[1]
    octant(stack_env, "key", "revoke", other)
    listed = {one["id"]: one for one in map(json.loads, octant(stack_env, "key", "list", "--json").splitlines())}
    assert (listed[other]["state"], listed[other]["revoked_by"].partition(":")[0]) == ("revoked", "os")
    assert listed[other]["revoked_at"] > listed[number]["revoked_at"]
    assert {one["revoked_by"] for one in listed.values() if one["state"] == "live"} == {None}


async def test_a_providers_key_from_a_variable_is_as_old_as_its_first_call(
    operator: Person, http: aiohttp.ClientSession, stack_env: dict[str, str]
) -> None:
    await post(http, "/v1/chat/completions", {"model": "fast", "messages": [{"role": "user", "content": "hi"}]})

    async def shown() -> bool:
        return "first used here at least" in (await operator.get("/console/security?tab=keys")).words

    await eventually(shown)
    printed = octant(stack_env, "provider-key", "status")
    assert "age unknown, at least" in printed
    assert printed.count("simulated: no vendor's key") == 2
    rows = {
        row[0]: row[1] for row in (await operator.get("/console/security?tab=keys")).rows if row[0] in ("anthropic", "openai")
    }
    assert {name: state.endswith("simulated") for name, state in rows.items()} == {"anthropic": True, "openai": True}


async def test_each_tab_of_security_has_its_own_sentence_and_threats_are_filtered_in_the_address(operator: Person) -> None:
    said = {}
    for tab in ("threats", "flags", "keys", "log", "sessions", "packages"):
        page = await operator.get(f"/console/security?tab={tab}")
        said[tab] = (re.findall(r'<p class="answer [\w ]+">([^<]+)</p>', page.text) or [page.text])[0]
    assert len(set(said.values())) == len(said), said
    assert re.match(r"\d+ API keys? works?; the oldest is ", unescape(said["keys"])), said["keys"]
    whole = await operator.get("/console/security")
    one = await operator.get("/console/security?risk=LLM01&of=support&text=refund")
    matched = re.search(r"(\d+) of (\d+) threats match: ", one.words)
    assert matched, one.words
    assert int(matched[1]) == len(re.findall(r'<tr id="threat-', one.text)) > 0
    assert int(matched[2]) == len(re.findall(r'<tr id="threat-', whole.text))
    assert "No threat of" in (await operator.get("/console/security?text=zxqv")).words


async def test_a_session_of_the_console_is_ended_from_the_list(
    operator: Person, service_url: str, stack_env: dict[str, str]
) -> None:
    key = octant(stack_env, "key", "create", "acme", "--name", "lost phone", "--scope", "view", "--quiet").strip()
    async with signed_in(service_url, key) as lost:
        assert (await lost.get("/console")).status == 200
        page = await operator.get("/console/security?tab=sessions")
        row = page.text.partition(key.split("_")[1])[2]
        number = re.search(r"console-end\?session=([\w-]+)", row)
        assert number
        done = await operator.submit("/console/do/console-end", {"session": number[1], "reason": "lost"})
        assert done.status == 303

        async def out() -> bool:
            return {(await lost.get("/console")).status for _ in range(10)} == {303}

        await eventually(out)
