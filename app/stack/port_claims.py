"""Ports of one demo, chosen together: no two of its parts get the same one, and no other demo on this machine does.

A port is free until a process listens on it, which a demo's last part does seconds after the choice. So each port that is
given is claimed by a locked file until the demo ends; the lock goes with the process, however it ends.
"""

import fcntl
import os
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from app.domain.errors import Misconfigured
from app.stack.embedded import free_port
from app.stack.ports import can_listen

TRIES = 200


class PortClaims:
    """Gives ports, and keeps them while ``held`` is open."""

    def __init__(self, held: ExitStack) -> None:
        """Nothing is claimed yet."""
        self._folder = Path(tempfile.gettempdir()) / f"octant-ports-{os.getuid()}"
        self._held = held

    def take(self, host: str, wanted: int) -> int:
        """Claim the port that is wanted (0: any), or the next free one. Raises Misconfigured where none of 200 is free."""
        for number in range(TRIES):
            port = wanted + number if wanted else free_port()
            if port < 65536 and can_listen(host, port) and self._claim(port):
                return port
        raise Misconfigured(f"No free port on {host}" + (f" from {wanted} on." if wanted else "."))

    def _claim(self, port: int) -> bool:
        """Lock the file of a port. Where no folder of our own can be made, a port that nothing listens on has to do."""
        with suppress(FileExistsError, PermissionError):
            self._folder.mkdir(mode=0o700)
        if not os.access(self._folder, os.W_OK | os.X_OK) or self._folder.stat().st_uid != os.getuid():
            return True
        with ExitStack() as opened:
            lock = opened.enter_context((self._folder / str(port)).open("ab"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._held.push(opened.pop_all())
            return True
