"""What commands print: to a reader who may leave early, as of `octant calls | head`, and without steering a terminal.

A write to a closed pipe raises BrokenPipeError, which is an OSError: code that waits for a store would take it for an outage.
Here, at the one place where all output passes, it becomes an exit: quiet, with the status of a process that SIGPIPE ended. It
stays ignored itself, since it would also end a process whose connection to a store breaks. A full disk behind it is one sentence.

Callers, models and providers write what operators read. A terminal obeys control characters in it (CWE-150), and some others
hide letters or show a line in another order than it has (`app.domain.unseen`), so all of them are printed as escapes, which
leave JSON the same value.
"""

import os
import re
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from app.domain.unseen import HIDDEN, escaped

READER_GONE = 128 + signal.SIGPIPE
# Line breaks, tabs and the colours of `--help`, none of which hides anything, stay.
_COLOUR = "(?:[0-4]|3[1-6])"
_STAYS = rf"\r\n|\x1b\[{_COLOUR}?(?:;{_COLOUR})*m"
_OBEYED = re.compile(rf"({_STAYS})|[\x00-\x08\x0b-\x1f\ud800-\udfff]|{HIDDEN}")


def shown(text: str) -> str:
    """A text as a terminal may show it."""
    return _OBEYED.sub(lambda found: found[1] or escaped(found), text)


class _Shown:
    """A stream of text that steers no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(shown(text))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's
        return getattr(self._stream, name)


class _Output(_Shown):
    """Standard output that ends the command when its reader is gone, or its disk is full."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._leave(error)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> NoReturn:
        with Path(os.devnull).open("wb") as nowhere:  # buffered output is discarded
            os.dup2(nowhere.fileno(), self._stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(READER_GONE) from None
        print(f"octant: The output cannot be written ({error.strerror}).", file=sys.stderr)
        raise SystemExit(1) from None


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
    """Exit quietly as soon as the reader of standard output is gone, at the latest at the end of the block.

    What is printed within, errors too, steers no terminal.
    """
    _opened()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", _Output(sys.stdout)), cast("TextIO", _Shown(sys.stderr))
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = before
