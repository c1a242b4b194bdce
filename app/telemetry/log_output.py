"""Standard output that keeps no request waiting.

A pipe or socket takes no more once its reader falls behind: a container runtime's log driver, a journal on a slow disk. A plain
write would then hold the event loop, and with it all calls and the liveness probe, until the reader goes on. Here lines wait in
memory up to a limit; beyond it they are lost, counted, and the count is written as soon as there is room.
"""

import json
import os
import select
import socket
import stat
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

MOST_WAITING = 1 << 20  # bytes, in each process
STDOUT = 1
Send = Callable[[bytes], int]  # raises BlockingIOError where nothing is taken now


class Unhurried:
    """Writes text to a descriptor: what is not taken at once waits here."""

    def __init__(self, number: int, *, most: int = MOST_WAITING) -> None:
        """``most`` bytes wait; more are lost."""
        self._send, self.close = _sender(number)
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._owner = os.getpid()

    def write(self, text: str) -> None:
        """Take one line or more. They are sent by the next `flush`."""
        if self._owner != os.getpid():  # a fork: what waits is the parent's to write
            self._owner, self._lost = os.getpid(), 0
            self._forget()
        if self._size >= self._most:
            self._lost += 1
            return
        self._add(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Send what is taken now. Raises OSError where writing fails; what waited is lost then.

        A reader that left is no failure.
        """
        try:
            self._drain()
            if self._lost and not self._waiting:
                self._add(_notice(self._lost))
                self._lost = 0
                self._drain()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._forget()
        except OSError:
            self._forget()
            raise

    def _drain(self) -> None:
        """One line at a time: the system takes a short one whole or not at all, so that processes do not mix theirs."""
        while self._waiting:
            line = self._waiting[0]
            sent = self._send(line)
            self._size -= sent
            if sent == len(line):
                self._waiting.popleft()
            else:
                self._waiting[0] = line[sent:]

    def _add(self, line: bytes) -> None:
        self._waiting.append(line)
        self._size += len(line)

    def _forget(self) -> None:
        self._waiting.clear()
        self._size = 0


def standard_output() -> Any:  # noqa: ANN401 - a stream of text, ours or Python's
    """The stream for log lines: ours, unless something else stands in for the process's standard output."""
    stream: TextIO | None = sys.stdout
    try:
        if stream is None or stream.fileno() != STDOUT:
            return stream
        stream.flush()
        return Unhurried(STDOUT)
    except (OSError, ValueError):  # no descriptor, as that of a test
        return stream


def _sender(number: int) -> tuple[Send, Callable[[], None]]:
    """How to send, and how to let go of what that takes."""
    mode = os.fstat(number).st_mode
    if stat.S_ISSOCK(mode):  # the journal
        connection = socket.socket(fileno=os.dup(number))
        return lambda line: connection.send(line, socket.MSG_DONTWAIT), connection.close
    if stat.S_ISFIFO(mode) and sys.platform == "linux":
        with suppress(OSError):  # opened anew, it need not wait; others that hold the old descriptor still do
            own = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return lambda line: os.write(own, line), lambda: os.close(own)
    if stat.S_ISREG(mode):
        return lambda line: os.write(number, line), _nothing
    return _when_ready(number), _nothing


def _when_ready(number: int) -> Send:
    """For pipes of another user, and terminals. Ready means that the system takes at least this much without waiting."""
    poll = select.poll()
    poll.register(number, select.POLLOUT)

    def send(line: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(number, line[: select.PIPE_BUF])

    return send


def _nothing() -> None:
    """Nothing was taken."""


def _notice(lost: int) -> bytes:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    fields = {
        "event": "log lines lost: nothing read them",
        "lines": lost,
        "level": "warning",
        "logger": __name__,
        "timestamp": at,
    }
    return f"{json.dumps(fields)}\n".encode()
