"""Ports of one demo, chosen together: no two of its parts get the same one, and no other demo on this machine does.

A port is free until a process listens on it, which a demo's parts do seconds after the choice. So each port that is given is
claimed by a locked file until the demo ends; the lock goes with the process, however it ends. Programs that know no such files
are kept away by a socket that listens until the part that is to have the port has imported everything.
"""

import fcntl
import os
import socket
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from app.domain.errors import Misconfigured
from app.stack.embedded import free_port
from app.stack.ports import listening

TRIES = 200


class PortClaims:
    """Gives ports, and keeps them while ``held`` is open."""

    def __init__(self, held: ExitStack) -> None:
        """Nothing is claimed yet."""
        self._folder = Path(tempfile.gettempdir()) / f"octant-ports-{os.getuid()}"
        self._held = held
        self._listeners: dict[int, socket.socket] = {}

    def take(self, host: str, wanted: int, *, listen: bool = False) -> int:
        """Claim the wanted port (0: any), or the next free one; ``listen`` on it until `let_go`.

        Raises Misconfigured where none of 200 is free.
        """
        for number in range(TRIES):
            port = wanted + number if wanted else free_port()
            listener = listening(host, port) if port < 65536 else None
            if listener is None:
                continue
            if not self._claim(port):
                listener.close()
                continue
            if listen:
                self._listeners[port] = self._held.enter_context(listener)
            else:
                listener.close()
            return port
        raise Misconfigured(f"No free port on {host}" + (f" from {wanted} on." if wanted else "."))

    def let_go(self, *ports: int) -> None:
        """Listen on these ports no more: their parts are about to. They stay claimed."""
        for port in ports:
            if listener := self._listeners.pop(port, None):
                listener.close()

    def _claim(self, port: int) -> bool:
        """Lock the file of a port. Where no folder of our own can be made, a port that nothing listens on has to do."""
        try:
            lock = self._file(port)
        except OSError:
            return True
        with ExitStack() as opened:
            opened.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._held.push(opened.pop_all())
            return True

    def _file(self, port: int) -> int:
        """Open the file of a port. Raises OSError where the folder is not ours, or a link that another user may have planted."""
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        home = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(home).st_uid != os.getuid():
                raise PermissionError
            return os.open(str(port), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=home)
        finally:
            os.close(home)
