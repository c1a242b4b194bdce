"""A bad release under live traffic: the canary stops by itself, on every one of four workers (B4)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from client import eventually, post, session
from conftest import LIVE_RELEASE, ROOT, Simulator, key_of, octant, own_stores, running_service

pytestmark = pytest.mark.whole_stack

BROKEN = "claude-haiku-5-5"  # the model of the bad release: it fails, while the live one's works
AT_ONCE = 8


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Four workers, and a release `bad` whose route asks one model alone."""
    folder = tmp_path_factory.mktemp("canary")
    for path in (ROOT / "releases").rglob("*.*"):
        target = folder / path.relative_to(ROOT / "releases")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    text = (folder / f"{LIVE_RELEASE}.toml").read_text().replace(f'id = "{LIVE_RELEASE}"', 'id = "bad"')
    begin = text.index("targets = [", text.index("[routes.smart]"))
    targets = text[begin : text.index("]\n", begin) + 2]
    (folder / "bad.toml").write_text(text.replace(targets, f'targets = [{{ provider = "anthropic", model = "{BROKEN}" }}]\n', 1))
    with own_stores({**stack_env, "OCTANT_WORKERS": "4", "OCTANT_RELEASES_DIR": str(folder)}, database_url, "canary") as env:
        yield env


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service(env, tmp_path_factory.mktemp("canary") / "service.log") as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def http(url: str, env: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(url, key_of(env), connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield http  # a connection for each request, so that all workers are met


class Traffic:
    """Users who call once each, `AT_ONCE` at a time, until `stop`."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._users = itertools.count()
        self._over = asyncio.Event()
        self.answers: list[tuple[int, str]] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._client())

    async def _client(self) -> None:
        while not self._over.is_set():
            user = f"user-{next(self._users)}"
            body: dict[str, Any] = {"model": "smart", "user": user, "messages": [{"role": "user", "content": "hello"}]}
            status, headers, _ = await post(self._http, "/v1/chat/completions", body)
            self.answers.append((status, headers["octant-release"]))

    def stop(self) -> None:
        self._over.set()


@pytest.mark.timeout(900)
async def test_a_planted_bad_release_is_stopped_by_its_evidence_after_few_users(
    http: aiohttp.ClientSession, env: dict[str, str], simulator: Simulator
) -> None:
    simulator.put_faults({"kind": "status", "status": 500, "model": BROKEN})
    traffic = Traffic(http)
    running = asyncio.create_task(traffic.run())
    begun = await asyncio.to_thread(octant, env, "release", "canary", "bad", "--share", "10%", "--force", "--reason", "cheaper")
    assert "0.1 of the users get bad within 5 seconds" in begun

    async def stopped() -> bool:
        return "No canary runs" in (await asyncio.to_thread(_status, env))

    await eventually(stopped)
    after = len(traffic.answers)
    await eventually(lambda: _enough(traffic, after + 200))
    traffic.stop()
    await running
    failed = [at for at, (status, release) in enumerate(traffic.answers) if status != 200]
    assert {traffic.answers[at][1] for at in failed} == {"bad"}
    assert 1 <= len(failed) <= 60, f"{len(failed)} of {len(traffic.answers)} users met the bad release"
    assert max(failed) < after + 150, "some worker went on with it"
    why = octant(env, "release", "why", "bad")
    assert "stopped" in why
    assert "ended by octant" in why
    assert "by the counts: stop" in why
    assert octant(env, "release", "status").startswith(f"{LIVE_RELEASE} is live")


async def _enough(traffic: Traffic, count: int) -> bool:
    return len(traffic.answers) >= count


def _status(env: dict[str, str]) -> str:
    shown = octant(env, "release", "status")
    return shown if "canary bad" in shown else "No canary runs"
