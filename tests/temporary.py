"""Where tests keep temporary files: in memory, if there is room."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, in which each user of it makes folders of its own
ROOM = 4 << 30  # bytes; a whole run with its stores takes less than two GB
MOST_OF_MEMORY = 0.5  # that the room may be of what is free


def in_memory() -> None:
    """Let this process and those that it starts make temporary files in memory, unless TMPDIR says where.

    Tests make and drop hundreds of databases. On a disk a sixth of the CPU of such tests is the file system's.
    """
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # chosen again when next asked for


def _has_room() -> bool:
    """Whether files fit and programs run there: a container's is small, and runs none."""
    try:
        flags, free = os.statvfs(MEMORY).f_flag, shutil.disk_usage(MEMORY).free
    except OSError:
        return False
    runs = not flags & os.ST_NOEXEC and os.access(MEMORY, os.W_OK | os.X_OK)
    return runs and free >= ROOM and psutil.virtual_memory().available * MOST_OF_MEMORY >= ROOM
