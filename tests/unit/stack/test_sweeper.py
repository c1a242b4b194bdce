"""A test run that is killed leaves no store and no file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

PROGRAM = """
import tempfile, time
from temporary import swept
swept()
from app.stack.embedded import embedded_postgres, embedded_valkey
with embedded_valkey(None), embedded_postgres(None):
    print(tempfile.gettempdir(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_stores_of_a_killed_run_are_stopped_and_its_files_removed(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT / "tests", env=environment(), stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().decode().strip())
        stores = psutil.Process(run.pid).children()
        assert sorted(store.name() for store in stores) == ["postgres", "valkey-server"]
        run.send_signal(number)
    deadline = time.monotonic() + 120
    while folder.exists() or any(store.is_running() and store.status() != psutil.STATUS_ZOMBIE for store in stores):
        assert time.monotonic() < deadline, [store.name() for store in stores if store.is_running()]
        time.sleep(0.05)


def environment() -> dict[str, str]:
    """That of this process, with the folders of our modules."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
