"""Stops the parts of a killed demo or game day, from a process that outlives it for that time.

Service and worker drain first, while the stores are there. The end is seen by a pipe that closes with the process, so no process
id is polled. Forked before the demo starts a thread or a store.
"""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.stack import interrupts

LOCK_SECONDS = 5.0
CLEANING = b"an earlier run is being stopped\n"  # in the lock file, while a keeper holds it


@contextmanager
def kept(lock: Path, clean: Callable[[], object]) -> Generator[None, None, None]:
    """Have ``clean`` run by another process, which then holds ``lock``, if this one dies within the block."""
    reader, writer = os.pipe()
    with interrupts.held_back():
        keeper = os.fork()
        if not keeper:
            os.close(writer)
            _keep(reader, lock, clean)
        os.close(reader)
    try:
        yield
    finally:
        with suppress(OSError):
            os.write(writer, b".")  # an end in order: nothing is left to do
        os.close(writer)
        with suppress(ChildProcessError):
            os.waitpid(keeper, 0)


def _take(lock: BinaryIO) -> None:
    """Lock the file. The dying demo may hold it for a moment. Raises BlockingIOError where the next demo has it: it cleans."""
    ends = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _keep(reader: int, lock: Path, clean: Callable[[], object]) -> None:
    """Wait for the demo's end, and clean unless it reported an orderly stop. Never returns."""
    code = 1
    try:
        os.setsid()  # Ctrl-C at the terminal is for the demo
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # a reader of the demo's output sees its end
            os.dup2(nowhere, stream)
        for number in interrupts.STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if not os.read(reader, 1):
            with lock.open("r+b") as held:
                _take(held)
                held.write(CLEANING)
                held.flush()
                clean()
                held.truncate(0)
        code = 0
    finally:
        os._exit(code)
