"""Child processes of a run, and left-overs of a killed one, are stopped."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.domain.errors import Misconfigured
from app.stack import interrupts
from app.stack.processes import child, stop_left_overs, wait_for

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
FAMILY = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('up', flush=True); time.sleep(600)"  # noqa: E501 - a program


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def note_of(folder: Path, text: str) -> Path:
    note = folder / "run" / "part.json"
    note.parent.mkdir()
    note.write_text(text)
    return note


def test_a_child_is_up_within_its_block_and_gone_after_it_with_its_note(tmp_path: Path) -> None:
    with child("part", SLEEP, tmp_path) as part:
        assert wait_for(part.log, part, 120) == "up"
        assert part.alive()
        assert json.loads((tmp_path / "run/part.json").read_text())["pid"] == part.pid
    assert not part.alive()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    with child("part", [sys.executable, "-c", STUBBORN], tmp_path, stop_seconds=0.2) as part:
        wait_for(part.log, part, 120)
    assert not part.alive()


def test_a_child_that_drains_is_hurried_by_a_second_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drains = "import sys; " + STUBBORN.replace("print(", "signal.signal(signal.SIGINT, lambda *_: sys.exit(0)); print(")
    with child("part", [sys.executable, "-c", drains], tmp_path, stop_seconds=600) as part:
        wait_for(part.log, part, 120)
        monkeypatch.setattr(interrupts._Gate, "repeated", True)
    assert part.process
    assert part.process.returncode == 0


def test_the_children_of_a_child_that_was_killed_go_too(tmp_path: Path) -> None:
    with child("part", [sys.executable, "-c", FAMILY], tmp_path) as part:
        wait_for(part.log, part, 120)
        (grandchild,) = psutil.Process(part.pid).children()
        psutil.Process(part.pid).kill()
    deadline = time.monotonic() + 120
    while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_child_that_dies_at_its_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with child("part", command, tmp_path) as part, pytest.raises(Misconfigured, match="no such luck"):
        wait_for(tmp_path / "never", part, 120)


def test_a_program_that_does_not_exist_leaves_no_note(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), child("part", ["/nonexistent/program"], tmp_path):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_left_overs_of_a_killed_run_are_stopped(tmp_path: Path, stranger: "subprocess.Popen[bytes]") -> None:
    note = note_of(tmp_path, json.dumps({"pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time()}))
    assert stop_left_overs(tmp_path) == ["part"]
    assert stranger.poll() is not None
    assert not note.exists()


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the system notes the time of day of a start")
@pytest.mark.parametrize("step", [-3600.0, -1.0, 1.0])
def test_a_clock_that_is_set_hides_no_process_of_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """The kernel moves the boot's time of day with the clock."""
    booted = psutil.boot_time()
    with child("part", SLEEP, tmp_path) as part:
        wait_for(part.log, part, 120)
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + step)
        assert stop_left_overs(tmp_path) == ["part"]
        assert not part.alive()


@pytest.mark.parametrize(
    "text", ['{"pid": %d, "started": 1.0}', '{"pid": %d}', '{"pid": ', "", '{"pid": 4194304, "started": 1.0}']
)
def test_a_note_that_names_another_process_or_is_broken_stops_no_process(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]", text: str
) -> None:
    """A process id is used again; the start time tells one from another."""
    note = note_of(tmp_path, text.replace("%d", str(stranger.pid)))
    assert stop_left_overs(tmp_path) == []
    assert stranger.poll() is None
    assert not note.exists()
