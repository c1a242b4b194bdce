"""Alarms in files while Postgres is away: each in one of its own, kept until Postgres has it.

The file also says which receivers have the alarm already, so that it does not go out twice. One process at a time works through
the files of a state folder. Every method blocks on the disk: call them in a thread.
"""

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.oncall.paging.alarms import Alarm, as_json, from_json

FOLDER = "pages"  # in the state folder
SUFFIX = ".json"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Spooled:
    """One alarm in its file, and the receivers that have it."""

    path: Path
    alarm: Alarm
    sent: set[str] = field(default_factory=set)


class Spool:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when first needed."""
        self._folder = folder

    def add(self, alarm: Alarm) -> None:
        """Keep an alarm; it is on the disk when this returns. Raises OSError."""
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(Spooled(self._folder / name, alarm))

    def waiting(self) -> int:
        """How many alarms wait."""
        return len(self._paths())

    def holds(self, key: str) -> bool:
        """Whether an alarm of this group waits."""
        return any(one.alarm.key == key for one in self.read())

    def read(self) -> list[Spooled]:
        """The alarms in the order in which they came. A file that is none is set aside, and logged."""
        return [found for path in self._paths() if (found := self._read(path))]

    def mark(self, spooled: Spooled) -> None:
        """Keep the receivers that have it by now. Raises OSError."""
        self._write(spooled)

    def remove(self, spooled: Spooled) -> None:
        """Forget an alarm that Postgres has."""
        spooled.path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Generator[bool, None, None]:
        """Whether this process may work through the files until the end of the block."""
        if not self._paths():
            yield False
            return
        with (self._folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _paths(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return sorted(path for path in self._folder.iterdir() if path.suffix == SUFFIX)
        return []

    def _read(self, path: Path) -> Spooled | None:
        try:
            stored = json.loads(path.read_text())
            return Spooled(path, from_json(stored["alarm"]), set(stored["sent"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            what = {"file": path.name, "error_type": type(error).__name__}
            log.warning("a spooled page is not readable, set aside", extra=what)
            path.rename(path.with_suffix(".bad"))
            return None

    def _write(self, spooled: Spooled) -> None:
        """Write whole or not at all: to another name first."""
        draft = spooled.path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"alarm": as_json(spooled.alarm), "sent": sorted(spooled.sent)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(spooled.path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
