"""The service when its stores stop, freeze and come back (ADR 0007, 0010).

It has two workers and stores of its own.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from commands import run
from conftest import LIVE_RELEASE, Simulator, octant, running_service
from faulty_stores import frozen
from forked import supervisor_of
from signed_in import signed_in

from app.console.navigation import PAGES
from app.migrations import upgrade
from app.settings import DEVELOPMENT_SECRET
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]  # two engines, a service, and outages that last

CHAT = "/v1/chat/completions"
ASK = {"model": "smart", "messages": [{"role": "user", "content": "hello"}]}
log = logging.getLogger(__name__)
SOON = 30.0  # seconds; no wait on a store is longer than three, and the machine may be busy


@dataclass
class Stores:
    """A Postgres and a Valkey to stop and to start."""

    folder: Path
    valkey_port: int = field(default_factory=free_port)
    postgres: ExitStack = field(default_factory=ExitStack)
    valkey: ExitStack = field(default_factory=ExitStack)

    @property
    def postgres_note(self) -> Path:
        return self.folder / "postgres" / "postmaster.pid"

    @property
    def valkey_note(self) -> Path:
        return self.folder / "valkey" / "valkey.pid"

    def start_postgres(self) -> str:
        return self.postgres.enter_context(embedded_postgres(self.folder / "postgres"))

    def start_valkey(self) -> str:
        return self.valkey.enter_context(embedded_valkey(self.folder / "valkey", port=self.valkey_port))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    stores = Stores(tmp_path_factory.mktemp("stores"))
    with stores.postgres, stores.valkey:
        yield stores


@pytest.fixture(scope="module")
def env(stores: Stores, stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A service of the module's own, set up; the index is that of the other tests."""
    url = stores.start_postgres()
    upgrade(url)
    state = tmp_path_factory.mktemp("state")
    (state / "indexes").symlink_to(Path(stack_env["OCTANT_STATE_DIR"]) / "indexes")
    env = {
        **stack_env,
        "OCTANT_DATABASE_URL": url,
        "OCTANT_VALKEY_URL": stores.start_valkey(),
        "OCTANT_STATE_DIR": str(state),
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
        "OCTANT_IDEMPOTENCY_LEASE": "6",
    }
    octant(env, "tenant", "create", "acme", "--name", "The tests' tenant")
    octant(env, "release", "activate", LIVE_RELEASE, "--reason", "first")
    return env


@pytest.fixture(scope="module")
def own_key(env: dict[str, str]) -> str:
    return octant(env, "key", "create", "acme", "--name", "tests", "--quiet").strip()


@pytest.fixture(scope="module")
def unknown_key(env: dict[str, str]) -> str:
    """A good key that no worker has seen."""
    return octant(env, "key", "create", "acme", "--name", "unknown", "--quiet").strip()


@pytest.fixture(scope="module")
def own_service(env: dict[str, str], own_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service(env, tmp_path_factory.mktemp("service") / "service.log") as url:
        yield url


@pytest_asyncio.fixture
async def http(own_service: str, own_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with client(own_service, own_key) as session:
        await until_ready(session)
        yield session


def client(url: str, key: str) -> aiohttp.ClientSession:
    """A new connection for each request, so that both workers are called."""
    timeout = aiohttp.ClientTimeout(total=SOON)
    headers = {"authorization": f"Bearer {key}"}
    return aiohttp.ClientSession(url, headers=headers, connector=aiohttp.TCPConnector(force_close=True), timeout=timeout)


async def post(http: aiohttp.ClientSession, **headers: str) -> tuple[int, str, bytes]:
    """Status, the error's code or an empty string, and the body."""
    async with http.post(CHAT, data=json.dumps(ASK), headers=headers) as answer:
        body = await answer.read()
        return answer.status, str(json.loads(body)["error"]["code"]) if answer.status >= 400 else "", body


async def statuses(http: aiohttp.ClientSession, count: int, **headers: str) -> set[int]:
    answers = await asyncio.gather(*(post(http, **headers) for _ in range(count)))
    log.info("%s", {body for status, _, body in answers if status != 200})  # the reason, where a test fails
    return {status for status, _, _ in answers}


async def ready(http: aiohttp.ClientSession) -> tuple[int, str]:
    try:
        async with http.get("/readyz") as answer:
            return answer.status, str((await answer.json())["status"])
    except aiohttp.ClientError:
        return 0, "refused"


async def until_ready(http: aiohttp.ClientSession) -> None:
    """Both workers, as far as twenty connections can tell."""
    deadline = time.monotonic() + 120
    while {await ready(http) for _ in range(20)} != {(200, "ok")}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def warmed(http: aiohttp.ClientSession, env: dict[str, str], key: str) -> None:
    """A worker knows the key and has stored it for the others of its machine."""
    assert await statuses(http, 20) == {200}
    digest = hmac.digest(DEVELOPMENT_SECRET.encode(), key.encode(), hashlib.sha256).hex()
    file, deadline = Path(env["OCTANT_STATE_DIR"]) / "remembered" / "keys.json", time.monotonic() + 120
    while not file.exists() or digest not in file.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_with_postgres_frozen_known_keys_are_answered_and_the_rest_is_refused_soon(
    http: aiohttp.ClientSession, stores: Stores, own_service: str, env: dict[str, str], own_key: str, unknown_key: str
) -> None:
    """No request waits for Postgres longer than seconds.

    That holds for a key, a claim, a job, feedback, records and health.
    """
    await warmed(http, env, own_key)
    await asyncio.sleep(5.5)  # the keys that the workers know have to be read again
    with frozen(stores.postgres_note):
        for _ in range(3):
            assert await statuses(http, 10) == {200}
        assert await statuses(http, 4, **{"idempotency-key": uuid4().hex}) == {503}
        async with client(own_service, unknown_key) as stranger:
            assert (await post(stranger))[:2] == (503, "dependency_unavailable")
        job = {"path": CHAT, "body": ASK}
        for path, body in (("/v1/jobs", job), ("/v1/feedback", {"request_id": "req_12345678", "rating": "good"})):
            async with http.post(path, data=json.dumps(body)) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (503, "dependency_unavailable"), path
        async with http.get("/v1/jobs") as answer:
            assert answer.status == 503
        assert await ready(http) == (200, "degraded")
        started = time.monotonic()
        for command in (["key", "list"], ["calls"], ["budget", "show", "acme"], ["release", "history"]):
            await refused(env, *command)
        assert time.monotonic() - started < 10 * SOON
    await until_ready(http)
    assert await statuses(http, 10, **{"idempotency-key": uuid4().hex}) <= {200, 409}


async def refused(env: dict[str, str], *command: str) -> None:
    """The command ends with one sentence for its operator."""
    async with asyncio.timeout(3 * SOON):
        ran = await asyncio.to_thread(run, env, *command)
    output = ran.stdout + ran.stderr
    assert ran.returncode, command
    assert "Traceback" not in output, output[-2000:]
    assert "Postgres does not answer; look at OCTANT_DATABASE_URL." in output, output


OLD = {
    "/console/budgets": "what everyone has spent today, and what is held. The rest is of now.",
    "/console": "today's money and open circuits. The rest is of now.",
}


@pytest.mark.parametrize(("store", "page"), [("postgres_note", "/console/calls"), ("valkey_note", "/console/budgets")])
async def test_every_page_of_the_console_shows_what_it_knew_while_a_store_is_frozen(
    http: aiohttp.ClientSession, own_service: str, env: dict[str, str], stores: Stores, store: str, page: str
) -> None:
    """X1. ``http`` waits until both workers are ready after the test before."""
    key = octant(env, "key", "create", "acme", "--name", f"console {store}", "--scope", "admin", "--quiet").strip()
    assert (await post(http))[0] == 200
    async with signed_in(own_service, key) as operator:
        without_results = "/console/evals?release=2026-11-01"
        paths = [*(one.path for one in PAGES), "/console/search?q=latency", without_results]
        for path in paths:
            assert (await operator.get(path)).status == 200, path
        assert "Shown as it was" not in (await operator.get(page)).words
        with frozen(getattr(stores, store)):
            shown = {path: await operator.get(path) for path in paths}
        assert {path: answer.status for path, answer in shown.items()} == dict.fromkeys(paths, 200)
        assert "Shown as it was" in shown[page].words
        away = "Postgres" if store == "postgres_note" else "Valkey"
        assert f"{away} does not answer" in shown[page].words
        for path, part in (OLD if away == "Valkey" else {}).items():
            assert f": {part}" in shown[path].words, "the rest of the page is not old"
        assert "Shown as it was" not in shown["/console/runbook"].words, "it needs no store"
        assert "Release 2026-11-01 has no eval results here." in shown[without_results].words


async def test_a_worker_that_dies_with_postgres_away_is_replaced_by_one_that_serves(
    http: aiohttp.ClientSession, stores: Stores, env: dict[str, str], own_key: str
) -> None:
    """The last state from Postgres is in local files: the live release, known keys, users' caps."""
    await warmed(http, env, own_key)
    stores.postgres.close()
    try:
        master = supervisor_of(int(env["OCTANT_PORT"]))
        for worker in master.children():  # one after the other: in the end no worker is left that ever saw Postgres
            before = {w.pid for w in master.children()}
            worker.send_signal(signal.SIGKILL)
            deadline = time.monotonic() + 120
            while not {w.pid for w in master.children()} - before:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            await until_answered(http)
        assert await statuses(http, 20) == {200}
        assert await ready(http) == (200, "degraded")
        assert master.is_running()
    finally:
        stores.start_postgres()
    await until_ready(http)


async def until_answered(http: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if await statuses(http, 10) == {200}:
                return
        except aiohttp.ClientError:
            pass
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def test_an_idempotency_key_is_billed_once_over_an_outage_longer_than_its_lease(
    http: aiohttp.ClientSession, stores: Stores, simulator: Simulator, env: dict[str, str], own_key: str
) -> None:
    """An answer given while Postgres was away is replayed.

    Also for a repetition at the moment when Postgres is back.
    """
    await warmed(http, env, own_key)
    simulator.clear()
    simulator.put_faults({"kind": "latency", "milliseconds": 2000, "times": 1})
    key = uuid4().hex
    first = asyncio.create_task(post(http, **{"idempotency-key": key}))
    await asyncio.sleep(1)
    stores.postgres.close()
    try:
        status, _, body = await first
        await asyncio.sleep(8)
    finally:
        stores.start_postgres()
    assert status == 200
    before = simulator.requests()  # two where the first provider was silent too long: both attempts are the first call's
    deadline = time.monotonic() + 120
    while (again := await post(http, **{"idempotency-key": key}))[0] != 200:
        assert again[0] in {409, 503}
        assert time.monotonic() < deadline
    assert again[2] == body
    assert simulator.requests() == before


async def test_a_service_that_starts_with_both_stores_away_refuses_and_recovers_by_itself(
    env: dict[str, str], own_key: str, stores: Stores, tmp_path: Path
) -> None:
    """With no local file either: nothing is known, so nothing is served, and nothing ends."""
    own = {**env, "OCTANT_PORT": str(free_port()), "OCTANT_METRICS_PORT": str(free_port()), "OCTANT_STATE_DIR": str(tmp_path)}
    (tmp_path / "indexes").symlink_to(Path(env["OCTANT_STATE_DIR"]) / "indexes")
    stores.postgres.close()
    log = tmp_path / "service.log"
    with frozen(stores.valkey_note), log.open("wb") as out:
        command = [sys.executable, "-m", "app.cli", "serve"]
        process = subprocess.Popen(command, env=own, stdout=out, stderr=out)  # noqa: ASYNC220 - it is only started
        async with client(f"http://127.0.0.1:{own['OCTANT_PORT']}", own_key) as http:
            deadline = time.monotonic() + 120
            while (await ready(http))[0] != 503:
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                await asyncio.sleep(0.1)
            assert (await post(http))[:2] == (503, "dependency_unavailable")
    try:
        stores.start_postgres()
        async with client(f"http://127.0.0.1:{own['OCTANT_PORT']}", own_key) as http:
            await until_ready(http)
            assert await statuses(http, 10) == {200}
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(timeout=120)
