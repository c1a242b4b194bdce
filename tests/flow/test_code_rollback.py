"""Code goes back under traffic without a failed call, on the deploy target `process` (B2)."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from client import eventually, post, session
from commands import run
from conftest import ROOT, Simulator, key_of, octant, own_stores, wait_until_ready
from forked import Forked

from app import __version__
from app.releases.code import commit_of
from app.stack import runner

NEWER = "99.0.0"
SLOW_MS = 4000.0
WORKERS = 2


def checkout(folder: Path, version: str) -> Path:
    """A checkout of this code, with its version as the visible difference."""
    for name in ("app", "releases", "runbook"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    init = folder / "app" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, version))
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.invalid", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "app/__init__.py"], ["commit", "-q", "-m", version]):
        subprocess.run([*git, *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("code")
    for name, version in (("older", __version__), ("newer", NEWER)):
        checkout(folder / name, version)
    deploy = {"OCTANT_DEPLOY__TARGET": "process", "OCTANT_DEPLOY__FOLDER": str(folder), "OCTANT_WORKERS": str(WORKERS)}
    with own_stores({**stack_env, **deploy}, database_url, "code") as env:
        runner.switch(folder, folder / "older")
        yield env


@pytest.fixture(scope="module")
def folder(env: dict[str, str]) -> Path:
    return Path(env["OCTANT_DEPLOY__FOLDER"])


@pytest.fixture(scope="module")
def running(env: dict[str, str], folder: Path) -> Iterator[Forked]:
    log = folder / "runner.log"
    log.touch()
    process = Forked(env, log, "run")
    try:
        wait_until_ready(f"http://127.0.0.1:{env['OCTANT_PORT']}", process, log)
        deadline = time.monotonic() + 60
        while not (folder / runner.STATE).exists():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=90)


@pytest_asyncio.fixture(scope="module")
async def http(env: dict[str, str], running: Forked) -> AsyncIterator[aiohttp.ClientSession]:
    url = f"http://127.0.0.1:{env['OCTANT_PORT']}"
    async with session(url, key_of(env), connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield http


class Traffic:
    """Callers who make one call after the other, each on a connection of its own, and see which version answers."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._users = itertools.count()
        self._over = asyncio.Event()
        self.statuses: list[int] = []

    async def call(self, model: str = "smart") -> int:
        body: dict[str, Any] = {
            "model": model,
            "user": f"u{next(self._users)}",
            "messages": [{"role": "user", "content": "hello"}],
        }
        status, _, _ = await post(self._http, "/v1/chat/completions", body)
        self.statuses.append(status)
        return status

    async def run(self) -> None:
        while not self._over.is_set():
            await self.call()

    def stop(self) -> None:
        self._over.set()


async def version(http: aiohttp.ClientSession) -> str:
    async with http.get("/version") as answer:
        return str((await answer.json())["version"])


async def deploy(folder: Path, name: str) -> None:
    """As `docs/operations.md` says: the link, then a signal; wait until the version before has ended."""
    before = runner.state_of(folder)
    runner.switch(folder, folder / name)
    os.kill(before.pid, signal.SIGHUP)

    async def done() -> bool:
        return runner.state_of(folder) != before

    await eventually(done, 120)


@pytest.mark.timeout(300)
async def test_code_goes_back_under_traffic_without_a_failed_call(
    http: aiohttp.ClientSession, env: dict[str, str], folder: Path, simulator: Simulator
) -> None:
    assert await version(http) == __version__
    await deploy(folder, "newer")
    assert await version(http) == NEWER
    planned = octant(env, "rollback", "--code", "--dry-run", "--reason", "worse")
    assert f"ln -sfn {folder / 'older'} {folder / 'current'}" in planned
    assert f"kill -HUP {runner.state_of(folder).pid}" in planned
    assert await version(http) == NEWER, "a dry run changes nothing"

    simulator.put_faults({"kind": "latency", "milliseconds": SLOW_MS, "model": "claude-haiku-5-5"})
    traffic = Traffic(http)
    callers = [asyncio.create_task(traffic.run()) for _ in range(4)]
    in_flight = asyncio.create_task(traffic.call("fast"))
    await asyncio.sleep(0.2)
    said = await asyncio.to_thread(octant, env, "rollback", "--code", "--reason", "worse answers")
    assert f"All {WORKERS} workers run it" in said
    assert {await version(http) for _ in range(8)} == {__version__}
    traffic.stop()
    await asyncio.gather(*callers)
    assert await in_flight == 200
    assert set(traffic.statuses) == {200}
    assert len(traffic.statuses) > 20


async def test_the_history_knows_what_ran_and_a_second_rollback_does_not_go_forth(
    http: aiohttp.ClientSession, env: dict[str, str]
) -> None:
    shown = octant(env, "release", "code").splitlines()
    assert [(__version__ in line, NEWER in line, "worse answers" in line) for line in shown] == [
        (True, False, True),
        (False, True, False),
        (True, False, False),
    ]
    again = run(env, "rollback", "--code", "--reason", "nervous")
    assert again.returncode == 1
    assert "No earlier code ran here" in again.stderr


@pytest.mark.timeout(200)
async def test_code_that_does_not_start_is_not_gone_to_and_the_other_goes_on(
    http: aiohttp.ClientSession, env: dict[str, str], folder: Path
) -> None:
    init = folder / "newer" / "app" / "cli" / "__init__.py"
    init.write_text("raise SystemExit('broken on purpose')\n" + init.read_text())
    newer = commit_of(folder / "newer")
    failed = await asyncio.to_thread(run, env, "rollback", "--code", "--to", newer[:12], "--reason", "by mistake")
    assert failed.returncode == 1
    assert "broken on purpose" in failed.stderr
    assert await version(http) == __version__
    assert (folder / "current").resolve() == (folder / "older").resolve()
