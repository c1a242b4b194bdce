"""Starts on drawn ports that try again where another program took a port between the draw and the start."""

import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from app.stack.embedded import free_port

T = TypeVar("T")
TRIES = 3
PORTS = ("OCTANT_PORT", "OCTANT_ADMIN_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")
TAKEN = re.compile(r"Port (\d+) on \S+ is in use")  # as `app.stack.ports.require_free` says it


@contextmanager
def on_free_ports(env: MutableMapping[str, str], log: Path, start: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Enter ``start()``, which fails the test where its process does not become ready.

    If the process' log names a port of ``env`` as taken, the port is drawn again, in ``env``, and it is started again.
    """
    with ExitStack() as stack:
        yield _entered(stack, env, log, start)


def _entered(stack: ExitStack, env: MutableMapping[str, str], log: Path, start: Callable[[], AbstractContextManager[T]]) -> T:
    tries_left = TRIES - 1
    while True:
        try:
            return stack.enter_context(start())
        except (AssertionError, pytest.fail.Exception):
            if not (tries_left and _drawn_again(env, log)):
                raise
            tries_left -= 1


def listens(pid: int, port: int) -> bool:
    """Whether a process or one of its children listens on a port. Another program there may answer as well."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for one in family for c in one.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False


def _drawn_again(env: MutableMapping[str, str], log: Path) -> bool:
    taken = set(TAKEN.findall(log.read_text()))
    names = [name for name in PORTS if env.get(name) in taken]
    env.update({name: str(free_port()) for name in names})
    return bool(names)
