"""Where tests keep temporary files: in memory, if there is room."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE
from typing import IO

import psutil

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, in which each user of it makes folders of its own
ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60.0  # for a start of Python
ROOM = 4 << 30  # bytes; a whole run with its stores takes less than two GB
MOST_OF_MEMORY = 0.5  # that the room may be of what is free
_OPEN: list[IO[bytes] | None] = []  # what closes with this process


def in_memory() -> None:
    """Let this process and those that it starts make temporary files in memory, unless TMPDIR says where.

    Tests make and drop hundreds of databases. On a disk a sixth of the CPU of such tests is the file system's.
    """
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # chosen again when next asked for


def swept() -> None:
    """Give this process a folder for its temporary files and stores, from which all is removed when it is gone, even killed."""
    if _OPEN:
        return
    folder = tempfile.mkdtemp(prefix="octant-run-")
    command = [sys.executable, str(ROOT / "tests" / "sweeper.py"), folder]
    waiting = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=PIPE, start_new_session=True)
    _OPEN.append(waiting.stdin)
    waiting.wait(SECONDS)  # for the first process alone; the second one waits for our end
    tempfile.tempdir = folder


def _has_room() -> bool:
    """Whether files fit and programs run there: a container's is small, and runs none."""
    try:
        flags, free = os.statvfs(MEMORY).f_flag, shutil.disk_usage(MEMORY).free
    except OSError:
        return False
    runs = not flags & os.ST_NOEXEC and os.access(MEMORY, os.W_OK | os.X_OK)
    return runs and free >= ROOM and psutil.virtual_memory().available * MOST_OF_MEMORY >= ROOM
