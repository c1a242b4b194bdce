"""A service to evaluate, started for the run: the embedded default with the simulator, or with real models behind its URLs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from evals.harness import Service, Unreachable

START_SECONDS = 90.0  # a first start on a slow machine; measured 5 s
STOP_SECONDS = 30.0


@contextmanager
def running() -> Generator[tuple[Service, str], None, None]:
    """Run `octant demo` in a folder of its own until the end of the block. Yields the service and a label of what answers.

    A fresh folder each time: cases cancel orders, and a run must not see what an earlier one did. Raises Unreachable if the
    service does not start.
    """
    with tempfile.TemporaryDirectory(prefix="octant-evals-") as name:
        notice = Path(name) / "ready.json"
        env = {**os.environ, "OCTANT_STATE_DIR": name, "OCTANT_PORT": "0", "OCTANT_METRICS_PORT": "0"}
        command = [sys.executable, "-m", "app.cli", "demo", "--quiet", "--notice", str(notice)]
        # A session of its own: Ctrl-C reaches us alone, and we stop it in order.
        with subprocess.Popen(command, env=env, stdout=sys.stderr, start_new_session=True) as process:
            try:
                yield _wait(notice, process)
            finally:
                _stop(process)


def _wait(notice: Path, process: "subprocess.Popen[bytes]") -> tuple[Service, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if told := _read(notice):
            return Service(told["url"], told["key"]), told["label"]
        try:
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise Unreachable(f"the service did not start: exit code {code}")
    raise Unreachable(f"the service did not start within {START_SECONDS:.0f} s")


def _read(notice: Path) -> dict[str, str] | None:
    """The notice once it is there as a whole."""
    try:
        told: dict[str, str] = json.loads(notice.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return told


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
