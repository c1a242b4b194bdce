"""Ctrl-C, `kill` and a closed terminal as one exception, which never strikes while a process is being started or in an import.

Nor while the stores are being filled: raised inside an event loop it surfaces as some other error of the unfinished work.

Raised in the middle of a start it would leave a process that no part knows; so it waits until the start is over. Raised in the
middle of an import it can leave Python's import lock held for ever (seen with 3.11), and another thread that imports then
hangs, and we with it; so it comes a moment later.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
A_MOMENT = 0.005
IMPORTING = "<frozen importlib"


class Interrupted(KeyboardInterrupt):
    """A signal asks this process to stop. A KeyboardInterrupt, so that nothing that catches errors holds it back."""


class _Gate:
    """Whether an interrupt may strike now, and whether one waits."""

    closed = 0
    waiting = False
    repeated = False


def listen() -> None:
    """Turn the signals into `Interrupted`, once. A signal that is ignored stays so (`nohup`)."""
    _Gate.waiting = _Gate.repeated = False
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _strike)


def repeated() -> bool:
    """Whether another signal came after the first: the remaining stops may hurry."""
    return _Gate.repeated


@contextmanager
def held_back() -> Generator[None, None, None]:
    """Let no interrupt strike within the block; one that came meanwhile strikes at its end.

    Signals strike the main thread alone: in another there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Gate.closed += 1
    try:
        yield
    finally:
        _Gate.closed -= 1
    if _Gate.waiting and not _Gate.closed:
        _Gate.waiting = False
        raise Interrupted


def _strike(_: int, frame: FrameType | None) -> None:
    """Raise once: a stop must not be interrupted again."""
    for number in STOPPING:
        signal.signal(number, _heard)
    if _Gate.closed:
        _Gate.waiting = True
        return
    if _importing(frame):
        signal.signal(signal.SIGALRM, _strike)
        signal.setitimer(signal.ITIMER_REAL, A_MOMENT)
        return
    raise Interrupted


def _heard(_: int, __: FrameType | None) -> None:
    """Note the signal. Not SIG_IGN: a process that is being started would inherit that, and be deaf when we ask it to stop."""
    _Gate.repeated = True


def _importing(frame: FrameType | None) -> bool:
    """Whether the code that was interrupted is part of an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTING):
            return True
        frame = frame.f_back
    return False
