"""Postgres's last answers in a small local file: for a worker that starts while Postgres is away.

A file is signed with the service's secret, readable by its owner alone, and believed for a limited time. Nothing here raises: a
file that cannot be written or believed is as good as none.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.domain.store_errors import why

FOLDER = "remembered"
LOCK_SECONDS = 1.0
REWRITE_EVERY = 60.0  # seconds: what did not change is confirmed this often

log = logging.getLogger(__name__)


class Remembered:
    """One JSON value, with the time at which it was last known to be true."""

    def __init__(self, path: Path, *, secret: bytes, seconds: float) -> None:
        """``secret``: the service's; a key of its own is derived. The value is believed for ``seconds``."""
        self._path = path
        self._key = hmac.digest(secret, b"octant remembered " + path.name.encode(), hashlib.sha256)
        self._seconds = seconds
        self._written: tuple[float, str] = (-REWRITE_EVERY, "")

    @property
    def due(self) -> bool:
        """Return whether the file has to be written again."""
        return time.monotonic() - self._written[0] >= REWRITE_EVERY

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Keep this machine's other processes from writing meanwhile: a second at most, then as if there were no lock."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            yield  # nothing can be written here either
            return
        try:
            ends = time.monotonic() + LOCK_SECONDS
            while not _took(handle) and time.monotonic() < ends:
                time.sleep(0.01)
            yield
        finally:
            os.close(handle)

    def write(self, value: Any) -> None:  # noqa: ANN401 - any JSON document
        """Keep a value that is true now. Several processes may write; the last one stays."""
        text, now = json.dumps(value), time.monotonic()
        if text == self._written[1] and not self.due:
            return
        body = json.dumps({"at": time.time(), "value": text}).encode()
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(self._sign(body) + b"\n" + body)
            new.replace(self._path)
        except OSError as error:
            log.warning("not remembered", extra={"file": self._path.name, **why(error)})
        else:
            self._written = now, text

    def read(self) -> Any | None:  # noqa: ANN401 - any JSON document
        """The value, or None where there is none, it is too old, or another secret signed it."""
        try:
            signed, _, body = self._path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if not hmac.compare_digest(signed, self._sign(body)):
            log.warning("a remembered file is not ours", extra={"file": self._path.name})
            return None
        held = json.loads(body)
        if not 0 <= time.time() - held["at"] <= self._seconds:
            return None
        return json.loads(held["value"])

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest().encode()


def _took(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
