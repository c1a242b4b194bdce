"""Keeps clients on this machine: a network namespace where the kernel allows one, and a recorder of attempts to leave it.

In the namespace every address is the machine itself: a name service here writes down each name that a client asks for and knows
none, and a connection to any other address ends here. The proxy that clients are given refuses and writes down too; without a
namespace it is the only watch.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

INSIDE = "OCTANT_CLIENTS_INSIDE"
_NAME_ERROR = 0x8183  # a response, recursion available, no such name


class Recorder:
    """The hosts that clients tried to reach, and the proxy's port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._hosts: set[str] = set()

    def add(self, host: str) -> None:
        """Write a host down."""
        self._hosts.add(host)

    def taken(self) -> list[str]:
        """The hosts since the last time."""
        found, self._hosts = self._hosts, set()
        return sorted(found)


def enter(arguments: Sequence[str]) -> int | None:
    """Run this program again in a namespace of its own. Returns its exit code, or None where there is no namespace."""
    if INSIDE in os.environ or not shutil.which("unshare") or not shutil.which("ip"):
        return None
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-current-user", "--keep-caps", "--net"]
    route = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && { ip -6 route add local ::/0 dev lo || true; }"
    if subprocess.run([*command, "sh", "-c", route], check=False, capture_output=True).returncode:
        return None
    again = [*command, "sh", "-c", f'{route} 2>&1 && exec "$@"', "sh", sys.executable, "-m", "clients", *arguments]
    return subprocess.run(again, check=False, env={**os.environ, INSIDE: "1"}).returncode


@contextmanager
def watched() -> Iterator[Recorder]:
    """Record every attempt to leave the machine until the end of the block."""
    proxy = socket.create_server(("127.0.0.1", 0))
    recorder = Recorder(proxy.getsockname()[1])
    doors = [proxy]
    if INSIDE in os.environ:
        doors += [socket.create_server(("0.0.0.0", port)) for port in (80, 443)]
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("0.0.0.0", 53))
        threading.Thread(target=_know_no_name, args=(names, recorder), daemon=True).start()
    else:
        print("No network namespace here: only the proxy records what clients try to reach.")
    for door in doors:
        threading.Thread(target=_refuse, args=(door, recorder), daemon=True).start()
    yield recorder


def _refuse(door: socket.socket, recorder: Recorder) -> None:
    """Write down whom each connection is for, and close it."""
    while True:
        connection, _ = door.accept()
        with connection:
            connection.settimeout(1)
            try:
                recorder.add(_host(connection.recv(4096), connection.getsockname()[0]))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            except OSError:
                recorder.add(connection.getsockname()[0])


def _host(head: bytes, address: str) -> str:
    """The host of a proxy's request, or the address that was called."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
    if address != "127.0.0.1" or len(words) < 2:
        return address
    return urlsplit(words[1] if "://" in words[1] else f"//{words[1]}").hostname or words[1]


def _know_no_name(names: socket.socket, recorder: Recorder) -> None:
    while True:
        answer(names, recorder)


def answer(names: socket.socket, recorder: Recorder) -> None:
    """Answer one question, that the name does not exist, and write it down (RFC 1035, section 4.1)."""
    query, sender = names.recvfrom(4096)
    recorder.add(_name(query[12:]))
    names.sendto(query[:2] + _NAME_ERROR.to_bytes(2, "big") + query[4:6] + b"\0" * 6 + query[12:], sender)


def _name(question: bytes) -> str:
    labels, at = [], 0
    while at < len(question) and (size := question[at]):
        labels.append(question[at + 1 : at + 1 + size].decode("latin-1"))
        at += size + 1
    return ".".join(labels)
