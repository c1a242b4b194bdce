"""Checks that the ports of a service are free, and names the processes that hold them."""

import errno
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from app.domain.errors import Misconfigured

WAIT_SECONDS = 10.0  # the workers of a service that was killed notice it and close their port
PAUSE = 0.1


def require_free(addresses: Sequence[tuple[str, int]], *, wait: float = WAIT_SECONDS) -> None:
    """Wait until every address can be listened on; port 0 always can. Raises Misconfigured naming port and processes."""
    for host, port in addresses:
        ends = time.monotonic() + wait
        while port and (failure := _failure(host, port)):
            if failure != errno.EADDRINUSE:
                raise Misconfigured(f"Cannot listen on {host} port {port}: {errno.errorcode.get(failure, failure)}.")
            if time.monotonic() >= ends:
                raise Misconfigured(
                    f"Port {port} on {host} is in use{_held_by(port)}. Stop what runs there, or set another port "
                    f"(OCTANT_PORT, OCTANT_ADMIN_PORT, OCTANT_METRICS_PORT, OCTANT_WORKER_METRICS_PORT)."
                )
            time.sleep(PAUSE)


def listening(host: str, port: int) -> socket.socket | None:
    """Listen on a port; nothing where that does not work."""
    try:
        return _listening(host, port)
    except OSError:
        return None


def _listening(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener


def _failure(host: str, port: int) -> int:
    """The error number of listening there; 0 where that works."""
    try:
        _listening(host, port).close()
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _held_by(port: int) -> str:
    """The processes that listen on a port, as far as this user may see them."""
    import psutil

    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections(kind="tcp")):
                found.append(f"{process.info['name']} (pid {process.pid})")
    return f" by {', '.join(found)}" if found else ""
