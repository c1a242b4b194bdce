"""Records on local disk while Postgres is away, and their way back (O7).

Each process appends to a file of its own, one redacted record a line, flushed to the disk before it counts as kept. A file is
locked (`flock`) by the process that writes it; the first process that finds an unlocked file brings it back, a dead worker's too.
Bringing back is safe to repeat: records go in under their ids, and those that are there already are passed over.

Appending and reading block: call them in a thread.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import IO

import msgspec

from app.domain import locked_files
from app.domain.records import CallRecord
from app.domain.store_errors import why

SUFFIX = ".jsonl"
FILE_BYTES = 16 << 20

log = logging.getLogger(__name__)


class SpillFullError(OSError):
    """The space that spilled records may take is used up."""


class Spill:
    """See the module."""

    def __init__(self, directory: Path, *, max_bytes: int = 1 << 30) -> None:
        """At most ``max_bytes`` in all files of ``directory``, which is made when first needed; 0 keeps nothing on disk."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._file: FileIO | None = None
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes of all files of all processes."""
        return sum(_size(path) for path in self._paths())

    def append(self, records: Sequence[CallRecord]) -> None:
        """Keep redacted records: all or none. Raises OSError, `SpillFullError` where the limit is reached."""
        data = b"".join(_line(record) for record in records)
        with self._lock:
            self._append(data)

    def _append(self, data: bytes) -> None:
        if self.size + len(data) > self._max_bytes:
            raise SpillFullError(f"{self._max_bytes:,} bytes of records wait on disk already")
        file = self._open()
        before = os.fstat(file.fileno()).st_size
        try:
            _write_whole(file, data)
            os.fsync(file.fileno())
        except OSError:
            self._file = None
            try:
                os.ftruncate(file.fileno(), before)
                file.close()
            except OSError as error:  # a torn line at the end is passed over when it is read
                log.warning("spill file not cut back", extra=why(error))
            raise
        if before + len(data) > FILE_BYTES:
            self._let_go()

    def close(self) -> None:
        """Let go of the file being written: from now on any process may bring it back."""
        with self._lock:
            if self._file:
                with contextlib.suppress(OSError):
                    self._open()  # a removed one
            self._let_go()

    def _let_go(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def claim(self) -> "SpillLease | None":
        """Lock the oldest file that no process writes or brings back, for us to bring back; None where there is none."""
        for path in sorted(self._paths(), key=_made):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # another process was faster
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            if path.exists():
                return SpillLease(path, file)
            file.close()
        return None

    def _open(self) -> FileIO:
        if self._file is None or locked_files.is_removed(self._file):
            file, path = locked_files.begin(self._directory, SUFFIX)
            try:
                if self._file:
                    _write_whole(file, locked_files.content(self._file))
                    log.warning("a file of records was removed, and is made again", extra={"file": path.name})
            except OSError:  # the removed one keeps them
                file.close()
                path.unlink(missing_ok=True)
                raise
            self._let_go()
            self._file = file
            directory = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(directory)  # the new file's name is on the disk too
            finally:
                os.close(directory)
        return self._file

    def _paths(self) -> list[Path]:
        return list(self._directory.glob(f"*{SUFFIX}"))


@dataclass(frozen=True, slots=True)
class SpillLease:
    """A file that this process alone brings back, until it closes or removes it."""

    path: Path
    file: IO[bytes]

    def read(self) -> tuple[list[CallRecord], int]:
        """Its records, and how many lines are none (a process died while it wrote)."""
        found = [_record(line) for line in self.file]
        records = [record for record in found if record is not None]
        return records, len(found) - len(records)

    def remove(self) -> None:
        """Every record of it is in Postgres."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


def _write_whole(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _line(record: CallRecord) -> bytes:
    """ASCII: half a surrogate pair survives as an escape."""
    return json.dumps(asdict(record), default=datetime.isoformat).encode() + b"\n"


def _record(line: bytes) -> CallRecord | None:
    try:
        return msgspec.convert(json.loads(line), CallRecord)
    except (ValueError, msgspec.ValidationError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
