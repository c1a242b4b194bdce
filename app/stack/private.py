"""Keeps the state folder private: logs, the append-only file and spilled records hold callers' texts."""

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
READ_BY_OTHERS = 0o066  # to pass through stays: started by root, Postgres runs as another user and must reach its folder
POSTGRES = "postgres"  # keeps its own folder at 0700, and may be another user's


def keep_private(folder: Path) -> None:
    """Make new files readable by their owner alone, and those that an earlier version left in ``folder``."""
    os.umask(OTHERS)
    if not folder.exists():
        return
    _take_away(folder, READ_BY_OTHERS)
    for place in folder.iterdir():
        if place.name == POSTGRES or place.is_symlink():
            continue
        for path in (place, *(place.rglob("*") if place.is_dir() else ())):
            if not path.is_symlink():
                _take_away(path, OTHERS)


def _take_away(path: Path, rights: int) -> None:
    with suppress(FileNotFoundError):  # gone meanwhile
        about = path.stat()
        if about.st_mode & rights and about.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(about.st_mode) & ~rights)
