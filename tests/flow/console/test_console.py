"""The console on the running service: sessions, forms, what callers wrote, rows and totals (X1, S8)."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest
import pytest_asyncio
from client import Answer, eventually, post, session
from conftest import LIVE_RELEASE, Simulator, octant
from records import a_record
from signed_in import COOKIE, Person, person, signed_in
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit.rows import Writer
from app.console.console import SAID, link
from app.console.navigation import PAGES
from app.console.sessions import Session
from app.domain.records import step_text

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"{{7*7}}${7*7}</textarea>\u202e"


@pytest.fixture(scope="module")
def keys(stack_env: dict[str, str]) -> dict[str, str]:
    """A key of each scope."""
    made = {}
    for scope in ("call", "read", "view", "admin"):
        made[scope] = octant(
            stack_env, "key", "create", "acme", "--name", f"console {scope}", "--scope", scope, "--quiet"
        ).strip()
    return made


@pytest_asyncio.fixture(scope="module")
async def operator(service_url: str, keys: dict[str, str]) -> AsyncIterator[Person]:
    async with signed_in(service_url, keys["admin"]) as one:
        yield one


@pytest_asyncio.fixture(scope="module")
async def viewer(service_url: str, keys: dict[str, str]) -> AsyncIterator[Person]:
    async with signed_in(service_url, keys["view"]) as one:
        yield one


async def test_every_page_asks_for_a_session_first(service_url: str) -> None:
    async with person(service_url) as stranger:
        for path in (
            *(page.path for page in PAGES),
            "/console/traces/1",
            "/console/live/calls",
            "/console/do/kill-all",
            "/console/x",
        ):
            answer = await stranger.get(path)
            assert (answer.status, answer.headers["location"][:25]) == (303, "/console/sign-in?to=%2Fcon"[:25]), path
        answer = await stranger.post("/console/do/kill-all", {"reason": "x"})
        assert answer.status == 303


async def test_a_session_is_a_cookie_that_only_this_site_sends(service_url: str, keys: dict[str, str]) -> None:
    async with person(service_url) as stranger:
        answer = await stranger.post("/console/sign-in", {"key": keys["admin"], "to": "/console/calls"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}
    assert keys["admin"] not in answer.text + cookie
    assert answer.headers["location"] == "/console/sign-in?kept=1&to=%2Fconsole%2Fcalls"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/console/../v1", "/\\evil", "javascript:alert(1)", "/consolex"]
)
async def test_a_sign_in_leads_into_the_console_alone(service_url: str, keys: dict[str, str], to: str) -> None:
    async with person(service_url) as stranger:
        answer = await stranger.post("/console/sign-in", {"key": keys["view"], "to": to})
    assert answer.headers["location"] == "/console/sign-in?kept=1&to=%2Fconsole"


@pytest.mark.parametrize("scope", ["call", "read"])
async def test_keys_of_callers_open_no_console(service_url: str, keys: dict[str, str], scope: str) -> None:
    async with person(service_url) as stranger:
        answer = await stranger.post("/console/sign-in", {"key": keys[scope], "to": "/console"})
    assert answer.status == 403
    assert "needs the scope admin" in answer.words


@pytest.mark.parametrize("key", ["", "oct_00000000_wrong", "x" * 5000, EVIL, "\0"])
async def test_a_wrong_key_is_refused_and_not_shown_again(service_url: str, key: str) -> None:
    async with person(service_url) as stranger:
        answer = await stranger.post("/console/sign-in", {"key": key, "to": "/console"})
    assert answer.status in (400, 401, 429)
    assert "set-cookie" not in answer.headers
    assert len(key) < 10 or key[:40] not in unescape(answer.text)


async def test_a_link_from_elsewhere_asks_the_browser_once_more(service_url: str) -> None:
    """A strict cookie is not sent with a link in a page of a pager: our own page then asks again, with it."""
    async with person(service_url) as stranger:
        answer = await stranger.get("/console/calls?range=1h", sec_fetch_site="cross-site")
        again = await stranger.get("/console/calls?range=1h", sec_fetch_site="same-origin")
    assert answer.status == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert again.status == 303


async def test_a_form_from_elsewhere_is_refused(operator: Person) -> None:
    fields = {"reason": "x"}
    without = await operator.post("/console/sign-out", fields)
    wrong = await operator.post("/console/sign-out", {**fields, "csrf": "0" * 64})
    csrf = re.search(r'data-csrf="(\w+)"', (await operator.get("/console")).text)
    assert csrf
    crossed = await operator.post("/console/sign-out", {**fields, "csrf": csrf[1]}, sec_fetch_site="cross-site")
    other = await operator.post("/console/sign-out", {**fields, "csrf": csrf[1]}, origin="https://evil.example")
    assert [answer.status for answer in (without, wrong, crossed, other)] == [403] * 4
    assert (await operator.get("/console")).status == 200


@pytest.mark.parametrize("reason", ["a\0b", "\x1b[31m"], ids=["NUL", "escape"])
async def test_a_form_that_no_store_can_keep_is_the_senders_mistake(operator: Person, reason: str) -> None:
    """Else the kill switch takes Postgres for away, as it cannot write the stop there."""
    answer = await operator.submit("/console/do/kill-provider", {"name": "openai", "reason": reason})
    assert (answer.status, "The form" in answer.words) == (400, True)
    assert "openai is not stopped" in (await operator.get("/console/do/resume?scope=provider&name=openai")).words


async def test_a_session_ends_on_every_worker_with_its_sign_out(service_url: str, keys: dict[str, str]) -> None:
    async with signed_in(service_url, keys["view"]) as one:
        assert (await one.get("/console")).status == 200
        assert (await one.submit("/console/sign-out", {})).status == 303
        await _is_out(one)


async def test_the_sign_in_after_an_ended_session_says_so_and_leads_back(service_url: str, keys: dict[str, str]) -> None:
    """With the place on the page: browsers keep it over the redirect, and the page's script adds it."""
    async with signed_in(service_url, keys["view"]) as one:
        await one.submit("/console/sign-out", {})
        await _is_out(one)
        door = await one.get("/console/sign-in?to=%2Fconsole%2Frunbook")
    assert "Your session has ended." in door.words
    async with person(service_url) as stranger:
        assert "has ended" not in (await stranger.get("/console/sign-in")).words
        answer = await stranger.post("/console/sign-in", {"key": keys["view"], "to": "/console/runbook#contacts"})
        first = await stranger.post("/console/sign-in", {"key": keys["view"], "to": "/console#kinds"})
    assert answer.headers["location"] == "/console/sign-in?kept=1&to=%2Fconsole%2Frunbook%23contacts"
    assert first.headers["location"] == "/console/sign-in?kept=1&to=%2Fconsole%23kinds"


async def test_a_session_ends_with_its_key(service_url: str, stack_env: dict[str, str]) -> None:
    key = octant(stack_env, "key", "create", "acme", "--name", "gone soon", "--scope", "admin", "--quiet").strip()
    async with signed_in(service_url, key) as one:
        assert (await one.get("/console")).status == 200
        octant(stack_env, "key", "revoke", key)
        await _is_out(one)


async def _is_out(one: Person) -> None:
    """On both workers: ten answers in a row."""

    async def out() -> bool:
        return {(await one.get("/console")).status for _ in range(10)} == {303}

    await eventually(out)


async def test_a_viewer_sees_everything_and_can_do_nothing(viewer: Person) -> None:
    assert (await viewer.get("/console")).status == 200
    for method in ("get", "submit"):
        answer = await (viewer.get("/console/do/x") if method == "get" else viewer.submit("/console/do/x", {"reason": "x"}))
        assert answer.status == 403
        assert "may look, not act" in answer.words


async def test_every_page_has_the_operators_headers(operator: Person) -> None:
    for path in ("/console", "/console/calls", "/console/nothing"):
        answer = await operator.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|<script(?![^>]*\ssrc=)", answer.text)


async def test_whatever_a_caller_writes_is_shown_as_text(http: aiohttp.ClientSession, operator: Person) -> None:
    """Every field that a caller can fill: user, texts, request id, model, tool, its call and result, metadata, stop, client."""
    user = f"{EVIL[:60]}{uuid.uuid4().hex[:6]}"
    function = {"name": "look", "description": EVIL, "parameters": {"type": "object", "title": EVIL}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": json.dumps({EVIL: EVIL})}}
    messages = [
        {"role": "system", "content": EVIL}, {"role": "user", "content": f"{EVIL} hello"},
        {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": EVIL},
    ]  # fmt: skip
    body = {
        "model": "smart", "user": user, "messages": messages, "tools": [{"type": "function", "function": function}],
        "metadata": {"<b>name</b>": EVIL}, "stop": [EVIL],
    }  # fmt: skip
    client = {"user_agent": "<script>alert(3)</script>"}
    answer = await post(http, "/v1/chat/completions", body, x_request_id="<b>not an id</b>", **client)
    assert answer.status == 200, answer.body
    await post(http, "/v1/chat/completions", {**body, "model": EVIL})
    trace = answer.headers["octant-trace-id"]

    async def recorded() -> bool:
        return "1 call matches" in (await operator.get(f"/console/calls?range=15m&text=hello&trace_id={trace}")).text

    await eventually(recorded)
    for path in (
        "/console?range=15m", "/console/calls?range=15m", f"/console/calls?user={EVIL[:40]}&range=15m",
        f"/console/traces/{trace}",
        f"/console/search?q={EVIL[:40]}", f"/console/{EVIL[:30]}", "/console/do/%3Cscript%3E",
    ):  # fmt: skip
        shown = await operator.get(path)
        if shown.status == 303:
            shown = await operator.get(shown.headers["location"])
        for sign in ("<script>alert", "<img src=x", "</textarea>", "<b>"):
            assert sign not in shown.text, path
    written = (await operator.get(f"/console/traces/{trace}")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written
    assert ("\\u202e" in written, "\u202e" in written) == (True, False), "what reorders a line is seen, and reorders none"


async def test_the_rows_of_all_pages_are_the_total(service_url: str, api_key: str, operator: Person) -> None:
    user = f"pages-{uuid.uuid4().hex[:8]}"
    async with session(service_url, api_key) as http:
        body = {"model": "fast", "user": user, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        answers = await asyncio.gather(*(post(http, "/v1/chat/completions", body) for _ in range(53)))
    assert {answer.status for answer in answers} == {200}
    path = f"/console/calls?range=1h&user={user}"

    async def all_there() -> bool:
        return "53 calls match" in (await operator.get(path)).text

    await eventually(all_there)
    first = await operator.get(path)
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following
    second = await operator.get(unescape(following[1]))
    ids = re.findall(r'href="/console/traces/\w+\?call=(call_\w+)"', first.text + second.text)
    assert (len(ids), len(set(ids))) == (53, 53)
    assert "53 calls match" in second.text, "the total counts all pages, on each page"
    costs = sum(float(answer.headers["octant-cost-usd"]) for answer in answers)
    shown = re.search(r"none failed, \$([\d.]+),", first.words)
    assert shown
    assert float(shown[1]) == pytest.approx(costs, rel=0.005)
    ordered = await operator.get(path + "&sort=latency_ms")
    assert 'aria-sort="descending"' in ordered.text
    plain = await operator.get("/console/calls")
    assert re.findall(r'href="/console/calls\?sort=(\w+)">\w+ <span aria-hidden="true">↕<', plain.text) == ["latency_ms", "cost"]


async def test_the_total_names_the_kinds_of_its_rows(operator: Person, stack_env: dict[str, str]) -> None:
    engine, user = create_async_engine(stack_env["OCTANT_DATABASE_URL"]), f"kinds-{uuid.uuid4().hex[:8]}"
    outcomes = ("ok", "ok", "provider_error", "no_evidence", "replayed", "budget_exceeded")
    await Writer(engine).write([a_record(user=user, outcome=outcome) for outcome in outcomes])
    await engine.dispose()
    page = await operator.get(f"/console/calls?range=1h&user={user}")
    assert "6 calls match in the last 1 h (3 calls of a model, 2 that needed none, 1 refused): 1 failed," in page.words
    page = await operator.get(f"/console/calls?range=1h&user={user}&needed_model=true&refused=false")
    assert "3 calls match in the last 1 h: 1 failed," in page.words


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("failed=maybe", 200, "Failed is true or false."),
        ("min_cost=lots", 200, "Not a bound"),
        ("sort=user", 200, "Calls are sorted by"),
        ("after=nonsense", 200, "The cursor is not one of this search"),
        ("range=eternity", 200, "There is no such time range."),
        ("since=2026-11-27T12:00&until=2026-11-27T11:00", 200, "The time range ends before it begins."),
        ("since=yesterday", 200, "The time range is not valid"),
        ("text=%00", 400, "The query holds a control character."),
        ("user=" + "x" * 1001, 200, "User is over 1,000 characters."),
    ],
)
async def test_a_wrong_address_says_why_and_shows_the_page(operator: Person, query: str, status: int, words: str) -> None:
    answer = await operator.get(f"/console/calls?{query}")
    assert answer.status == status
    assert words in answer.words


async def test_each_applied_filter_is_a_chip_that_takes_it_away(operator: Person) -> None:
    """The further filters stay folded, whichever of them are applied."""
    applied = {
        "tenant": "acme", "failed": "false", "needed_model": "true", "tried": "anthropic", "min_latency_ms": "0", "text": "hello",
        "runbook": "hello",
    }  # fmt: skip
    shown = await operator.get("/console/calls?" + urlencode({"range": "1h", **applied}))
    assert "<details open" not in shown.text
    ways = re.findall(r'<a class="chip" href="([^"]+)" aria-label="Remove the filter ([^"]+)"', shown.text)
    assert sorted(unescape(words) for _, words in ways) == [
        "Failed: answered", "Latency, ms, least: 0", "Needed model: yes", "Tenant: acme", "Text: hello", "Tried: anthropic",
    ]  # fmt: skip
    for way, words in ways:
        left = dict(parse_qsl(unescape(way).partition("?")[2]))
        gone = {"text", "runbook"} if words.startswith("Text") else applied.keys() - left.keys()
        assert len(gone) == 1 or gone == {"text", "runbook"}
        assert left == {"range": "1h", **{name: value for name, value in applied.items() if name not in gone}}


async def test_the_search_in_texts_says_where_it_looks(operator: Person) -> None:
    """An article that was retrieved is in the prompt: its words find each call that got it."""
    assert "Text in prompt, articles, answer or error" in (await operator.get("/console/calls")).words
    assert "also retrieved articles" in (await operator.get("/console/calls?text=shipping")).words


async def test_an_address_holds_only_the_fields_that_were_chosen(operator: Person) -> None:
    for sent, kept in (
        ("/console/calls?range=1h&tenant=acme&user=&text=&min_cost=", "/console/calls?range=1h&tenant=acme"),
        ("/console/calls?user=&text=a+%26+b", "/console/calls?text=a+%26+b"),
        ("/console/security?tab=log&actor=&failed=", "/console/security?tab=log"),
        ("/console/budgets?name=", "/console/budgets"),
    ):
        answer = await operator.get(sent)
        assert (answer.status, answer.headers["location"]) == (303, kept)
        assert (await operator.get(kept)).status == 200


async def test_the_form_of_calls_suggests_stored_values_but_no_users(operator: Person, stack_env: dict[str, str]) -> None:
    engine = create_async_engine(stack_env["OCTANT_DATABASE_URL"])
    of_one = a_record(tenant="suggested", user="a-user-of-it", model="m<1>", degraded=("cheaper",))
    await Writer(engine).write([of_one, a_record(tenant="acme")])
    await engine.dispose()
    page = (await operator.get("/console/calls?range=15m")).text
    lists = {
        name: [unescape(value) for value in re.findall(r'value="([^"]*)"', options)]
        for name, options in re.findall(r'<datalist id="values-(\w+)">(.*?)</datalist>', page)
    }
    assert set(re.findall(r'list="values-(\w+)"', page)) == lists.keys()
    assert {"suggested", "acme"} <= set(lists["tenant"])
    assert "m<1>" in lists["model"]
    assert "cheaper" in lists["degraded"]
    assert {"anthropic", "openai"} <= set(lists["tried"])
    assert {"ok", "provider_timeout"} <= set(lists["attempt"])
    assert "a-user-of-it" not in {value for values in lists.values() for value in values}


async def test_one_search_box_finds_a_call_by_any_of_its_ids(http: aiohttp.ClientSession, operator: Person) -> None:
    user = f"find-{uuid.uuid4().hex[:8]}"
    body = {"model": "fast", "user": user, "messages": [{"role": "user", "content": "hi"}]}
    answer = await post(http, "/v1/chat/completions", body)
    trace = answer.headers["octant-trace-id"]

    async def way(words: str) -> str:
        return str((await operator.get(f"/console/search?q={words}")).headers["location"])

    async def found() -> bool:
        return await way(trace) == f"/console/traces/{trace}"

    await eventually(found)
    await post(http, "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": "who is on call"}]})
    assert await way(answer.headers["x-request-id"]) == f"/console/traces/{trace}"
    for quoted in (answer.body["id"], answer.headers["x-request-id"].replace("req_", "msg_")):
        assert await way(quoted) == f"/console/traces/{trace}", "the id that a client's log has"
    assert await way(user) == f"/console/calls?user={user}&range=30d"
    assert await way("acme") == "/console/calls?tenant=acme&range=30d"
    assert await way("ok") == "/console/calls?outcome=ok&range=30d"
    assert await way(LIVE_RELEASE) == f"/console/releases/{LIVE_RELEASE}"
    assert await way("who%20is%20on%20call") == "/console/oncall"
    for words in ("provider times out", "openai times out", "provider refuses everything"):
        assert await way(words) == f"/console/runbook?q={words.replace(' ', '+')}", "a page fits better than no call"
    nonsense = await operator.get(await way(f"zxqv-{trace[:6]}"))
    assert f"No request, trace or error has “zxqv-{trace[:6]}”." in nonsense.words
    assert "Searched: the ids of requests" in nonsense.words, "below it, folded"
    assert f"octant runbook zxqv-{trace[:6]}" in nonsense.words
    assert "ids" not in (await operator.get(await way("zxqv%20blorp"))).words.partition("Searched: ")[2][:40]
    shown = await operator.get(f"/console/traces/{trace}")
    assert "One call of acme, answered by" in shown.words
    assert f"octant trace {trace}" in shown.words


async def test_the_search_box_offers_the_consoles_own_places_beside_the_calls_and_the_runbook(
    http: aiohttp.ClientSession, operator: Person
) -> None:
    await post(
        http, "/v1/chat/completions", {"model": "fast", "messages": [{"role": "user", "content": "a rollback of latency"}]}
    )

    async def offered(words: str) -> list[str]:
        page = await operator.get(f"/console/search?q={words}")
        assert page.status == 200, page.headers.get("location")
        ways = [unescape(href) for href in re.findall(r'<tr data-row[^>]*><td><a href="([^"]+)"', page.text)]
        return [way for way in ways if not way.startswith("/console/requests/failed?")]  # another test's error may hold the word

    async def of_calls() -> bool:
        return "/console/calls?text=latency&range=30d&runbook=latency" in await offered("latency")

    await eventually(of_calls)
    assert await offered("latency") == [
        "/console#latency", "/console/runbook?q=latency", "/console/calls?text=latency&range=30d&runbook=latency",
    ]  # fmt: skip
    assert (await offered("rollback"))[0].startswith("/console/releases")
    rogue = await offered("rogue+user")
    assert {"/console/budgets#worst-case", "/console/runbook?q=rogue+user"} <= set(rogue), "what one can cost, and what to do"
    alone = await operator.get("/console/search?q=worst+case")
    assert (alone.status, alone.headers["location"]) == (303, "/console/budgets#worst-case"), "the one place is opened"


async def test_a_symptom_comes_before_the_calls_with_its_words_and_an_errors_text_does_not(
    operator: Person, stack_env: dict[str, str]
) -> None:
    mark, engine = uuid.uuid4().hex[:8], create_async_engine(stack_env["OCTANT_DATABASE_URL"])
    symptom, failure = "the shop site is down", f"customers get 429 from {mark}"
    attempt = replace(a_record().attempts[0], error=failure)
    records = [a_record(request=json.dumps({"messages": [symptom]}), attempts=()), a_record(attempts=(attempt,))]
    await Writer(engine).write(records)
    await engine.dispose()
    listed = await operator.get("/console/search?" + urlencode({"q": symptom}))
    ways = [unescape(href) for href in re.findall(r'<tr data-row[^>]*><td><a href="([^"]+)"', listed.text)]
    asked = {"text": symptom, "range": "30d", "runbook": symptom}
    assert ways == [f"/console/runbook?{urlencode({'q': symptom})}", f"/console/calls?{urlencode(asked)}"]
    led = (await operator.get("/console/search?" + urlencode({"q": failure}))).headers["location"]
    assert led.startswith("/console/calls?text=")
    assert records[1].id in (await operator.get(led)).text
    nearest = (await operator.get("/console/search?q=a+user+complains+" + mark)).headers["location"]
    assert "Search the calls for" in (await operator.get(nearest)).words, "both are searched from either page"


async def test_fallbacks_and_the_steps_of_a_chart_lead_to_their_calls(http: aiohttp.ClientSession, operator: Person) -> None:
    await post(http, "/v1/chat/completions", {"model": "fast", "messages": [{"role": "user", "content": "hi"}]})

    async def there() -> bool:
        return 'id="by-outcome"' in (await operator.get("/console?range=1h")).text

    await eventually(there)
    page = (await operator.get("/console?range=1h")).text
    tile = re.search(r'<dt>Fell back</dt>\s*<dd><a href="([^"]+)"', page)
    step = re.search(r'<td><a href="(/console/calls\?[^"]*since=[^"]+)"><time', page)
    assert tile
    assert step
    assert "min_fallbacks=1" in tile[1]
    for way in (tile[1], step[1]):
        shown = await operator.get(unescape(way))
        assert shown.status == 200
        assert "Not a" not in shown.words


async def test_the_overviews_number_of_requests_leads_to_a_list_of_as_many(
    http: aiohttp.ClientSession, operator: Person, stack_env: dict[str, str]
) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    await post(http, "/v1/chat/completions", {"model": "fast", "messages": [{"role": "user", "content": "hi"}]})

    async def there() -> bool:
        return " made " in (await operator.get("/console/requests?range=15m")).words

    await eventually(there)
    from_, until = f"{since:%Y-%m-%dT%H:%M:%SZ}", f"{datetime.now(UTC) + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}"

    async def as_many() -> bool:
        """Calls of the tests before end and are recorded meanwhile, so the three are read until none came between them."""
        first = await operator.get(f"/console?{urlencode({'since': from_, 'until': until})}")
        figures = re.search(r"([\d,]+) requests? let through with ([\d,]+) calls?", first.words)
        way = re.search(r'<dt>Requests</dt>\s*<dd><a href="([^"]+)"', first.text)
        assert figures
        assert way
        wanted = re.compile(rf"{figures[1]} requests? .* made {figures[2]} calls? of a model")
        shown = await operator.get(unescape(way[1]))
        printed = await asyncio.to_thread(octant, stack_env, "requests", "--since", from_, "--until", until, "--limit", "1")
        return bool(wanted.search(shown.words) and wanted.search(printed))

    await eventually(as_many)
    assert (await operator.get("/console/requests?sort=nonsense&skip=x&min_cost=lots")).status == 200


async def test_a_trace_is_found_while_its_call_is_under_way(
    http: aiohttp.ClientSession, operator: Person, simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "slow_first_token", "seconds": 4})
    sent, trace = f"req_{uuid.uuid4().hex}", uuid.uuid4().hex
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x_request_id": sent, "traceparent": f"00-{trace}-{'1' * 16}-01"}
    call = asyncio.create_task(post(http, "/v1/chat/completions", body, **headers))

    async def way(words: str) -> str:
        return str((await operator.get(f"/console/search?q={words}")).headers["location"])

    async def found() -> bool:
        return await way(sent) == f"/console/traces/{trace}"

    await eventually(found)
    assert f'href="/console/traces/{trace}"' in (await operator.get("/console/calls")).text, "the row of a call under way"
    early = await operator.get(await way(trace))
    assert not call.done()
    assert "1 call under way." in early.words
    assert "this page looks again every 2 s" in early.words
    assert await answered(call) == trace
    again = early.headers["refresh"].partition("url=")[2]
    assert "has ended" in (shown := await operator.get(again)).words or "One call of acme" in shown.words

    async def recorded() -> bool:
        return "One call of acme, answered by" in (await operator.get(again)).words

    await eventually(recorded)
    for gone in (f"{uuid.uuid4().hex}?seen=1", f"{uuid.uuid4().hex}?seen=99999999999", "a%0d%0ab?seen=1"):
        assert (await operator.get(f"/console/traces/{gone}")).status == 404


async def answered(call: "asyncio.Task[Answer]") -> str:
    """The trace of a call that is answered."""
    answer = await call
    assert answer.status == 200
    return answer.headers["octant-trace-id"]


async def test_the_id_of_two_requests_leads_to_the_list_of_both(http: aiohttp.ClientSession, operator: Person) -> None:
    shared, traces = f"shared-{uuid.uuid4().hex[:8]}", []
    for words in ("one", "two"):
        body = {"model": "fast", "user": "ada", "messages": [{"role": "user", "content": words}]}
        traces.append((await post(http, "/v1/chat/completions", body, x_request_id=shared)).headers["octant-trace-id"])

    async def way() -> str:
        return str((await operator.get(f"/console/search?q={shared}")).headers["location"])

    async def both() -> bool:
        return await way() == f"/console/calls?request_id={shared}&range=30d"

    await eventually(both)
    listed = re.findall(r'href="/console/traces/(\w+)', (await operator.get(await way())).text)
    assert list(dict.fromkeys(listed)) == traces[::-1], "newest first"


async def test_a_live_page_sends_its_part_again_and_again(operator: Person, service_url: str) -> None:
    async with (
        aiohttp.ClientSession(service_url, cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.get("/console/live/overview?range=15m", headers={"cookie": f"{COOKIE}={operator.token}"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        parts = []
        async for line in answer.content:
            if line.startswith(b"data: "):
                parts.append(json.loads(line[6:]))
            if len(parts) == 2:
                break
    assert all("First token p50" in part["html"] for part in parts), "with or without a call"


async def test_a_look_at_the_head_of_a_live_page_leaves_its_connection_free(operator: Person, service_url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service_url.rpartition(":")[2]))
    cookie = f"cookie: {COOKIE}={operator.token}\r\n"
    async with asyncio.timeout(60):
        writer.write(f"HEAD /console/live/overview?range=15m HTTP/1.1\r\nhost: x\r\n{cookie}\r\n".encode())
        assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 "), "the page would go on for five minutes"
    writer.close()


async def test_a_link_cannot_put_words_into_the_consoles_mouth(operator: Person) -> None:
    """The banner after an action names a command: a link from elsewhere must bring none."""
    shown = await operator.get(f"/console?done=All+keys+leaked.&undo=curl+evil.example&signed={'0' * 64}")
    assert "evil.example" not in shown.words
    assert "leaked" not in shown.words


async def test_what_an_action_did_is_said_for_a_minute(operator: Person) -> None:
    """A later look at the same address shows the state of then alone; its range links do not carry the words on."""
    csrf = re.search(r'data-csrf="([0-9a-f]+)"', (await operator.get("/console")).text)
    assert csrf
    session = Session(uuid.uuid4(), cast(Any, None), csrf[1])
    now = int(time.time())
    for signed_at, said_at, shown in ((now, now, True), (now - 61, now - 61, False), (now - 61, now, False)):
        words = ("r1 is live.", "octant rollback", "")
        signed = session.signed(*words, str(signed_at))
        page = await operator.get(link("/console/calls", dict(zip(SAID, (*words, said_at, signed), strict=True))))
        assert ("r1 is live." in page.words) is shown
        assert "range=24h" in page.text
        assert "signed=" not in page.text


async def test_a_trace_draws_and_names_the_wait_between_attempts(operator: Person, stack_env: dict[str, str]) -> None:
    engine, trace, whole = create_async_engine(stack_env["OCTANT_DATABASE_URL"]), uuid.uuid4().hex, a_record()
    first, second = whole.attempts
    late = (first, replace(second, started_ms=second.started_ms + 100))
    await Writer(engine).write([a_record(trace_id=trace, attempts=late, latency_ms=whole.latency_ms + 100)])
    await engine.dispose()
    page = await operator.get(f"/console/traces/{trace}")
    assert "attempts 119 ms, waits between attempts 100 ms, the service itself 1.50 ms" in page.words
    assert re.findall(r'<rect class="wait" x="[\d.]+%" width="([\d.]+)%"', page.text) == [f"{100 / 220.5 * 100:.2f}"]


async def test_large_traces_and_texts_come_in_parts(operator: Person, stack_env: dict[str, str]) -> None:
    """By counts and sizes: `make bench-console` measures times."""
    engine, trace, large = create_async_engine(stack_env["OCTANT_DATABASE_URL"]), uuid.uuid4().hex, uuid.uuid4().hex
    steps = step_text([("tool", "get_order", 0, 1, False)], 2)
    calls = [
        a_record(trace_id=trace, request_id="req_large", outcome="ok" if n != 333 else "failed", steps=steps) for n in range(500)
    ]
    whole = a_record(trace_id=large, request=json.dumps({"text": "word " * 1_000_000 + "the end of it"}))
    await Writer(engine).write([*calls, whole])
    await engine.dispose()
    page = await operator.get(f"/console/traces/{trace}")
    assert page.text.count('<rect class="bar ') == 2000, "a call has its two attempts and a tool"
    assert page.text.count('class="chunk"') == 20
    assert len(page.text) < 2000 * 450
    assert re.findall(r'<section id="(\w+)"', page.text) == [calls[333].id], "the details are of the call that failed"
    chosen = await operator.get(f"/console/traces/{trace}?call={calls[7].id}")
    assert re.findall(r'<section id="(\w+)"', chosen.text) == [calls[7].id]
    cut = await operator.get(f"/console/traces/{large}")
    assert len(cut.text) < 36_000, "the frame of a page, and the beginning of the text"
    assert "Show the other 5.00M characters" in cut.words
    assert "the end of it" in (await operator.get(f"/console/calls/{whole.id}/request")).text


async def test_a_static_file_is_named_by_its_content(service_url: str) -> None:
    async with person(service_url) as stranger:
        door = await stranger.get("/console/sign-in")
        for path in re.findall(r'(?:href|src)="(/console/static/[^"]+)"', door.text):
            answer = await stranger.get(path)
            assert answer.status == 200
            assert "immutable" in answer.headers["cache-control"]
            assert (await stranger.get(re.sub(r"static/\w+/", "static/0000000000000000/", path))).status in (303, 404)
        for path in ("/console/static/x/../console.py", "/console/static/0/%2e%2e/console.py", "/console/static/0/nothing.css"):
            assert (await stranger.get(path)).status in (303, 404)


async def test_a_request_that_never_became_a_call_is_found_in_the_console(http: aiohttp.ClientSession, viewer: Person) -> None:
    """A wrong model name: Overview has a line, and a search by its id or the name leads to the list."""
    model = f"gpt-{uuid.uuid4().hex[:8]}"
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    async with http.post("/v1/chat/completions", json=body) as refused:
        assert refused.status == 404
        request_id = refused.headers["x-request-id"]

    async def listed() -> str:
        text = (await viewer.get(f"/console/requests/failed?range=1h&text={model}")).text
        return text if request_id in text else ""

    assert f"No model &#39;{model}&#39;" in await eventually(listed)
    for words in (request_id, model):
        assert request_id in (await viewer.get(f"/console/requests/failed?range=1h&text={words}")).text
        assert "/console/requests/failed?range=1h" in (await viewer.get(f"/console/calls?range=1h&text={words}")).text
        found = await viewer.get(f"/console/search?q={words}")
        assert "/console/requests/failed?text=" in found.headers.get("location", "") + found.text, words
    assert "/console/requests/failed" in (await viewer.get("/console?range=1h")).text
