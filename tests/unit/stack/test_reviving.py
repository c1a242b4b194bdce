"""A part that ends is started again, and why it ended is one line."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from app.stack import reviving
from app.stack.reviving import IN_A_ROW, Revived

UP = "import time; print('up', flush=True); "
SLEEPS, ENDS = UP + "time.sleep(600)", UP + "raise SystemExit(7)"
STALLS = "import faulthandler, time; faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(600)"


@contextmanager
def revived(program: str, folder: Path) -> Iterator[Revived]:
    with Revived("part", [sys.executable, "-c", program], folder) as part:
        yield part


def ended(part: Revived) -> None:
    deadline = time.monotonic() + 120
    while part.part.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_part_that_was_killed_runs_again_until_the_end_of_the_block(tmp_path: Path) -> None:
    said: list[str] = []
    with revived(SLEEPS, tmp_path) as part:
        assert part.kept_alive(said.append)
        assert said == []
        first = part.part.pid
        os.kill(first, signal.SIGKILL)
        ended(part)
        assert part.kept_alive(said.append)
        assert part.part.pid != first
        assert part.part.alive()
    assert not part.part.alive()
    log = tmp_path / "logs" / "part.log"
    assert said == [f"part was killed, as when memory runs out; started again (1 of {IN_A_ROW} times). Its log: {log}"]


def test_a_part_that_stood_still_is_named_so_once(tmp_path: Path) -> None:
    said: list[str] = []
    with revived(STALLS, tmp_path) as part:
        ended(part)
        assert part.kept_alive(said.append)
        os.kill(part.part.pid, signal.SIGKILL)  # before its watchdog ends it: another reason
        ended(part)
        assert part.kept_alive(said.append)
    assert "part stood still (OCTANT_JOBS_STALL), as on an overloaded machine; started again (1 of" in said[0]
    assert "was killed" in said[1]


def test_a_part_that_ends_again_and_again_stays_ended_with_the_whole_log(tmp_path: Path) -> None:
    said: list[str] = []
    with revived(ENDS, tmp_path) as part:
        for _ in range(IN_A_ROW):
            ended(part)
            assert part.kept_alive(said.append)
        ended(part)
        assert not part.kept_alive(said.append)
        assert not part.kept_alive(said.append)
        assert part.part.log.read_text().count("up") == IN_A_ROW + 1
    assert len(said) == IN_A_ROW
    assert all("part ended with exit code 7; started again" in line for line in said)


def test_a_part_that_ran_for_a_while_begins_a_new_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviving, "STEADY_SECONDS", 0.0)
    said: list[str] = []
    with revived(ENDS, tmp_path) as part:
        for _ in range(IN_A_ROW + 2):
            ended(part)
            assert part.kept_alive(said.append)
    assert {line.partition("(")[2].partition(" ")[0] for line in said} == {"1"}
    assert not psutil.pid_exists(part.part.pid)
