"""Files of one process, by whose lock (flock(2)) others know that it lives.

A file gets the name by which others find it once it is locked. Else one that looks between its making and its locking takes it
for a dead process's, finds it empty, and removes it; what is written then is in no file.
"""

import fcntl
import os
import uuid
from io import FileIO
from pathlib import Path

BEGUN = ".begun"


def begin(folder: Path, suffix: str) -> tuple[FileIO, Path]:
    """Make a file in ``folder`` to append to, locked, that only its user may read. Raises OSError.

    It has no buffer: what one still held would be written when the file is closed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{uuid.uuid4().hex}{BEGUN}"
    file = FileIO(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600), "ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file, path.rename(path.with_suffix(suffix))
    except OSError:
        file.close()
        path.unlink(missing_ok=True)
        raise


def content(file: FileIO) -> bytes:
    """All that a file of `begin` holds, also once it is removed. Raises OSError."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def is_removed(file: FileIO) -> bool:
    """Whether no name leads to an open file any more: a cleaner of temporary folders, or a hand, has removed it."""
    return os.fstat(file.fileno()).st_nlink == 0
