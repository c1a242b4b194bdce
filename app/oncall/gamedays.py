"""The game day that is being played on this machine: one at a time, with its lines as they happen.

Its process holds a lock on a file of the state folder, so that its end, also by ``kill -9``, is known at once (flock(2)).
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from app.domain.errors import Misconfigured

FOLDER = "gameday"  # in the state folder; the reports are there, too
FILE = "playing.jsonl"
MOST_BYTES = 200_000
REVOKED_WITHIN = 5.0  # seconds from the write of a key's revocation until every worker refuses it, as the threat model promises
TAKEN = "A game day is already being played here; `/console/gameday` shows it. Wait for its end, or stop it."


@dataclass(frozen=True, slots=True)
class Line:
    """An event. ``at``: seconds from the fault's begin, None before it."""

    words: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Playing:
    """A game day under way. ``pid``: its process, on this machine."""

    scenario: str
    begun_at: datetime
    pid: int
    lines: tuple[Line, ...]


@contextmanager
def playing(state_dir: Path, scenario: str) -> Iterator[Callable[[Line], None]]:
    """Be the game day of this machine until the block ends. Yields what writes a line. Raises Misconfigured beside another."""
    path = state_dir / FOLDER / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        _take(file)
        file.truncate(0)
        _write(file, {"scenario": scenario, "begun_at": datetime.now(UTC).isoformat(), "pid": os.getpid()})
        yield lambda line: _write(file, {"words": line.words, "at": line.at})


def played_now(state_dir: Path) -> Playing | None:
    """The game day that is being played here. None: none is."""
    try:
        with (state_dir / FOLDER / FILE).open("rb") as file:
            if not _held(file):
                return None
            first, *rest = (json.loads(line) for line in file.read(MOST_BYTES).splitlines() if line.endswith(b"}"))
        lines = tuple(Line(str(one["words"]), one["at"]) for one in rest)
        return Playing(str(first["scenario"]), datetime.fromisoformat(first["begun_at"]), int(first["pid"]), lines)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _take(file: IO[str]) -> None:
    """Take the lock. A reader holds a shared one for a moment, so this tries for a second."""
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise Misconfigured(TAKEN)


def _held(file: IO[bytes]) -> bool:
    """Whether a process holds the lock. Asks for a shared one, which another reader does not keep from us."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _write(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    file.flush()
