"""Plays game days one after the other, each on a service of its own: the one whose turn it is, those that are named, or all.

The turn goes on with every commit, so some days of changes play every scenario. A game day that is not judged, because the
machine was too busy, is played once more. Exit code 1 if a hypothesis did not hold or the tool failed, 3 if one was not judged.

    python -m benchmarks.gamedays --all
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from app.domain.errors import Misconfigured
from app.oncall.runbook.pages import FOLDER
from app.stack.baseline import Verdict
from app.stack.gameday.scenario import names

PLAY = (sys.executable, "-m", "app.cli", "drill", "gameday")
NOT_JUDGED = Verdict.NOT_JUDGED.exit_code


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="scenarios; left out: the one whose turn it is")
    parser.add_argument("--all", action="store_true", help="every scenario, about a minute and a half each")
    arguments = parser.parse_args()
    known = names(FOLDER)
    wanted = known if arguments.all else arguments.names or [whose_turn(known, _commits())]
    print(f"{'scenario':24} {'exit code':>9} {'seconds':>8}", flush=True)
    codes = [_played(name) for name in wanted]
    sys.exit(worst(codes))


def whose_turn(known: Sequence[str], commits: int) -> str:
    """The scenario that a checkout with so many commits plays."""
    return known[commits % len(known)]


def worst(codes: Sequence[int]) -> int:
    """The exit code of all: a failure before a day that was not judged."""
    return 1 if set(codes) - {0, NOT_JUDGED} else max(codes, default=0)


def _commits() -> int:
    """The number of commits. Raises Misconfigured without a repository: then name a scenario."""
    command = ["git", "rev-list", "--count", "HEAD"]
    try:
        return int(subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        said = "Whose turn it is follows from the number of commits, and this is no git checkout. Name a scenario."
        raise Misconfigured(said) from None


def _played(name: str, *, again: bool = True) -> int:
    began = time.monotonic()
    done = subprocess.run([*PLAY, name], capture_output=True, text=True, check=False)
    print(f"{name:24} {done.returncode:>9} {time.monotonic() - began:>8.0f}", flush=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", flush=True)
    if done.returncode == NOT_JUDGED and again:
        return _played(name, again=False)
    return done.returncode


if __name__ == "__main__":
    try:
        main()
    except Misconfigured as error:
        sys.exit(str(error))
