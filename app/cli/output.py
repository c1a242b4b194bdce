"""Standard output whose reader may leave early, as `octant calls | head` does.

A write to a closed pipe raises BrokenPipeError, which is an OSError: code that waits for a store would take it for an outage.
Here, at the one place where all output passes, it becomes an exit: quiet, with the status of a process that SIGPIPE ended. It
stays ignored itself, since it would also end a process whose connection to a store breaks.
"""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

READER_GONE = 128 + signal.SIGPIPE


class _Output:
    """Standard output that ends the command when its reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._leave()

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> NoReturn:
        with Path(os.devnull).open("wb") as nowhere:  # buffered output is discarded
            os.dup2(nowhere.fileno(), self._stream.fileno())
        raise SystemExit(READER_GONE) from None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's
        return getattr(self._stream, name)


def _opened() -> None:
    """Open what a supervisor has closed: else the next connection gets its number, and what is written there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - the same


@contextmanager
def standard_output() -> Generator[None, None, None]:
    """Exit quietly as soon as the reader of standard output is gone, at the latest at the end of the block."""
    _opened()
    before, sys.stdout = sys.stdout, cast("TextIO", _Output(sys.stdout))
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = before
