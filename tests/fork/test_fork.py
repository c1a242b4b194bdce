"""The worked example comes off in one piece: a copy of the tree without it is whole, serves, and is evaluated.

Run with `make fork-test`; `make test` leaves it out. It needs a git checkout, as a fork is one.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from fork.tree import BIN, committed, copied, environment

from kit.fork import EXAMPLE, LINE

pytestmark = [pytest.mark.fork, pytest.mark.timeout(1800)]

# A fork removes no more than this. Every further folder or line is one that a fork must know of.
MOST_FOLDERS, MOST_LINES = 3, 2
NAME = "meridian"  # longer than ours: lines grow

# Tests of everything that iterates over the products or reads their files, and one of each kind of proof. The rest knows no
# product: it can break by an import alone, which collecting every test finds. `FORK_TESTS=all` runs every test; the few
# that need the example are skipped there (`products.needs_example`).
GENERIC = (
    "tests/architecture",
    "tests/contract/test_erasure.py",
    "tests/contract/test_vendor_sdks.py",
    "tests/docs",
    "tests/extract",
    "tests/flow/test_commands.py",
    "tests/flow/test_jobs.py",
    "tests/flow/test_openapi.py",
    "tests/flow/test_service.py",
    "tests/unit/edge/test_idempotency.py",
    "tests/unit/evals",
    "tests/unit/features",
    "tests/unit/migrations",
    "tests/unit/releases",
    "tests/unit/simulator",
    "tests/unit/stack/test_demo_choices.py",
    "tests/unit/stack/test_preflight.py",
)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are now, in a git checkout of its own that `make fork` made a fork of."""
    folder = copied(tmp_path_factory.mktemp("fork"))
    committed(folder)
    if not (folder / EXAMPLE[0]).is_dir():  # this tree is a fork: what follows holds for it as it is
        return folder
    said = run(folder, sys.executable, "-m", "kit", "fork", NAME)
    assert f"octant becomes {NAME}" in said
    committed(folder)
    return folder


def run(fork: Path, *command: str) -> str:
    """Run a command in the fork, with this checkout's interpreter. Returns its output; fails the test on a non-zero exit."""
    done = subprocess.run(
        command, cwd=fork, env=environment(fork), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed in {fork}:\n{done.stdout[-6000:]}"
    return done.stdout


def test_the_example_is_at_most_three_folders_and_two_lines() -> None:
    assert len(EXAMPLE) <= MOST_FOLDERS
    assert LINE.count("\n") <= MOST_LINES


@pytest.mark.parametrize(
    "command",
    [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], ["lint-imports"]],
    ids=" ".join,
)
def test_every_check_passes_without_the_example(fork: Path, command: list[str]) -> None:
    """The four commands of `make check`."""
    listed = re.findall(
        r"^\t\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0], re.MULTILINE
    )
    assert " ".join(command) in listed
    run(fork, str(BIN / command[0]), *command[1:])


def test_every_test_that_is_left_can_be_collected(fork: Path) -> None:
    """None imports the example."""
    run(fork, sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")


def test_the_generic_tests_pass_without_the_example(fork: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The service starts, migrates, and answers both vendors' SDKs and the small product."""
    which = ("tests",) if os.environ.get("FORK_TESTS") == "all" else GENERIC
    pytest_ = (sys.executable, "-m", "pytest")
    try:
        run(fork, *pytest_, "-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *which)
    except AssertionError as failed:
        with capsys.disabled():
            sys.stdout.write(f"{failed}\nOnce more, alone: a busy machine fails a test that a quiet one does not.\n")
        run(fork, *pytest_, "-v", "--last-failed", "--last-failed-no-failures", "none", "--maxfail", "5", *which)


def test_the_small_suite_passes_the_gate_without_the_example(fork: Path) -> None:
    assert "extract" in run(fork, sys.executable, "-m", "evals", "gate")
