"""Starts a service to evaluate for the run.

It is the embedded default with the simulator, or with real models behind its URLs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evals.client import Service, Unreachable

START_SECONDS = 90.0  # a first start on a slow machine; measured 5 s
STOP_SECONDS = 30.0
TENANT = "evals"
CAP = "10.00"  # dollars a run may spend, by the service's own budget: over it every call is refused, and the run breaks off


@contextmanager
def running(extra: Mapping[str, str] | None = None, *, cap: str = CAP) -> Generator[tuple[Service, str], None, None]:
    """Run `octant demo` in a folder of its own.

    It ends with the block. Yields the service and a label of its models.

    A fresh folder each time: cases cancel orders, and a run must not see what an earlier one did. ``extra`` goes into its
    environment. Raises Unreachable if the service does not start.
    """
    with tempfile.TemporaryDirectory(prefix="octant-evals-") as folder:
        notice = Path(folder) / "ready.json"
        caps = {"OCTANT_DEMO_TENANT": TENANT, "OCTANT_DEMO_DAILY_CAP": cap, "OCTANT_DEFAULT_USER_DAILY_CAP": cap}
        ports = dict.fromkeys(("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT"), "0")
        env = {**os.environ, **caps, "OCTANT_STATE_DIR": folder, **ports, **(extra or {})}
        command = [sys.executable, "-m", "app.cli", "demo", "--quiet", "--notice", str(notice)]
        # A session of its own: Ctrl-C reaches us alone, and we stop it in order.
        with subprocess.Popen(command, env=env, stdout=sys.stderr, start_new_session=True) as process:
            try:
                yield _wait(notice, process)
            finally:
                _stop(process)


@contextmanager
def simulator() -> Generator[dict[str, str], None, None]:
    """The provider simulator alone. Yields its base URLs by vendor."""
    command = [sys.executable, "-m", "app.simulator", "--openai-port", "0", "--anthropic-port", "0", "--control-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise Unreachable("the simulator did not start")
            ports = json.loads(line)
            yield {"openai": f"http://127.0.0.1:{ports['openai']}/v1", "anthropic": f"http://127.0.0.1:{ports['anthropic']}"}
        finally:
            _stop(process)


def _wait(notice: Path, process: "subprocess.Popen[bytes]") -> tuple[Service, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready := _read(notice):
            return Service(ready["url"], ready["key"], _control(notice.parent)), ready["label"]
        try:
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise Unreachable(f"the service did not start: exit code {code}")
    raise Unreachable(f"the service did not start within {START_SECONDS:.0f} s")


def _control(folder: Path) -> str:
    """The control endpoint of the simulator in this state folder; empty where none runs."""
    try:
        ports = json.loads((folder / "simulator.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return f"http://127.0.0.1:{ports['control']}"


def _read(notice: Path) -> dict[str, str] | None:
    """The notice once it is there as a whole."""
    try:
        ready: dict[str, str] = json.loads(notice.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return ready


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
