"""The service whose Valkey answers wrong: each caller gets a typed refusal, and the log says why (ADR 0007)."""

import asyncio
import json
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest
from aiohttp import ClientSession
from client import session
from conftest import running_service
from lying_valkey import ERRORS, WRONG, LyingValkey
from sqlalchemy import make_url

from app.stack.embedded import free_port

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(300)]

ASK = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
ANSWERS = (
    "integer",
    "text",
    "nested array",
    "nothing",
    "map",
    "not utf-8",
    "http",
    "garbage",
    "OOM",
    "LOADING",
    "NOSCRIPT",
    "MOVED",
)


async def until_answered(http: ClientSession) -> None:
    async with asyncio.timeout(30):
        while True:
            async with http.post("/v1/chat/completions", json=ASK) as reply:
                if reply.status == 200:
                    return
            await asyncio.sleep(0.05)


async def test_no_call_is_answered_500_whatever_valkey_answers(stack_env: dict[str, str], api_key: str, tmp_path: Path) -> None:
    (tmp_path / "indexes").symlink_to(Path(stack_env["OCTANT_STATE_DIR"]) / "indexes")
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT")}
    log = tmp_path / "service.log"
    async with LyingValkey().running(int(make_url(stack_env["OCTANT_VALKEY_URL"]).port or 0)) as liar:
        url = f"redis://127.0.0.1:{liar.port}/0"
        env = {**stack_env, **ports, "OCTANT_VALKEY_URL": url, "OCTANT_STATE_DIR": str(tmp_path), "OCTANT_WORKERS": "1"}
        with ExitStack() as stack:
            service = await asyncio.to_thread(stack.enter_context, running_service(env, log))
            async with session(service, api_key) as http:
                for answer, command in product(ANSWERS, ("EVALSHA", None)):
                    liar.lie = lambda name, c=command, a=answer: {**WRONG, **ERRORS}[a] if c in (name, None) else None  # type: ignore[misc]
                    async with http.post("/v1/chat/completions", json=ASK) as reply:
                        code = (await reply.json()).get("error", {}).get("code")
                        assert (reply.status, code) == (503, "dependency_unavailable"), (answer, command)
                    async with http.get("/readyz") as readiness:
                        assert readiness.status == 503, (answer, command)
                    liar.lie = lambda _: None
                    await until_answered(http)
            await asyncio.to_thread(stack.close)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    reasons = [line.get("reason", "") for line in lines if line["event"] == "budget store does not answer"]
    assert any("no answer of the form" in reason for reason in reasons), reasons[:5]
    assert not [line for line in lines if line["level"] == "error"], lines[-3:]
