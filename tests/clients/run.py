"""Runs drivers against a service whose provider is the scripted model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import octant, serving, stores_and_simulator
from clients.environment import environment
from clients.install import home_of, interpreter, node_binary
from clients.isolation import Recorder
from clients.report import OFFLINE
from clients.table import HERE, Client

CLIENT_SECONDS = 1200.0
EMBEDDER = "embed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One capability of one client: on which way it was tried, whether it works, and why not."""

    client: str
    way: str
    capability: str
    ok: bool
    detail: str = ""


@contextmanager
def service() -> Iterator[tuple[dict[str, str], Callable[[str], None]]]:
    """Run the scripted model and the service. Yields the variables that drivers read, and what makes a release live."""
    with stores_and_simulator() as (env, _), _model() as port:
        model = f"http://127.0.0.1:{port}"
        env |= {
            "OCTANT_OPENAI__BASE_URL": f"{model}/v1",
            "OCTANT_OPENAI__API_KEY": "scripted",
            "OCTANT_ANTHROPIC__BASE_URL": model,
            "OCTANT_ANTHROPIC__API_KEY": "scripted",
            "OCTANT_WORKERS": "1",
            # Scripts make providers fail on purpose: what one client breaks must not be given a rest in the next.
            "OCTANT_RECOVERY__BREAKER_FAILURES": "1000",
            "OCTANT_RECOVERY__RETRY_BUDGET_BURST": "1000",
            "OCTANT_HTTP__BAD_KEYS_PER_MINUTE": "1000",
        }
        octant(env, "setup")
        limits = ("--day", "1000000", "--user-day", "1000000")
        octant(env, "tenant", "create", "clients", "--name", "Clients", *limits)
        key = octant(env, "key", "create", "clients", "--name", "clients", "--quiet")

        def activate(release: str) -> None:
            octant(env, "release", "activate", release, "--reason", "clients")

        with serving(env) as (url, _):
            yield {"OCTANT_URL": url, "OCTANT_KEY": key, "OCTANT_MODEL": model, "OCTANT_EMBEDDER": EMBEDDER}, activate


@contextmanager
def _model() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-m", "clients.model"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline() if process.stdout else "")
        finally:
            process.terminate()


def run(client: Client, service_env: Mapping[str, str], recorder: Recorder, only: Sequence[str] = ()) -> list[Outcome]:
    """Run a client's driver in an empty folder. Returns its outcomes, and whether the client tried to leave the machine."""
    recorder.taken()
    with tempfile.TemporaryDirectory(prefix=f"octant-{client.name}-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        own = {
            **service_env,
            "CLIENT_FOLDER": str(home_of(client)),
            "CLIENT_MODEL": client.model,
            "OCTANT_OUTCOMES": str(home / "outcomes"),
            "PATH": f"{home_of(client) / 'bin'}:{node_binary().parent}:{os.environ['PATH']}",
            **{k: os.environ[k] for k in ("OCTANT_TRACE",) if k in os.environ},
        }
        env = environment(home, recorder.port, own)
        (home / "outcomes").touch()
        output = _output([str(interpreter(client)), str(_driver(client)), *only], env, home)
        rows = [json.loads(line) for line in (home / "outcomes").read_text().splitlines()]
    outcomes = [
        Outcome(client.name, row["way"], row["capability"], row["ok"], row["detail"]) for row in rows if "capability" in row
    ]
    if {"done": True} not in rows:
        outcomes.append(Outcome(client.name, "chat", "driver", ok=False, detail=f"it ended before its time: {output[-1500:]}"))
    hosts = recorder.taken()
    return [*outcomes, Outcome(client.name, "", OFFLINE, not hosts, ", ".join(hosts))]


def _driver(client: Client) -> Path:
    """The driver, beside the client's modules: Node looks for packages from the script's folder upwards."""
    if client.pip:
        return HERE / "drivers" / client.driver
    for script in (client.driver, "capability.mjs", "commands.mjs"):
        shutil.copy(HERE / "drivers" / script, home_of(client) / script)
    return home_of(client) / client.driver


def _output(command: list[str], env: dict[str, str], home: Path) -> str:
    """What a driver printed; its processes end with it."""
    work = home / "work"
    work.mkdir()
    with subprocess.Popen(
        command,
        env=env,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=CLIENT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0]
        finally:
            _end(process.pid)


def _end(group: int) -> None:
    """End what a driver left running in its group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
