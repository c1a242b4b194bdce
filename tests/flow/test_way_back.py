"""The way back on a running service: code under traffic (B2), and the rehearsal of everything (B5)."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from client import eventually, post, session
from commands import run
from conftest import LIVE_RELEASE, ROOT, Simulator, key_of, octant, own_stores, wait_until_ready
from forked import Forked
from fresh_ports import on_free_ports

from app import __version__
from app.domain.errors import InvalidRequest
from app.features.installed import installed
from app.releases.code import commit_of
from app.releases.rehearsals import Rehearsal
from app.settings import DeploySettings, Settings, load
from app.stack import rehearsal, runner

pytestmark = pytest.mark.whole_stack

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
    with on_free_ports(env, log, lambda: _running(env, folder, log)) as process:
        yield process


@contextmanager
def _running(env: dict[str, str], folder: Path, log: Path) -> Iterator[Forked]:
    process = Forked(env, log, "run")
    try:
        wait_until_ready(f"http://127.0.0.1:{env['OCTANT_PORT']}", process, log)
        deadline = time.monotonic() + 120
        while not (folder / runner.STATE).exists():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=120)


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

    await eventually(done)


@pytest.mark.timeout(900)
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


@pytest.mark.timeout(900)
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


@pytest.fixture
def settings(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of the running service, without its deploy target: going back with the code is shown above."""
    for name, value in env.items():
        if name.startswith("OCTANT_"):
            monkeypatch.setenv(name, value)
    return load(deploy=DeploySettings())


def inside(env: dict[str, str]) -> rehearsal.Run:
    """The commands of a rehearsal, in this process."""

    async def octant_inside(given: Mapping[str, str], command: Sequence[str]) -> tuple[int, str]:
        own = {name: given[name] for name in ("OCTANT_RELEASES_DIR", "OCTANT_PROMPTS_DIR")}
        ran = await asyncio.to_thread(run, {**env, **own}, *command)
        return ran.returncode, ran.stdout + ran.stderr

    return octant_inside


async def rehearsed(settings: Settings, env: dict[str, str]) -> Rehearsal:
    url = f"http://127.0.0.1:{env['OCTANT_PORT']}"
    return await rehearsal.rehearse(settings, url=url, workers=WORKERS, environment="tests", tell=lambda _: None, run=inside(env))


@pytest.mark.timeout(900)
async def test_a_rehearsal_times_every_way_back_and_leaves_everything_as_it_was(
    http: aiohttp.ClientSession, env: dict[str, str], settings: Settings
) -> None:
    """B5. How long a step may take is not asserted here: the machine may be busy."""
    done = await rehearsed(settings, env)
    names = [step.name.split()[:2] for step in done.steps]
    rolled = [["rollback", kind] for kind in ("all", "prompt", "model", *(["index"] if has_index() else []), "prices")]
    assert names == [*rolled, ["kill", "all"], ["resume", "all"], ["kill", "model"], ["resume", "model"]]
    assert all(step.written is not None and step.written <= step.seconds for step in done.steps)
    in_time = [one for one in done.steps if one.seconds <= one.limit and one.written is not None and one.written <= one.promise]
    assert [step for step in in_time if not step.kept] == []
    assert "calls failed" not in done.note
    assert done.kept == all(step.kept for step in done.steps), done.note
    assert (" cores" in done.note) != done.kept, "a late step may be the machine's fault"
    assert octant(env, "release", "status").startswith(f"{LIVE_RELEASE} is live")
    assert octant(env, "kill", "status") == "Nothing is stopped.\n"
    assert (
        await post(http, "/v1/chat/completions", {"model": "smart", "messages": [{"role": "user", "content": "hi"}]})
    ).status == 200


def has_index() -> bool:
    return any(index.less for feature in installed() for index in feature.indexes)


async def test_a_rehearsal_on_a_sick_service_is_not_judged(
    http: aiohttp.ClientSession, env: dict[str, str], settings: Settings, simulator: Simulator
) -> None:
    octant(env, "kill", "model", "fast", "--reason", "an incident")
    stopped = await rehearsed(settings, env)
    octant(env, "resume", "model", "fast")
    simulator.put_faults({"kind": "status", "status": 500})
    failing = await rehearsed(settings, env)
    assert [(done.verdict, done.kept, done.steps) for done in (stopped, failing)] == [("not judged", False, ())] * 2
    assert stopped.note == "model fast is stopped."
    assert failing.note == "Not every worker answers a call."
    assert octant(env, "release", "status").startswith(f"{LIVE_RELEASE} is live")


@pytest.mark.parametrize(
    ("environment", "message"),
    [({}, "only where OCTANT_ENVIRONMENT is set"), ({"OCTANT_ENVIRONMENT": "development"}, "calls of other tenants in the last")],
    ids=["no environment named", "real traffic"],
)
async def test_a_rehearsal_is_refused_where_it_would_stop_real_calls(
    http: aiohttp.ClientSession, env: dict[str, str], environment: dict[str, str], message: str
) -> None:
    async def refused() -> bool:
        ran = await asyncio.to_thread(run, {**env, **environment}, "rehearse", "here", "--no-log")
        return ran.returncode == 1 and message in ran.stderr

    await post(http, "/v1/chat/completions", {"model": "smart", "messages": [{"role": "user", "content": "hi"}]})
    await eventually(refused)  # the record of the call comes within seconds


def test_production_refuses_a_rehearsal(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="OCTANT_ENVIRONMENT"):
        rehearsal.refuse_production(settings.model_copy(update={"environment": "production"}))
