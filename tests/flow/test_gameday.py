"""A command that rehearses on a service of its own, killed: nothing of that service stays (X2)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest
from conftest import ROOT, START_SECONDS

from app.features.installed import installed
from app.oncall.gamedays import played_now

STOP = 120.0
STORES = {"postgres", "valkey-server"}
pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """For state and temporary files. Not pytest's own: as root, Postgres runs as another user and needs access."""
    found = Path(mkdtemp(prefix="octant-killed-")).resolve()
    yield found
    for process in processes_in(found):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    subprocess.run(["rm", "-rf", found], check=True)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Everything that runs for a stack in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            about = " ".join([*process.cmdline(), process.environ().get("TMPDIR", ""), process.cwd()])
            if str(folder) in about and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def names_in(folder: Path) -> set[str]:
    """Their names, of those that still run."""
    found = set()
    for process in processes_in(folder):
        with suppress(psutil.Error):
            found.add(process.name())
    return found


def left_in(folder: Path) -> list[psutil.Process | Path]:
    """What still runs or lies there; the claims of ports stay, of whichever run."""
    return [*processes_in(folder), *(path for path in folder.glob("octant-*") if "octant-ports-" not in path.name)]


def about(left: psutil.Process | Path) -> str:
    """A folder, or a process with its command."""
    if isinstance(left, Path):
        return str(left)
    with suppress(psutil.Error):
        return f"{left.pid} {left.status()} {' '.join(left.cmdline())}"
    return f"{left.pid} has ended"


SERVES, WORKS = (
    "octant-*/run/service.json",
    "octant-*/**/features",
)  # what is in the folder once its service runs, or it is at work
COMMANDS = {
    "gameday": (["drill", "gameday", "provider-outage"], SERVES),
    "rehearse": (["rehearse", "--no-log"], SERVES),
    "rehearse at work": (["rehearse", "--no-log"], WORKS),
}
if any(feature.drill for feature in installed()):
    COMMANDS["injection"] = (["drill", "injection", "--vector", "every"], SERVES)


@pytest.mark.parametrize(("command", "sign"), COMMANDS.values(), ids=COMMANDS)
def test_a_killed_rehearsal_leaves_no_process_and_no_folder(folder: Path, command: list[str], sign: str) -> None:
    """By SIGKILL, which nothing can catch, once its service and stores run, or once it is at work."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
    env = {**kept, "OCTANT_STATE_DIR": str(folder / "state"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "app.cli", *command]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        starts_until = time.monotonic() + START_SECONDS
        while not (list(folder.glob(sign)) and names_in(folder) >= STORES):
            assert time.monotonic() < starts_until, "it did not start"
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()  # to its end: no part holds the output of a command that is gone
    assert played_now(folder / "state") is None, "the next one can be played at once"
    ends = time.monotonic() + STOP
    while left := left_in(folder):
        assert time.monotonic() < ends, [about(each) for each in left]
        time.sleep(0.2)
