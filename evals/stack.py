"""A service to evaluate, started for the run: the embedded default with the simulator, or with real models behind its URLs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from evals.harness import Service


@contextmanager
def running() -> Generator[tuple[Service, str], None, None]:
    """Run `octant demo` in a folder of its own until the end of the block. Yields the service and a label of what answers."""
    with tempfile.TemporaryDirectory(prefix="octant-evals-") as name:
        folder = Path(name)
        env = {**os.environ, "OCTANT_STATE_DIR": name, "OCTANT_PORT": "0", "OCTANT_METRICS_PORT": "0"}
        command = [sys.executable, "-m", "app.cli", "demo", "--quiet", "--notice", str(folder / "ready.json")]
        with subprocess.Popen(command, env=env, stdout=sys.stderr, start_new_session=True) as process:
            try:
                yield _wait(folder / "ready.json", process)
            finally:
                process.terminate()
                process.wait(60)


def _wait(notice: Path, process: "subprocess.Popen[bytes]") -> tuple[Service, str]:
    while process.poll() is None:
        if notice.exists():
            told = json.loads(notice.read_text())
            return Service(told["url"], told["key"]), told["label"]
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"the service did not start (exit code {process.returncode})")
