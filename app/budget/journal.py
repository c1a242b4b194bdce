"""A local file of a worker's holds, if worker and Valkey's data are lost together.

A live worker sends its calls to a rebuilt Valkey itself. A killed worker cannot: its file lists its holds, and its settlements of
the last moments. Each worker on the machine sends the entries in the files of dead ones. A known lease counts once, as long as
Valkey or the ledger remembers it; older lines are skipped, and files without newer ones are removed.

A line is written to the system's cache, not to the disk: it survives the process, but not the machine.
"""

import fcntl
import json
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from app.budget.hold import LEASE_MARGIN, REMEMBERED, Hold
from app.budget.scopes import DAY_SECONDS, key
from app.domain import locked_files
from app.domain.json_text import compact
from app.domain.store_errors import why

FOLDER = "holds"
SUFFIX = ".holds"
FILE_BYTES = 4 << 20
RECENT_SECONDS = 30.0  # settlements this recent go into a new file too: the ledger may not have them yet
MOST_SETTLED = 2000
TRY_AGAIN = CHECK_EVERY = 1.0
RESENT_SECONDS = 300.0  # older settlements and ends are in the ledger; it and Valkey remember them for ten minutes at least
SCOPES = slice(6, 14)  # limits and seconds of the scopes among the arguments of ``hold.lua``

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A dead worker's lease: the keys and arguments of ``hold.lua``, or of ``settle.lua`` where it was ``settled``."""

    shard: int
    settled: bool
    keys: Sequence[str]
    arguments: Sequence[Any]


class Journal:
    """The file of this process. Nothing here raises: a full disk costs the second memory, but no call."""

    def __init__(self, directory: Path) -> None:
        """Write nothing yet."""
        self._directory = directory
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._open: dict[str, bytes] = {}
        self._settled: deque[tuple[float, bytes]] = deque(maxlen=MOST_SETTLED)
        self._room = 0
        self._quiet_until = self._checked_at = 0.0
        self._bytes = 0

    def held(self, hold: Hold) -> None:
        """Note that a lease was taken, or holds more."""
        ends = time.time() + hold.seconds + LEASE_MARGIN
        arguments = hold.take_arguments(hold.amount, 0, limited=False, forced=True)
        line = [hold.lease_id, hold.shard, ends, hold.take_keys(limited=False), arguments]
        self._open[hold.lease_id] = text = compact(line) + b"\n"
        self._write(text)

    def settled(self, holds: Sequence[Hold]) -> None:
        """Note that leases are settled in Valkey; the ledger may get them a moment later."""
        now, lines = time.time(), []
        for hold in holds:
            if taken := self._open.pop(hold.lease_id, None):
                text = compact([hold.lease_id, now, hold.spent]) + b"\n"
                self._settled.append((now, taken + text))
                lines.append(text)
        if lines:
            self._write(b"".join(lines))

    def close(self, unsettled: Sequence[Hold] = ()) -> None:
        """Close the file, and remove it if it lists no hold and no recent settlement.

        ``unsettled``: calls that are over, and that Valkey has not heard of. The next worker of this machine settles them.
        """
        self.settled(unsettled)
        if self._file:
            self._file.close()
        if self._path and not self._open and not self._recent():
            self._path.unlink(missing_ok=True)
        self._file = self._path = None

    def orphans(self) -> list[Orphan]:
        """The leases in the files of dead processes. Reads files: call it in a thread."""
        found: list[Orphan] = []
        for path in self._directory.glob(f"*{SUFFIX}"):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # its process holds it alone, while it lives
                    leases = _read(file.read())
            except OSError:
                continue
            if leases:
                found += leases
            else:
                path.unlink(missing_ok=True)
        return found

    def _recent(self) -> list[bytes]:
        since = time.time() - RECENT_SECONDS
        return [text for at, text in self._settled if at > since]

    def _write(self, text: bytes) -> None:
        if time.monotonic() < self._quiet_until:
            return
        try:
            if self._file is None or self._bytes > self._room or self._is_removed():
                self._begin()
            elif self._file.write(text) == len(text):
                self._bytes += len(text)
            else:
                self._room = -1  # a torn line: begin a new file
        except OSError as error:
            log.warning("holds are not written down", extra=why(error))
            self._room, self._quiet_until = -1, time.monotonic() + TRY_AGAIN  # then a new file holds all that counts

    def _is_removed(self) -> bool:
        now, checked = time.monotonic(), self._checked_at
        if self._file is None or now < checked + CHECK_EVERY:
            return False
        self._checked_at = now
        return locked_files.is_removed(self._file)

    def _begin(self) -> None:
        """Begin a new file with the lines that still count, the newest included; the old file is then of no use."""
        file, path = locked_files.begin(self._directory, SUFFIX)
        text = b"".join((*self._open.values(), *self._recent()))
        try:
            if file.write(text) != len(text):
                raise OSError("the disk is full")  # noqa: TRY301 - as a write that fails whole says it
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        old, old_file = self._path, self._file
        self._path, self._file = path, file
        self._bytes, self._room = len(text), len(text) + FILE_BYTES
        if old_file:
            old_file.close()
        if old:
            old.unlink(missing_ok=True)


def _read(text: bytes) -> list[Orphan]:
    takes: dict[str, tuple[int, float, list[str], list[Any]]] = {}
    settled: dict[str, tuple[float, int]] = {}
    for line in text.splitlines():
        try:
            lease, *values = json.loads(line)
        except ValueError:
            continue  # torn: its process died while it wrote
        if len(values) == 2:
            settled[lease] = values[0], values[1]
        else:
            takes[lease] = values[0], values[1], values[2], values[3]
    since = time.time() - RESENT_SECONDS
    found: list[Orphan] = []
    for lease, (shard, ends, keys, arguments) in takes.items():
        at, spent = settled.get(lease, (ends, -1))
        if at < since:
            continue
        if spent < 0:
            found.append(Orphan(shard, settled=False, keys=keys, arguments=arguments))
        else:
            settling = [spent, lease, arguments[5], REMEMBERED, 0, *arguments[SCOPES], DAY_SECONDS, 0]
            found.append(Orphan(shard, settled=True, keys=[*keys, key(shard, "ledger")], arguments=settling))
    return found
