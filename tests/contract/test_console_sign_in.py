"""Signing in to the console at a provider of identities: one that we did not write, and one that misbehaves (S8)."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from fastapi import FastAPI
from identities import Handler, Identities
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app import wiring
from app.audit.actions import ActionLog
from app.console import provider_sign_in, sign_in
from app.console.console import BADGE, COOKIE, Console, session_of
from app.console.oidc import provider as provider_module
from app.console.oidc.provider import OpenIdProvider
from app.console.parts import ConsoleParts
from app.console.sessions import Holder, Session, Sessions, forget
from app.console.sign_in import signed_out
from app.domain.errors import NotFound
from app.edge.failed_logins import FailedLogins
from app.edge.proxies import Proxies
from app.security.oidc_settings import OidcSettings
from app.security.redaction.redactor import Redactor
from app.settings import load
from app.stack.embedded import free_port
from app.telemetry.metrics import Metrics

LONG = f"/console/calls?words={'語' * 900}"  # fewer than 1,000 characters, and a cookie of 7,000 bytes
SECRET = b"a secret for tests of sign-ins"


@dataclass
class Browser:
    """A browser that keeps cookies and follows nothing. The application is called without a server."""

    app: FastAPI
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str) -> tuple[int, str, str]:
        """The status, the text, and where it leads."""
        parts, got = urlsplit(path), list[Message]()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope: Scope = {
            "type": "http", "method": "GET", "path": parts.path, "raw_path": parts.path.encode(), "http_version": "1.1",
            "query_string": parts.query.encode(), "headers": [(b"cookie", cookie.encode()), (b"user-agent", b"a test")],
            "client": ("127.0.0.1", 1), "server": ("localhost", 80), "root_path": "", "octant.request_id": "req_1",
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            got.append(message)

        await self.app(scope, cast("Receive", receive), cast("Send", send))
        headers = [(name.decode(), value.decode()) for name, value in got[0]["headers"]]
        for _, value in (pair for pair in headers if pair[0] == "set-cookie"):
            assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in value.split(";")}
            assert len(value.partition(";")[0].encode()) <= 4096, "browsers drop it"
            for name, morsel in SimpleCookie(value).items():
                self.cookies.pop(name, None)
                if morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
        body = b"".join(message.get("body", b"") for message in got[1:]).decode()
        return got[0]["status"], body, dict(headers).get("location", "")

    @property
    def token(self) -> str:
        return self.cookies.get(COOKIE, "")


@dataclass
class Door:
    """A console whose sign-ins go to a provider."""

    console: Console
    app: FastAPI

    def browser(self) -> Browser:
        return Browser(self.app)

    @property
    def wait(self) -> float:
        """Seconds that the browsers' address has to wait."""
        found: float = self.app.state.edge.failed_logins.wait("127.0.0.1")
        return found


def door(engine: AsyncEngine, notes: Path, settings: OidcSettings, secret: str = "") -> Door:
    redactor = Redactor(SECRET)
    parts = SimpleNamespace(
        engine=engine, redactor=redactor, secret=SECRET, actions=ActionLog(engine, secret=SECRET, notes=notes),
        people=OpenIdProvider(settings, client_secret=lambda: secret), idle=timedelta(hours=2), lifetime=timedelta(hours=12),
        environment="test", switch=SimpleNamespace(stopped_words=()),
    )  # fmt: skip
    console, app = Console(cast("ConsoleParts", parts)), FastAPI(redirect_slashes=False)
    app.state.console = console
    app.state.edge = SimpleNamespace(failed_logins=FailedLogins(20, Proxies("127.0.0.1")))
    for made in (sign_in, provider_sign_in):
        app.include_router(made.router(console))
    return Door(console, app)


def settings_of(issuer: str, **changed: object) -> OidcSettings:
    whole = {"issuer": issuer, "client_id": "octant", "url": "http://localhost:8080", "operators": {"sre"}, "viewers": {"staff"}}
    return OidcSettings.model_validate({**whole, **changed})


@pytest_asyncio.fixture
async def identities() -> AsyncIterator[Identities]:
    made = Identities()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
def here(engine: AsyncEngine, tmp_path: Path, identities: Identities) -> Door:
    return door(engine, tmp_path / "notes", settings_of(identities.issuer, patience=5))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A provider that we did not write."""
    port, people = free_port(), ({"sub": "ada", "groups": ["sre"]}, {"sub": "eve", "groups": ["sales"]})
    claims = [part for one in people for part in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *claims]
    log = tmp_path_factory.mktemp("provider") / "log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        deadline = time.monotonic() + 120
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def begun(browser: Browser, to: str = "/console") -> str:
    """Begin to sign in. Returns the provider's address."""
    status, _, way = await browser.get(f"/console/sign-in/oidc?to={quote(to)}")
    assert status == 303
    return way


async def ended(browser: Browser, identities: Identities, way: str) -> tuple[int, str]:
    """Come back with the provider's yes."""
    code, state = identities.approve(way)
    status, body, _ = await browser.get(f"/console/sign-in/oidc/back?code={code}&state={state}")
    return status, " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


async def test_a_provider_that_we_did_not_write_signs_its_people_in(engine: AsyncEngine, provider: str, tmp_path: Path) -> None:
    here = door(engine, tmp_path / "notes", settings_of(provider), secret="a word")
    for person, status, words in (("ada", 200, ""), ("eve", 403, "no role here")):
        browser = here.browser()
        way = await begun(browser, "/console/calls?range=1h")
        async with aiohttp.ClientSession() as http, http.post(way, data={"sub": person}, allow_redirects=False) as answer:
            back = answer.headers["location"]
        assert back.startswith("http://localhost:8080/console/sign-in/oidc/back?")
        got, body, _ = await browser.get(back.removeprefix("http://localhost:8080"))
        assert (got, words in unescape(body), bool(browser.token)) == (status, True, person == "ada"), body
        assert person == "eve" or 'content="0;url=/console/sign-in?kept=1&amp;to=%2Fconsole%2Fcalls%3Frange%3D1h"' in body


async def test_a_person_has_a_session_that_is_listed_logged_and_ends(
    engine: AsyncEngine, here: Door, identities: Identities
) -> None:
    subject = f"{uuid.uuid4().hex}@corp.example"
    identities.change = lambda claims: {**claims, "sub": subject, "groups": ["staff"]}
    browser = here.browser()
    assert (await ended(browser, identities, await begun(browser)))[0] == 200
    session = await here.console.sessions.find(browser.token)
    assert session
    assert (session.role, session.may_act, session.holder.person) == ("viewer", False, "ada@corp.example")
    assert subject not in session.actor, "the log is never erased: an address of a person is redacted"
    listed = {one.id: one for one in await here.console.sessions.list()}
    assert listed[session.id].holder.issuer == identities.issuer
    newest = (await here.console.parts.actions.newest(1))[0]
    assert (f"{newest.actor} in the console", newest.action) == (session.actor, "console sign-in")
    await here.console.sessions.end(session.id, by="a test")
    assert await here.console.sessions.find(browser.token) is None


async def test_a_made_up_cookie_asks_no_store(engine: AsyncEngine) -> None:
    """Anyone can send one: its look-ups would take the connections of those who have a session."""
    ours: dict[str, Any] = {"secret": SECRET, "idle": timedelta(hours=2), "lifetime": timedelta(hours=12)}
    away = Sessions(create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none", poolclass=NullPool), **ours)
    good = await Sessions(engine, **ours).begin(Holder(role="viewer", issuer="", subject="s", person="p"), "a browser")
    for made_up in ("", "x", "é" * 107, good[:43], good[:-1], good + "0", "A" + good[1:], good[:43] + "0" * 64):
        assert await away.find(made_up) is None
    with pytest.raises(SQLAlchemyError):
        await away.find(good)
    assert await Sessions(engine, **ours).find(good)


@pytest.mark.parametrize(("path", "used"), [("/console/calls", True), (BADGE, False), ("/console/live/overview", False)])
async def test_a_page_that_is_left_open_keeps_no_session(
    engine: AsyncEngine, here: Door, identities: Identities, path: str, used: bool
) -> None:
    """Each asks for its badge's number and its live parts by itself: a session would have ended with its lifetime alone."""
    token = await here.console.sessions.begin(Holder(role="viewer", issuer=identities.issuer, subject="s", person=path), "a")
    before = {"at": datetime.now(UTC) - timedelta(hours=1), "name": path}
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE console_sessions SET used_at = :at WHERE person = :name"), before)
    headers = [(b"cookie", f"{COOKIE}={token}".encode())]
    assert await session_of(Request({"type": "http", "method": "GET", "path": path, "headers": headers, "app": here.app}))
    async with engine.begin() as connection:
        found = await connection.execute(text("SELECT used_at > :at FROM console_sessions WHERE person = :name"), before)
        assert found.scalars().all() == [used]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(OperationalError("UPDATE", {}, Exception("gone")), 503, b"signed out in this browser"), (NotFound("ended"), 303, b"")],
    ids=["Postgres is away", "it has ended elsewhere"],
)
async def test_a_browser_forgets_its_session_at_the_sign_out(
    here: Door, error: Exception, status: int, words: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its person leaves, perhaps a machine that others use."""
    monkeypatch.setattr(here.console.sessions, "end", AsyncMock(side_effect=error))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], "app": here.app}
    session = Session(uuid.uuid4(), Holder(role="viewer", key_id="k", tenant="acme"), "0")
    answer = await signed_out(here.console, Request(scope), session)
    assert (answer.status_code, words in bytes(answer.body)) == (status, True)
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0;")


async def test_the_name_of_a_person_goes_thirty_days_after_the_session(engine: AsyncEngine, here: Door) -> None:
    """The service's own loop deletes it: no later sign-in is needed."""
    names = [f"{uuid.uuid4().hex} {days}" for days in (29, 31)]
    for name, days in zip(names, (29, 31), strict=True):
        await here.console.sessions.begin(
            Holder(role="viewer", issuer="https://id.example", subject="s", person=name), "a browser"
        )
        ended_at = {"at": datetime.now(UTC) - timedelta(days=days), "name": name}
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE console_sessions SET ends_at = :at WHERE person = :name"), ended_at)
    async with engine.begin() as connection:
        await forget(connection)
        left = await connection.execute(text("SELECT person FROM console_sessions WHERE person = ANY(:names)"), {"names": names})
        assert left.scalars().all() == names[:1]


async def test_the_loop_that_drops_old_records_deletes_old_sessions(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = MagicMock(return_value=SimpleNamespace(start=AsyncMock(), aclose=AsyncMock()))
    monkeypatch.setattr(wiring, "Keeper", keeper)
    async with AsyncExitStack() as stack:
        await wiring._open_audit(stack, load(state_dir=tmp_path), engine, Redactor(SECRET), Metrics())
    assert forget in keeper.call_args.kwargs["sweeps"]


async def test_sessions_end_with_the_provider_that_is_set(
    engine: AsyncEngine, here: Door, identities: Identities, tmp_path: Path
) -> None:
    browser = here.browser()
    await ended(browser, identities, await begun(browser))
    for issuer in ("", "https://another.example"):
        other = door(engine, tmp_path / "notes", settings_of(issuer))
        assert await other.console.sessions.find(browser.token) is None


async def test_a_sign_in_is_good_for_one_session(here: Door, identities: Identities) -> None:
    browser = here.browser()
    way = await begun(browser)
    kept = dict(browser.cookies)
    assert (await ended(browser, identities, way))[0] == 200
    again = Browser(here.app, kept)  # the same state and cookie, and the provider gives another code for it
    status, words = await ended(again, identities, way)
    assert (status, again.token) == (401, "")
    assert "used already" in words


async def test_a_code_or_state_of_another_browser_is_refused(here: Door, identities: Identities) -> None:
    mine, theirs = here.browser(), here.browser()
    code, _ = identities.approve(await begun(theirs))
    _, state = identities.approve(await begun(mine))
    status, body, _ = await mine.get(f"/console/sign-in/oidc/back?code={code}&state={state}")
    assert (status, mine.token) == (401, "")
    assert "does not take this sign-in" in body
    status, words = await ended(here.browser(), identities, await begun(theirs))
    assert status == 401
    assert "did not begin in this browser" in words


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"nonce": "another"}, 401, "belongs to another sign-in"),
        ({"aud": "another"}, 401, "not a valid sign-in"),
        ({"exp": 1}, 401, "has expired"),
        ({"iss": "https://evil.example"}, 401, "not a valid sign-in"),
        ({"groups": ["sales"]}, 403, "no role here"),
        ({"groups": None}, 403, "no role here"),
    ],
)
async def test_an_answer_that_does_not_count_opens_nothing(
    here: Door, identities: Identities, changed: dict[str, Any], status: int, words: str
) -> None:
    identities.change = lambda claims: {**claims, **changed}
    browser = here.browser()
    got, shown = await ended(browser, identities, await begun(browser))
    assert (got, browser.token) == (status, "")
    assert words in shown


async def _hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def _huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(40):
        await answer.write(b" " * 65_536)
    return answer


async def _no_object(_: web.Request) -> web.Response:
    return web.json_response(["x"])


async def _no_client(_: web.Request) -> web.Response:
    return web.json_response({"error": "invalid_client"}, status=401)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize("answer", [_hang, _elsewhere, _huge, _no_object])
async def test_a_provider_that_misbehaves_is_named_and_waited_for_a_while(
    engine: AsyncEngine, tmp_path: Path, identities: Identities, path: str, answer: Handler
) -> None:
    here = door(engine, tmp_path / "notes", settings_of(identities.issuer, patience=0.2 if answer is _hang else 10))
    identities.instead[path] = answer
    browser = here.browser()
    status, body, way = await browser.get("/console/sign-in/oidc")
    if status == 303:
        status, body = await ended(browser, identities, way)
    assert (status, browser.token) == (503, "")
    assert "The provider of sign-ins" in body
    assert "Sign in with an API key" in body
    assert "/elsewhere" not in identities.visited


async def test_many_clicks_while_the_provider_hangs_are_one_request(here: Door, identities: Identities) -> None:
    came, goes_on, requests = asyncio.Event(), asyncio.Event(), 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        came.set()
        await goes_on.wait()
        return web.json_response({}, status=500)

    identities.instead["/.well-known/openid-configuration"] = slow
    clicks = [asyncio.create_task(here.browser().get("/console/sign-in/oidc")) for _ in range(40)]
    await came.wait()
    clicks.pop(0).cancel()  # the one that began the request leaves, and ends nothing for the others
    goes_on.set()
    assert {status for status, _, _ in await asyncio.gather(*clicks)} == {503}
    assert requests == 1


async def test_the_provider_is_reached_through_the_proxy_of_the_environment(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readline()).decode().split()[:2])
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        here = door(engine, tmp_path / "notes", settings_of("https://identity.example"))
        status, _, _ = await here.browser().get("/console/sign-in/oidc")
        assert (status, seen) == (503, [["CONNECT", "identity.example:443"]])
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    other = door(engine, tmp_path / "more notes", settings_of("https://identity.example"))
    assert (await other.browser().get("/console/sign-in/oidc"))[0] == 503, "one that is not of HTTP is no error of ours"


async def test_a_client_that_the_provider_refuses_is_a_matter_of_settings(here: Door, identities: Identities) -> None:
    identities.instead["/token"] = _no_client
    browser = here.browser()
    status, words = await ended(browser, identities, await begun(browser))
    assert (status, "check its id and secret" in words) == (503, True)


@pytest.mark.parametrize(
    "more",
    [
        {"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example/token"}, {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"token_endpoint": None},
    ],
)  # fmt: skip
async def test_a_discovery_document_that_leads_astray_is_refused(
    here: Door, identities: Identities, more: dict[str, Any]
) -> None:
    identities.more = more
    status, body, way = await here.browser().get("/console/sign-in/oidc")
    assert (status, way) == (503, "")
    assert "names an" in body


async def test_a_new_key_of_the_provider_is_found(here: Door, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are read again for a token with a key that is not known, but not for each such token."""

    async def status() -> int:
        browser = here.browser()
        return (await ended(browser, identities, await begun(browser)))[0]

    assert await status() == 200
    identities.key = ECKey.generate_key("P-256", {"kid": "two"})
    assert await status() == 401, "the keys were read just now"
    monkeypatch.setattr(provider_module, "AGAIN_AFTER", 0.0)
    assert await status() == 200


async def test_another_providers_answer_is_refused_before_its_code_is_sent(here: Door, identities: Identities) -> None:
    """RFC 9207, and the errors that a provider names: a text of a stranger is not shown."""
    browser = here.browser()
    code, state = identities.approve(await begun(browser))
    status, body, _ = await browser.get(f"/console/sign-in/oidc/back?code={code}&state={state}&iss=https://evil.example")
    assert (status, "another provider" in body, identities.forms) == (401, True, [])
    for error, shown in (("access_denied", "access_denied"), ("<b>evil</b>", "(error)")):
        browser = here.browser()
        _, state = identities.approve(await begun(browser))
        status, body, _ = await browser.get(f"/console/sign-in/oidc/back?error={quote(error)}&state={state}")
        assert (status, shown in body, "evil" in body) == (401, True, False)


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "/console/../v1", "x" * 5000, LONG])
async def test_a_sign_in_at_the_provider_leads_into_the_console_alone(here: Door, identities: Identities, to: str) -> None:
    browser = here.browser()
    way = await begun(browser, to)
    assert way.startswith(f"{identities.issuer}/authorize?")
    code, state = identities.approve(way)
    status, body, _ = await browser.get(f"/console/sign-in/oidc/back?code={code}&state={state}")
    assert status == 200
    assert 'url=/console/sign-in?kept=1&amp;to=%2Fconsole"' in body


async def test_an_address_that_guesses_has_to_wait(here: Door, identities: Identities) -> None:
    """Its unknown keys wait, and its codes are exchanged two at a time; it is not shut out."""
    browser = here.browser()
    for _ in range(20):
        assert here.wait == 0
        _, state = identities.approve(await begun(browser))
        assert (await browser.get(f"/console/sign-in/oidc/back?code=wrong&state={state}"))[0] == 401
    assert here.wait > 0
    assert (await ended(browser, identities, await begun(browser)))[0] == 200
    running, most = 0, 0

    async def note(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        return web.json_response({"error": "invalid_grant"}, status=400)

    identities.instead["/token"] = note
    ways = [(one, await begun(one)) for one in (here.browser() for _ in range(6))]
    assert {status for status, _ in await asyncio.gather(*(ended(one, identities, way) for one, way in ways))} == {401}
    assert most <= provider_module.MOST_OF_THE_WAITING


async def test_a_page_of_another_site_and_a_no_of_the_person_are_no_guesses(here: Door, identities: Identities) -> None:
    browser = here.browser()
    way = await begun(browser)
    for one in (browser, here.browser()):
        for _ in range(30):
            assert (await one.get("/console/sign-in/oidc/back?code=x&state=y"))[0] == 401
    assert here.wait == 0
    assert (await ended(browser, identities, way))[0] == 200, "what the person began is not ended by another's page"
    for _ in range(30):
        _, state = identities.approve(await begun(browser))
        assert (await browser.get(f"/console/sign-in/oidc/back?error=access_denied&state={state}"))[0] == 401
    assert here.wait == 0


async def test_the_secret_and_the_verifier_leave_for_the_token_endpoint_alone(
    engine: AsyncEngine, tmp_path: Path, identities: Identities
) -> None:
    identities.more = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    here = door(engine, tmp_path / "notes", settings_of(identities.issuer), secret="a word")
    browser = here.browser()
    way = await begun(browser)
    assert (await ended(browser, identities, way))[0] == 200
    form, asked = identities.forms[0], parse_qs(urlsplit(way).query)
    assert (form["client_secret"], asked["code_challenge_method"], asked["response_type"]) == ("a word", ["S256"], ["code"])
    assert form["code_verifier"] not in way
    async with engine.connect() as connection:
        rows = (
            await connection.execute(text("SELECT * FROM console_sessions WHERE issuer = :i"), {"i": identities.issuer})
        ).all()
    assert rows
    assert not any(word in str(rows) for word in (form["code_verifier"], asked["state"][0], browser.token))
