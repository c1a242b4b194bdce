"""A call leaves nothing that only the garbage collector can free: its pauses stop every other call of the worker."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from client import eventually, post, session
from conftest import ROOT, key_of, own_stores, wait_until_ready

pytestmark = pytest.mark.whole_stack

CALLS = 60
MOST = 5  # objects a call: those of the work that goes on beside the calls, such as SQLAlchemy's statements. One cycle has more
HELLO = [{"role": "user", "content": "hello"}]
KINDS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "smart", "messages": HELLO}),
    "chat-stream": ("/v1/chat/completions", {"model": "smart", "messages": HELLO, "stream": True}),
    "messages": ("/v1/messages", {"model": "smart", "max_tokens": 50, "messages": HELLO}),
    "messages-stream": ("/v1/messages", {"model": "smart", "max_tokens": 50, "messages": HELLO, "stream": True}),
    "responses": ("/v1/responses", {"model": "smart", "input": "hello"}),
    "responses-stream": ("/v1/responses", {"model": "smart", "input": "hello", "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "embed", "input": "hello"}),
    "refused": ("/v1/chat/completions", {"model": "unknown", "messages": HELLO}),
}


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A service with one worker and stores of its own: no other test's work is in its background."""
    with own_stores({**stack_env, "OCTANT_WORKERS": "1"}, database_url, "collector") as env:
        yield {**env, "COLLECTED_FILE": str(tmp_path_factory.mktemp("collector") / "found")}


@pytest.fixture(scope="module")
def worker(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The process id of the service's worker."""
    log = tmp_path_factory.mktemp("collector") / "service.log"
    command = [sys.executable, str(ROOT / "tests" / "collected.py")]
    with log.open("w") as out, subprocess.Popen(command, cwd=ROOT, env={**env, "PYTHONPATH": str(ROOT)}, stdout=out) as service:
        try:
            wait_until_ready(f"http://127.0.0.1:{env['OCTANT_PORT']}", service, log)
            (worker,) = psutil.Process(service.pid).children()
            yield worker.pid
        finally:
            service.terminate()
            service.wait(120)


@pytest_asyncio.fixture
async def caller(worker: int, env: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(f"http://127.0.0.1:{env['OCTANT_PORT']}", key_of(env)) as http:
        yield http


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_leave_nothing_to_the_collector(
    caller: aiohttp.ClientSession, worker: int, env: dict[str, str], kind: str
) -> None:
    path, body = KINDS[kind]
    found = Path(env["COLLECTED_FILE"])
    found.unlink(missing_ok=True)
    await post(caller, path, body)
    os.kill(worker, signal.SIGUSR2)
    for status in [(await post(caller, path, body)).status for _ in range(CALLS)]:
        assert status == (404 if kind == "refused" else 200)
    await asyncio.sleep(0.5)  # records are written, timers are over
    os.kill(worker, signal.SIGUSR2)

    async def written() -> bool:
        return found.exists()

    await eventually(written)
    assert int(found.read_text()) < MOST * CALLS, f"{found.read_text()} objects of {CALLS} calls"
