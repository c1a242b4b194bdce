"""The runbook does what it says, on a running service (K2).

A page of an incident is followed from its fault to its fix; of the others every command runs, in its order.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from commands import octant_on_path
from conftest import LIVE_RELEASE, RELEASES, ROOT, Simulator, _set_up, key_of, octant, own_database, running_service
from incidents import CONTAINED, ROGUE, World, exercise

from app.oncall.runbook import pages
from app.oncall.runbook.pages import Page
from app.settings import load
from app.stack.embedded import embedded_valkey, free_port
from app.stack.running import Demo, fingerprint, noted

PAGES = [page for page in pages.read() if any(section.commands for section in page.sections)]
WRITES = bool(os.environ.get("RUNBOOK_WRITE"))  # `make runbook`: at real time, and the minutes are written to the pages
SHORT = {"OCTANT_RECOVERY__BREAKER_REST": "1", "OCTANT_RECOVERY__BREAKER_LONGEST_REST": "3", "OCTANT_EVALS__LATE": "2"}
NEEDS = {"eval-drift.md": "support", "injection-direct.md": "support"}  # the product whose answers are scored or attacked
OF_PAGE = {  # the route that a page's calls take, and the product whose answers it judges
    "malformed-output.md": {"PROVIDER": "openai", "OTHER": "anthropic", "MODEL": "gpt-6-luna"},
    "eval-drift.md": {"FEATURE": "support.answer", "MODEL": "claude-sonnet-5-5"},
}

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, simulator_process: Simulator) -> Iterator[dict[str, str]]:
    """A service's environment as a demo has it: default circuits, stores whose processes a page can freeze, and a note of it."""
    ports = ("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")
    with (
        tempfile.TemporaryDirectory(prefix="octant-runbook-") as state,
        embedded_valkey(Path(state) / "valkey") as valkey,
        own_database(database_url, "runbook") as database,
    ):
        (Path(state) / "postgres").symlink_to(parse_qs(urlsplit(database).query)["host"][0])
        env = {
            **{name: value for name, value in stack_env.items() if not name.startswith("OCTANT_RECOVERY__")},
            **{port: str(free_port()) for port in ports},
            **({} if WRITES else SHORT),
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_STATE_DIR": state,
        }
        _set_up(env)
        with noted(_as_demo(env, simulator_process)):
            yield env


def _as_demo(env: Mapping[str, str], simulator: Simulator) -> Demo:
    """A note by which `octant simulate` finds the simulator."""
    here = psutil.Process()
    return Demo(
        pid=here.pid,
        started=here.create_time(),
        url=f"http://127.0.0.1:{env['OCTANT_PORT']}",
        env={name: value for name, value in env.items() if name.startswith("OCTANT_")},
        simulated=("openai", "anthropic"),
        control=urlsplit(simulator.control).port,
        secret=fingerprint(load()),
        folder=Path(env["OCTANT_STATE_DIR"]).resolve(),
    )


@pytest.fixture(scope="module")
def url(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service(env, tmp_path_factory.mktemp("runbook") / "service.log") as url:
        yield url


@pytest.fixture(scope="module")
def caller(env: dict[str, str]) -> str:
    return key_of(env)


@pytest.fixture
def world(url: str, env: dict[str, str], caller: str, simulator: Simulator) -> Iterator[World]:
    """An operator's shell, with values for the words in capitals: a call that was made, a key to revoke, releases."""
    del simulator  # it is well-behaved before and after each page
    secret = octant(env, "key", "create", "acme", "--name", "leaked", "--quiet").strip()
    admin = octant(env, "key", "create", "acme", "--name", "operator", "--scope", "admin", "--quiet").strip()
    here = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"  # `python` is the one of the project
    with octant_on_path({**env, "PYTHONPATH": str(ROOT), "PATH": here}) as shell:
        words = {
            "KEY": secret.split("_")[1], "ADMIN": admin, "RELEASE": LIVE_RELEASE, "EARLIER": RELEASES[-2], "TENANT": "acme",
            "USER": ROGUE, "PROVIDER": "anthropic", "OTHER": "openai", "MODEL": "fast", "FEATURE": "chat", "DOLLARS": "100",
            "LIMIT": "600", "TOKENS": "200000", "NUMBER": "20",
        }  # fmt: skip
        user = f"user-{secret[-8:]}"
        made = World(url, shell, caller, secret, words, user)
        made.eventually(lambda: made.call().status == 200)  # the page before has ended its stop, and every worker knows
        request_id = made.call().headers["x-request-id"]
        made.eventually(lambda: bool(made.octant("calls", "--request-id", request_id, "--json")))
        yield World(url, shell, caller, secret, {**words, "CALL": request_id}, user)
        _as_before(made)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_followed_literally_does_what_it_says(page: Page, world: World) -> None:
    """Of an incident: the fault is made, its symptom shows, it is contained, verified and fixed."""
    if NEEDS.get(page.name) and not (ROOT / "app/features" / NEEDS[page.name]).is_dir():
        pytest.skip(f"{NEEDS[page.name]} is not installed")
    world = replace(world, words={**world.words, **OF_PAGE.get(page.name, {})})
    if not page.is_incident:
        for command in (command for section in page.sections for command in section.commands):
            world.follow(command)
        return
    minutes = exercise(page, world)
    sys.stdout.write(f"{page.name}: contained in {minutes:.1f} minutes\n")
    if WRITES:
        _write(page, minutes)


def test_every_incident_is_exercised() -> None:
    assert {page.name for page in PAGES if page.is_incident} == set(CONTAINED)


def _write(page: Page, minutes: float) -> None:
    path = ROOT / "runbook" / page.name
    line = f"Rehearsed: {datetime.now(UTC):%Y-%m-%d}, contained in {minutes:.1f} minutes"
    path.write_text(re.sub(r"^Rehearsed: .*$", line, path.read_text(), count=1, flags=re.MULTILINE))


def _as_before(world: World) -> None:
    """Release what a page stopped, close its incidents, and put the newest release live, also when a command failed half-way."""
    for line in world.octant("incident", "list").splitlines():
        if (number := line.split()[0]).isdigit():
            world.octant("incident", "close", "--on", number, "--no-change", "the page is done", "--no-draft")
    for line in world.octant("kill", "status").splitlines():
        scope, _, rest = line.partition(" ")
        if scope == "user":
            world.octant("resume", "user", *rest.partition(":")[0].split())
        elif scope in ("all:", "provider", "tenant", "model", "feature"):
            world.octant("resume", scope.rstrip(":"), *([rest.split(":")[0]] if scope != "all:" else []))
    world.octant("budget", "set", "acme", "--day", "25")
    world.octant("release", "activate", LIVE_RELEASE, "--reason", "the page is done")
