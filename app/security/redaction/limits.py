"""How long the redaction of a text may take."""

import time
from typing import NamedTuple

READ_BY, SEARCHED_BY = 0.4, 0.8  # shares of that time: replacing what was found takes little


class Limits(NamedTuple):
    """The CPU time of this thread by which each part of the work has ended. Reading that clock is a system call: once a text."""

    read: float
    searched: float
    replaced: float

    @classmethod
    def of(cls, seconds: float) -> "Limits":
        """Those of a text that may take so many seconds from now."""
        now = time.thread_time()
        return cls(now + READ_BY * seconds, now + SEARCHED_BY * seconds, now + seconds)


class RedactionStalled(Exception):  # noqa: N818 - it is named for what happened
    """The text is too long, too slow, or the matcher ran out of memory."""


def in_time(until: float) -> None:
    """Raise RedactionStalled after that CPU time of this thread."""
    if time.thread_time() > until:
        raise RedactionStalled
