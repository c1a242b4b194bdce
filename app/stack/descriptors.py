"""Open files and connections of a process: as many as the system allows, and a log line before they run out.

A system's first limit is often 1,024, for programs that use `select`, and any process may raise its own to the hard limit.
Without a descriptor left, uvloop closes each new connection without a word: neither the caller nor the log would see why.
"""

import logging
import resource
import time

from app.domain.errors import Misconfigured

NEARLY = 0.9  # of the limit
EVERY = 10.0  # seconds between two log lines
LEAST = 128  # an idle worker has 37, for its stores, files and logs; each call under way takes one or two more
MOST = 1 << 20  # where the system sets no hard limit

log = logging.getLogger(__name__)


def raise_limit() -> int:
    """Raise this process's limit of open descriptors to the hard one, and return it.

    Raises Misconfigured for a limit that is too low to work with: a worker would die at its start, again and again.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else hard
    if wanted < LEAST:
        raise Misconfigured(
            f"This process may open {wanted} files, and needs {LEAST} at least: raise its hard limit (ulimit -Hn)."
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Descriptors:
    """Notices that descriptors run out: the system gives the lowest free number, so a high one means that few are left."""

    def __init__(self, limit: int) -> None:
        """``limit``: of the process."""
        self._limit = limit
        self._next = 0.0

    def note(self, number: int) -> None:
        """Log that few are left, if the newest ``number`` says so; once in a while."""
        if number < self._limit * NEARLY or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        log.error(
            "few descriptors are left: new connections will be closed without an answer. Raise the limit (ulimit -n), or start"
            " more workers",
            extra={"newest": number, "limit": self._limit},
        )
