"""Real parts for every test: Valkey, Postgres, simulator and service.

Valkey and Postgres come from their wheels; the simulator and the service are processes.

Each is started once per test process, when first used, and stopped at the end.
"""

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from client import session
from commands import octant, run
from forked import Forked
from fresh_ports import listens, on_free_ports
from hypothesis import settings as hypothesis_settings
from outcomes import Outcomes
from redis.asyncio import Redis
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from temporary import in_memory, swept

from app.migrations import upgrade
from app.settings import load
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from app.stack.setup import first_releases

hypothesis_settings.register_profile("octant", deadline=None)  # how long an example takes says how busy the machine is
hypothesis_settings.load_profile("octant")

__all__ = ["octant"]  # for the tests that run operators' commands
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 240.0
# As a first start of the service: the live release, and before it one for a rollback.
RELEASES = first_releases(load(releases_dir=ROOT / "releases"))
LIVE_RELEASE = RELEASES[-1]
MIGRATED = "migrated"  # the database that others are copies of: 18 migrations run once

# Tests make much garbage in a process that holds everything: at Python's own thresholds a twelfth of the CPU looks for it.
gc.set_threshold(50_000, 20, 20)

# jsonschema builds grammars for international addresses when it is imported, a second of CPU; no schema here has any.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

in_memory()

# Pytest closes its folder of temporary folders to others whenever it starts. Another checkout's run would lock out our Postgres,
# which runs as another user where we are root, so each checkout has a folder of its own.
_TEMPORARY = Path(tempfile.gettempdir()) / f"octant-tests-{os.getuid()}-{hashlib.sha256(bytes(ROOT)).hexdigest()[:8]}"
_TEMPORARY.mkdir(exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_TEMPORARY))
swept()

# A run under `nohup` or in the background of a script ignores these signals; started processes would inherit that.
for _number, _handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# With `--dist loadfile` a file's tests run in one process, so its service is started once; the longest files go first, so that
# both processes end together.
LONGEST_FIRST = (
    "pages",
    "runbook",
    "demo",
    "no_product",
    "openapi",
    "recovery",
    "tracing",
    "stopping",
    "way_back",
    "leaks",
    "budget_losses",
    "matrix",
    "product",
    "outages",
    "eval_gate",
    "planted_regressions",
    "jobs",
    "jobs_lost",
    "alerts",
)
ROOMS = ("flow", "chaos", "deploy", "contract")


SHARED_SERVICE = ExitStack()  # holds the service that files share, while it runs
_NO_LONGER_SERVED: set[str] = set()  # tests after the last one that calls it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, then those that call the shared service, then others that start services."""
    served = {item.path for item in items if _is_served(item)}

    def rank(item: pytest.Item) -> tuple[int, bool, int]:
        name, room = item.path.stem.removeprefix("test_"), item.path.relative_to(ROOT / "tests").parts[0]
        return (
            LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST),
            item.path not in served,
            ROOMS.index(room) if room in ROOMS else len(ROOMS),
        )

    items.sort(key=rank)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was imported and collected out of every later search for garbage: it lives as long as the process."""
    gc.collect()
    gc.freeze()
    if hasattr(session.config, "workerinput") and session.config.getoption("loadscopereorder", default=True):
        return  # the order of files is not this one: the shared service runs to the end
    last = max((number for number, item in enumerate(session.items) if _is_served(item)), default=-1)
    _NO_LONGER_SERVED.update(item.nodeid for item in session.items[last + 1 :])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop the shared service before the first test after its last caller.

    Its workers would compute for a hundredth of each second until the end of the run.
    """
    if item.nodeid in _NO_LONGER_SERVED:
        SHARED_SERVICE.close()


OUTCOMES = Outcomes()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each test ends."""
    OUTCOMES.note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the outcomes of the tests that threats name, once for all test processes."""
    if not hasattr(session.config, "workerinput"):
        OUTCOMES.write(ROOT)


def _is_served(item: pytest.Item) -> bool:
    return "service_url" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with embedded_valkey(None) as url:
        yield url


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A Postgres with the schema of the newest migration."""
    with embedded_postgres(None) as url:
        with _server(url) as server:
            server.execute(text(f"CREATE DATABASE {MIGRATED}"))
            upgrade(_database(url, MIGRATED))
            server.execute(text("DROP DATABASE octant"))
            server.execute(text(f"CREATE DATABASE octant TEMPLATE {MIGRATED}"))
        yield url


@contextmanager
def own_database(server_url: str, name: str) -> Iterator[str]:
    """A database of its own on the tests' server, migrated.

    Counters in Valkey and their ledger belong together.
    """
    with _server(server_url) as server:
        server.execute(text(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}"))
        yield _database(server_url, name)
        server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _server(url: str) -> Iterator[Connection]:
    """A connection outside transactions that holds no database of the tests."""
    server = create_engine(_database(url, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        yield connection
    server.dispose()


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest_asyncio.fixture(scope="session")
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="session")
async def valkey(valkey_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(valkey_url, decode_responses=True, max_connections=500)
    yield client
    await client.aclose()


@dataclass(frozen=True, slots=True)
class Simulator:
    """Base URLs of the running simulator."""

    openai: str
    anthropic: str
    control: str

    def put_faults(self, *faults: Mapping[str, object]) -> None:
        """Replace all faults."""
        self._send("DELETE", "/faults")
        self._send("PUT", "/faults", json.dumps(list(faults)).encode())

    def clear(self) -> None:
        """Behave well again, and reset the counts."""
        self._send("DELETE", "/faults")
        self._send("DELETE", "/stats")

    def stats(self) -> dict[str, dict[str, object]]:
        """The requests that the simulator counted, by provider."""
        return json.loads(self._send("GET", "/stats"))  # type: ignore[no-any-return]

    def requests(self) -> int:
        """How many requests the providers have seen."""
        return sum(int(str(stats["requests"])) for stats in self.stats().values())

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.control + path, data=body, method=method)  # noqa: S310 - loopback
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            return bytes(answer.read())


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[Simulator]:
    command = [sys.executable, "-m", "app.simulator", "--openai-port", "0", "--anthropic-port", "0", "--control-port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        yield Simulator(
            openai=f"http://127.0.0.1:{ports['openai']}/v1",
            anthropic=f"http://127.0.0.1:{ports['anthropic']}",
            control=f"http://127.0.0.1:{ports['control']}",
        )
        process.terminate()


@pytest.fixture
def simulator(simulator_process: Simulator) -> Iterator[Simulator]:
    """The simulator, well-behaved at the start and the end of each test."""
    simulator_process.clear()
    yield simulator_process
    simulator_process.clear()


@pytest.fixture(scope="session")
def service_stores(database_url: str) -> Iterator[dict[str, str]]:
    """Valkey and a database that the service alone uses.

    Tests of single rooms plant rows in theirs.
    """
    with embedded_valkey(None) as valkey, own_database(database_url, "service") as database:
        yield {"OCTANT_VALKEY_URL": valkey, "OCTANT_DATABASE_URL": database}


@pytest.fixture(scope="session")
def stack_env(
    service_stores: dict[str, str], simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of a service on the real parts.

    Set up as `octant demo` does: index, seeds, a live release.
    """
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))},
        **service_stores,
        "OCTANT_STATE_DIR": str(tmp_path_factory.mktemp("octant")),
        "OCTANT_OPENAI__BASE_URL": simulator_process.openai,
        "OCTANT_OPENAI__API_KEY": "simulator",
        "OCTANT_ANTHROPIC__BASE_URL": simulator_process.anthropic,
        "OCTANT_ANTHROPIC__API_KEY": "simulator",
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
        "OCTANT_WORKERS": "2",
        "OCTANT_GRACEFUL_TIMEOUT": "20",  # a test that leaves a call hanging must not hold the end of the run up for a minute
        # Tests break providers on purpose: what one test breaks must not be given a rest in the next.
        "OCTANT_RECOVERY__BREAKER_FAILURES": "1000",
        "OCTANT_RECOVERY__RETRY_BUDGET_BURST": "1000",
    }
    _set_up(env)
    return env


def _set_up(env: Mapping[str, str], releases: Sequence[str] = RELEASES) -> None:
    for command in (["index", "build"], ["tenant", "create", "acme", "--name", "The tests' tenant"], ["seed"]):
        octant(env, *command)
    for release in releases:
        activate = ("release", "activate", release, "--reason", "tests")
        if "To go on nevertheless: --force" in run(env, *activate).stderr:  # a release under way, as a fork's
            octant(env, *activate, "--force")


@contextmanager
def own_stores(
    stack_env: Mapping[str, str], database_url: str, name: str, releases: Sequence[str] = RELEASES
) -> Iterator[dict[str, str]]:
    """An environment with stores, a state folder and ports of its own, set up as `stack_env`; the last release is live.

    Work that another file has left in the shared stores does not reach it.
    """
    ports = ("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")
    with (
        embedded_valkey(None) as valkey,
        own_database(database_url, name) as database,
        tempfile.TemporaryDirectory(prefix=f"octant-{name}-") as state,
    ):
        env = {
            **stack_env,
            **{port: str(free_port()) for port in ports},
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_STATE_DIR": state,
        }
        _set_up(env, releases)
        yield env


def key_of(env: Mapping[str, str]) -> str:
    """A key of the tenant acme, valid for any user."""
    return octant(env, "key", "create", "acme", "--name", "tests", "--quiet").strip()


@pytest.fixture(scope="session")
def api_key(stack_env: dict[str, str]) -> str:
    """A key of the tenant acme, valid for any user."""
    return key_of(stack_env)


@pytest.fixture(scope="session")
def service_url(stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service as `octant serve` runs it, two workers."""
    with SHARED_SERVICE:
        yield SHARED_SERVICE.enter_context(running_service(stack_env, tmp_path_factory.mktemp("service") / "service.log"))


@pytest_asyncio.fixture(scope="session")
async def http(service_url: str, api_key: str) -> AsyncIterator[ClientSession]:
    """Connections to that service, with that key."""
    async with session(service_url, api_key) as http:
        yield http


@contextmanager
def running_service(env: MutableMapping[str, str], log: Path) -> Iterator[str]:
    """Run `octant serve` until the end of the block, on other ports, noted in ``env``, where those are taken by now.

    Fails with the log's end if it does not become ready.
    """
    with on_free_ports(env, log, lambda: _service(env, log)) as url:
        yield url


@contextmanager
def _service(env: Mapping[str, str], log: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{env['OCTANT_PORT']}"
    with _running("serve", env, log) as process:
        wait_until_ready(url, process, log)
        yield url


@contextmanager
def running_worker(env: MutableMapping[str, str], log: Path) -> Iterator[Forked]:
    """Run `octant worker` until the end of the block, on another port, noted in ``env``, where that is taken by now.

    Fails with the log's end if it does not become ready.
    """
    with on_free_ports(env, log, lambda: _worker(env, log)) as process:
        yield process


@contextmanager
def _worker(env: Mapping[str, str], log: Path) -> Iterator[Forked]:
    with _running("worker", env, log) as process:
        deadline = time.monotonic() + START_SECONDS
        while "worker is ready" not in log.read_text():
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.05)
        yield process


@contextmanager
def _running(command: str, env: Mapping[str, str], log: Path) -> Iterator[Forked]:
    log.touch()
    process = Forked(env, log, command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=120)


def wait_until_ready(url: str, process: "Forked | subprocess.Popen[bytes]", log: Path) -> None:
    """Poll `/readyz` until the process answers 200, and no other one on its port."""
    port, deadline = int(url.rpartition(":")[2]), time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=2):  # noqa: S310 - loopback
                if listens(process.pid, port):
                    return
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection; the test that runs when it is collected would report it
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the service did not become ready; its log ends:\n{log.read_text()[-4000:]}")
