"""The service's side of a handover between two versions of the code (`app.stack.runner`).

The runner listens and hands its sockets over, so a connection that waits is accepted by either version. They come in one
variable of the environment; without it the service listens by itself.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

VARIABLE = "OCTANT_RUNNER"
PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Handover:
    """``listen``: descriptors of listening sockets. ``ready``: one to which each worker writes a byte.

    ``number``: how many versions the runner started before, and this one.
    """

    listen: tuple[int, ...] = ()
    ready: int = -1
    number: int = 0

    def __bool__(self) -> bool:
        """Whether a runner started this."""
        return bool(self.listen)

    @property
    def binds(self) -> list[str]:
        """The addresses for gunicorn, empty without a runner."""
        return [f"fd://{number}" for number in self.listen]

    @property
    def suffix(self) -> str:
        """Sets a version's files apart from those of the version that it takes over from."""
        return f"-{self.number}" if self else ""

    @property
    def text(self) -> str:
        """The variable's value."""
        return json.dumps({"listen": self.listen, "ready": self.ready, "number": self.number})

    def report_ready(self) -> None:
        """Report to the runner that one more worker serves."""
        if self:
            with suppress(OSError):  # it is gone
                os.write(self.ready, b".")

    def once_free(self, serve: Callable[[], object]) -> None:
        """Listen on a port at once, or, with a runner, as soon as the version before has left it."""
        if not self:
            serve()
            return

        def wait() -> None:
            while True:
                try:
                    serve()
                except OSError:
                    time.sleep(PAUSE)
                else:
                    return

        threading.Thread(target=wait, daemon=True, name="metrics port").start()


def of_runner() -> Handover:
    """The handover that a runner has given to this process; an empty one without a runner."""
    given = os.environ.get(VARIABLE)
    if not given:
        return Handover()
    found = json.loads(given)
    return Handover(tuple(found["listen"]), found["ready"], found["number"])
