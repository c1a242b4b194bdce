"""The files that a worker counts in, which its parent reads: a full disk costs numbers, and no worker.

The library maps files with holes. Where the disk has no block left for one, the first write to it ends the process (SIGBUS), and
that of each worker that follows. Here blocks are reserved before they are mapped; without them a value stays in its process.

A file that is removed under a worker, as by a cleaner of temporary folders, is made again with all that it held: else the worker
would count where its parent does not look, until the next start, and no alert could ring.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from app.domain.store_errors import why

SIZE = 64 * 1024  # the library's own, at first
CHECK_EVERY = 5.0  # seconds
OF_ENTRY = 64  # bytes of an entry besides its key, at most

log = logging.getLogger(__name__)


class Unshared:
    """Values of one kind that this process alone knows."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._values: dict[str, tuple[float, float]] = {}

    def read_value(self, key: str) -> tuple[float, float]:
        """Value and timestamp."""
        return self._values.get(key, (0.0, 0.0))

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep both."""
        self._values[key] = value, timestamp

    def close(self) -> None:
        """Nothing is open."""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._values)


class Reserved(MmapedDict):
    """A file of values, whose blocks are reserved. Raises OSError where there are none for its first values."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's
        """See `MmapedDict`."""
        self._unshared = Unshared()
        self._checked_at = time.monotonic()
        if not read_mode:
            number = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                _reserve(number, SIZE)
            finally:
                os.close(number)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    @property
    def is_whole(self) -> bool:
        """Whether the file has all values."""
        return not self._unshared

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + OF_ENTRY > self._capacity:  # the library doubles it
            _reserve(self._f.fileno(), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> tuple[float, float]:
        """See `MmapedDict`."""
        try:
            return super().read_value(key)  # type: ignore[no-any-return, no-untyped-call]
        except OSError:
            return self._unshared.read_value(key)

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """See `MmapedDict`. Once there is room, what was counted meanwhile is in the value."""
        try:
            self._make_again_if_removed()
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        except OSError:
            self._unshared.write_value(key, value, timestamp)

    def _make_again_if_removed(self) -> None:
        now = time.monotonic()
        if now < self._checked_at + CHECK_EVERY:
            return
        self._checked_at = now
        if os.fstat(self._f.fileno()).st_nlink:
            return
        path = Path(self._fname)
        path.parent.mkdir(parents=True, exist_ok=True)
        copy = path.with_suffix(".again")
        copy.write_bytes(self._m[:])
        copy.rename(path)
        again = Reserved(str(path))  # raises, for want of a descriptor, before the old one is closed
        again._unshared = self._unshared
        self.close()  # type: ignore[no-untyped-call]
        vars(self).update(vars(again))
        log.warning("the file of this worker's counts was removed, and is made again", extra={"file": path.name})


def _reserve(number: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(number, 0, size)


def _opened(filename: str) -> Reserved | Unshared:
    try:
        return Reserved(filename)
    except OSError as error:
        log.warning(
            "counts of this worker are not shown: no room for their file", extra={"file": Path(filename).name, **why(error)}
        )
        return Unshared()


def install() -> None:
    """Let the library open its files so. Repeating it changes nothing."""
    library: Any = values
    library.MmapedDict = _opened
