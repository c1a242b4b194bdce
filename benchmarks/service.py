"""Runs the service for rehearsals: several workers, stores of their own, and a provider simulator that fails on command."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port
from app.stack.fitting import fitting
from app.stack.stop_times import stop_seconds
from app.stack.vendors import SIMULATED_PATHS, simulator_environment

START_SECONDS = 120.0
STOP_SECONDS = stop_seconds(Settings.model_fields["graceful_timeout"].default) + 5  # a supervisor waits longer than the process
# The live release's, shortened: a rehearsal is to meet many timeouts, not to wait for them.
TIMEOUTS = {"first_token_timeout": 1.0, "idle_timeout": 1.0, "attempt_timeout": 2.0}


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its address, a key whose caps are out of reach, and the simulator's control address."""

    url: str
    key: str
    control: str


def break_providers(control: str, *faults: Mapping[str, Any]) -> None:
    """Put faults to the simulator, in place of those in force."""
    _send("DELETE", control + "/faults")
    _send("PUT", control + "/faults", json.dumps(faults).encode())


def simulator_stats(control: str) -> dict[str, dict[str, Any]]:
    """Return each provider's counts."""
    found: dict[str, dict[str, Any]] = json.loads(_send("GET", control + "/stats"))
    return found


@contextmanager
def stores_and_simulator(valkey_url: str | None = None) -> Generator[tuple[dict[str, str], str], None, None]:
    """Start stores and simulator. Yields the variables that point a service at them, and the simulator's control address.

    With ``valkey_url`` Valkey is the caller's own.
    """
    with (
        tempfile.TemporaryDirectory(prefix="octant-rehearsal-") as folder,
        embedded_valkey(None) if valkey_url is None else nullcontext(valkey_url) as valkey,
        embedded_postgres(None) as database,
        _simulator() as ports,
    ):
        env = {
            **os.environ,
            "OCTANT_STATE_DIR": folder,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_PORT": str(free_port()),
            "OCTANT_METRICS_PORT": str(free_port()),
            "OCTANT_LOG_LEVEL": "error",
            **simulator_environment(ports, tuple(SIMULATED_PATHS)),
        }
        yield env, f"http://127.0.0.1:{ports['control']}"


@contextmanager
def running_service(*, workers: int) -> Generator[Service, None, None]:
    """Start everything, the service in ``workers`` processes; stop it at the end of the block."""
    with stores_and_simulator() as (env, control):
        env["OCTANT_WORKERS"] = str(workers)
        key = set_up(env)
        with serving(env) as (url, _):
            yield Service(url, key, control)


@contextmanager
def serving(env: Mapping[str, str]) -> Generator[tuple[str, int], None, None]:
    """Run the service; yields its address and the id of its first process, whose children are the workers."""
    log = Path(env["OCTANT_STATE_DIR"]) / "service.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=env, stdout=out, stderr=out) as service,
    ):
        url = f"http://127.0.0.1:{env['OCTANT_PORT']}"
        try:
            wait_until_up(url + "/readyz", service, log)
            yield url, service.pid
        finally:
            service.terminate()
            service.wait(STOP_SECONDS)


def octant(env: Mapping[str, str], *arguments: str) -> str:
    """Run an operator's command; return its output."""
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


def _send(method: str, url: str, body: bytes | None = None) -> bytes:
    """One request to the control listener."""
    request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def set_up(env: Mapping[str, str]) -> str:
    """Schema, index, release, and a tenant that never reaches its caps. Returns a key."""
    octant(env, "setup")
    octant(env, "tenant", "create", "rehearsal", "--day", "1000000", "--user-day", "1000000")
    return octant(env, "key", "create", "rehearsal", "--name", "rehearsal", "--quiet")


def activate_shortened(env: dict[str, str]) -> None:
    """Put a release live that is like the newest one, with short timeouts."""
    folder = Path(env["OCTANT_STATE_DIR"]) / "releases"
    shutil.copytree("releases", folder)
    text = (folder / f"{fitting(folder)[-1]}.toml").read_text()
    for name, seconds in TIMEOUTS.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {seconds}", text, flags=re.MULTILINE)
    (folder / "short.toml").write_text(re.sub(r"^id = .*$", 'id = "short"', text, count=1, flags=re.MULTILINE))
    env["OCTANT_RELEASES_DIR"] = str(folder)
    octant(env, "release", "activate", "short", "--force", "--reason", "rehearsal")


@contextmanager
def _simulator() -> Generator[dict[str, int], None, None]:
    command = [sys.executable, "-m", "app.simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "{}")
        finally:
            process.terminate()


def wait_until_up(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Poll ``url`` until it answers. Ends everything with the end of ``log`` if the process dies or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit(f"The process did not become ready. Its log ends:\n{log.read_text()[-3000:]}")
