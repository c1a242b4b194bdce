"""The service whose Postgres answers errors: no caller gets a 500, no record is lost, and commands say why (ADR 0007)."""

import asyncio
import json
import logging
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from client import session
from commands import run
from conftest import octant, running_service
from lying_postgres import ACCENTS, OURS, LyingPostgres
from signed_in import signed_in
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.console.navigation import PAGES
from app.stack.embedded import free_port

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(600)]

CHAT = "/v1/chat/completions"
log = logging.getLogger(__name__)
ASK = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
SETTINGS = b"SET statement_timeout"  # a new session's first statement
COMMANDS = {"ZZ999": ("status", "migrate", "requests"), "P0001": ("status",), "42883": ("status",)}
FRESH = {"53300", "57P03", "28P01", "28000", "3D000", "08P01"}  # errors of a new session


async def test_no_call_is_answered_500_and_no_record_is_lost(stack_env: dict[str, str], api_key: str, tmp_path: Path) -> None:
    (tmp_path / "indexes").symlink_to(Path(stack_env["OCTANT_STATE_DIR"]) / "indexes")
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT")}
    true = make_url(stack_env["OCTANT_DATABASE_URL"])
    host, port = true.host or str(true.query["host"]), int(true.port or true.query.get("port", 5432))  # type: ignore[arg-type]
    admin = octant(stack_env, "key", "create", "acme", "--name", "accents", "--scope", "admin", "--quiet").strip()
    async with LyingPostgres().running(host, port) as liar:
        url = true.set(host="127.0.0.1", port=liar.port, query={}).render_as_string(hide_password=False)
        env = {**stack_env, **ports, "OCTANT_DATABASE_URL": url, "OCTANT_STATE_DIR": str(tmp_path), "OCTANT_WORKERS": "1"}
        with ExitStack() as stack:
            service = await asyncio.to_thread(stack.enter_context, running_service(env, tmp_path / "service.log"))
            async with session(service, api_key) as http, signed_in(service, admin) as operator:
                assert (await asked(http))[0] == 200
                made: list[str] = []
                for code in (*ACCENTS, *OURS):
                    liar.at_door = lambda code=code: code  # type: ignore[misc]
                    if code not in FRESH:
                        liar.at_statement = lambda words, code=code: None if SETTINGS in words else code  # type: ignore[misc]
                        liar.at_door = lambda: None
                    else:
                        liar.hang_up()
                    outcomes = {**await answers(http, made), **{p.path: (await operator.get(p.path)).status for p in PAGES}}
                    assert not {what: status for what, status in outcomes.items() if status >= 500 and status != 503}, code
                    if code in ("53300", "28P01", "25006"):
                        await says_why(env, code)
                    for command in COMMANDS.get(code, ()):
                        await is_a_sentence(env, code, command)
                    liar.at_door, liar.at_statement = lambda: None, lambda _: None
                    await until_known_again(http)
                await until_recorded(true.render_as_string(hide_password=False), made)
            await asyncio.to_thread(stack.close)
    lines = [json.loads(line) for line in (tmp_path / "service.log").read_text().splitlines() if line.startswith("{")]
    bugs = [line for line in lines if line["level"] in ("error", "critical")]
    # The pool's own line, too, where the server hung up just as a connection came back.
    foreseen = (*OURS.values(), "the connection is lost")
    unknown = [line for line in bugs if not any(words in str(line.get("exception")) for words in foreseen)]
    assert not unknown, unknown[:3]


async def asked(http: ClientSession, **headers: str) -> tuple[int, str]:
    async with http.post(CHAT, json=ASK, headers=headers) as reply:
        return reply.status, reply.headers.get("x-request-id", "")


async def answers(http: ClientSession, made: list[str]) -> dict[str, int]:
    """The status of each kind of request. ``made`` gets the ids of the calls that were answered."""
    status, request = await asked(http)
    found = {"chat": status, "with a key": (await asked(http, **{"idempotency-key": uuid4().hex}))[0]}
    if status == 200:
        made.append(request)
    found["unknown"] = (await asked(http, authorization=f"Bearer octant_{uuid4().hex}"))[0]
    for path, body in (
        ("/v1/jobs", {"path": CHAT, "body": ASK}),
        ("/v1/feedback", {"request_id": request, "rating": "good"}),
        ("/v1/support/answer", {"question": "Where is my order?"}),
    ):
        async with http.post(path, json=body) as reply:
            found[path] = reply.status
    for path in ("/v1/jobs", f"/v1/jobs/{uuid4().hex}", "/readyz", "/v1/models"):
        async with http.get(path) as reply:
            found[path] = reply.status
    return found


async def says_why(env: dict[str, str], code: str) -> None:
    ran = await asyncio.to_thread(run, env, "stores")
    word = {"53300": "takes no more connections", "28P01": "password authentication failed", "25006": "read-only"}[code]
    assert ran.returncode == 1, code
    assert word in ran.stdout, ran.stdout


async def is_a_sentence(env: dict[str, str], code: str, command: str) -> None:
    """An operator who looks gets the server's words, and no traceback."""
    ran = await asyncio.to_thread(run, env, command)
    said = ran.stdout + ran.stderr
    assert (ran.returncode, "Traceback" in said) == (1, False), said
    assert f"Postgres refuses this; look at OCTANT_DATABASE_URL. ({(ACCENTS | OURS)[code]})" in said


async def until_known_again(http: ClientSession) -> None:
    async with asyncio.timeout(60):
        while True:
            async with http.get("/readyz") as reply:
                if (await reply.json())["status"] == "ok" and (await asked(http, **{"idempotency-key": uuid4().hex}))[0] == 200:
                    return
            await asyncio.sleep(0.1)


async def until_recorded(url: str, requests: list[str]) -> None:
    """Wait until each of these requests has its record."""
    engine, wanted = create_async_engine(url), text("SELECT request_id FROM calls WHERE request_id = ANY(:requests)")
    async with asyncio.timeout(60), engine.connect() as connection:
        while missing := set(requests) - set((await connection.execute(wanted, {"requests": requests})).scalars()):
            await connection.rollback()
            log.info("%s", missing)
            await asyncio.sleep(0.2)
    await engine.dispose()
