"""Which game days a change plays, and what their exit codes make together."""

import subprocess
import sys

import pytest
from conftest import ROOT

from app.oncall.runbook.pages import FOLDER
from app.stack.gameday.scenario import names
from benchmarks.gamedays import whose_turn, worst


def test_every_scenario_has_its_turn() -> None:
    known = names(FOLDER)
    assert {whose_turn(known, commits) for commits in range(100, 100 + len(known))} == set(known)


@pytest.mark.parametrize(
    ("codes", "together"), [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([4, 0], 1), ([0, 2], 1), ([], 0), ([-9], 1)]
)
def test_a_failure_counts_before_a_day_that_was_not_judged(codes: list[int], together: int) -> None:
    assert worst(codes) == together


def test_an_unknown_scenario_fails_and_says_so() -> None:
    command = [sys.executable, "-m", "benchmarks.gamedays", "no-such-day"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "no-such-day" in done.stdout
