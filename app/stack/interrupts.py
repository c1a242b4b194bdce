"""Ctrl-C, `kill` and a closed terminal, as one exception that never strikes while a process is being started.

Raised in the middle of a start it would leave a process that nobody knows; so it waits until the start is over.
"""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """Somebody asked us to stop. A KeyboardInterrupt, so that nothing that catches errors holds it back."""


class _Gate:
    """Whether an interrupt may strike now, and whether one waits."""

    closed = 0
    waiting = False


def listen() -> None:
    """Turn the signals into `Interrupted`, once. A signal that is ignored stays so (`nohup`)."""
    _Gate.waiting = False
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _strike)


@contextmanager
def held_back() -> Generator[None, None, None]:
    """Let no interrupt strike within the block; one that came meanwhile strikes at its end."""
    _Gate.closed += 1
    try:
        yield
    finally:
        _Gate.closed -= 1
    if _Gate.waiting and not _Gate.closed:
        _Gate.waiting = False
        raise Interrupted


def _strike(_: int, __: FrameType | None) -> None:
    """Once: what is being stopped must not be interrupted again."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if _Gate.closed:
        _Gate.waiting = True
        return
    raise Interrupted
