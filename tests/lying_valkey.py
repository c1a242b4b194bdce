"""A proxy before Valkey that answers some commands wrong, over real TCP."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from session_server import SessionServer

Lie = Callable[[str], bytes | None]  # by a command's name: the bytes that answer it instead, or None for the true answer

WRONG = {
    "integer": b":7\r\n",
    "text": b"$5\r\nwrong\r\n",
    "status": b"+FINE\r\n",
    "nothing": b"_\r\n",
    "array": b"*2\r\n:1\r\n$1\r\nx\r\n",
    "empty array": b"*0\r\n",
    "nested array": b"*1\r\n*1\r\n*1\r\n:1\r\n",
    "map": b"%1\r\n+a\r\n:1\r\n",
    "boolean": b"#t\r\n",
    "not utf-8": b"$2\r\n\xff\xfe\r\n",
    "garbage": b"\x00\x16\x03\x01 garbage\r\n",
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "half an answer": b"*3\r\n$5\r\nhal",
}
ERRORS = {
    error.split()[0]: f"-{error}\r\n".encode()
    for error in (
        "ERR unknown command", "LOADING Valkey is loading the dataset in memory", "READONLY You can't write",
        "MISCONF Errors writing to disk", "OOM command not allowed when used memory > 'maxmemory'.", "CLUSTERDOWN down",
        "NOSCRIPT No matching script.", "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "TRYAGAIN Multiple keys",
        "WRONGTYPE Operation against a key holding the wrong kind of value", "BUSY Valkey is busy running a script",
        "NOAUTH Authentication required.", "NOPERM no permissions", "MASTERDOWN Link with MASTER is down",
        "UNKILLABLE busy", "NOREPLICAS Not enough good replicas", "MAX number of clients reached",
        "REDIRECT 127.0.0.1:6381", "UNBLOCKED force unblock from blocking operation, instance state changed",
        "DENIED Valkey is running in protected mode", "WRONGPASS invalid username-password pair or user is disabled.",
        "EXECABORT Transaction discarded because of previous errors.", "INPROG failover in progress",
    )
}  # fmt: skip


class LyingValkey(SessionServer):
    """The proxy. ``lie`` decides on each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.lie: Lie = lambda _: None

    def running(self, port: int, *, listen: int = 0) -> AbstractAsyncContextManager["LyingValkey"]:
        """Relay to the server of that port."""
        return self.listening(lambda reader, writer: self._session(reader, writer, port), on=listen)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                command = await _frame(reader)
                far_writer.write(command)
                true, lie = await _frame(far_reader), self.lie(_name_of(command))
                writer.write(true if lie is None else lie)
                await writer.drain()
        finally:
            far_writer.close()


def _name_of(command: bytes) -> str:
    words = command.split(b"\r\n")[2::2]
    return b" ".join(words[:2] if words[0] == b"SCRIPT" else words[:1]).decode().upper()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One value of the protocol, as its bytes."""
    line = await reader.readuntil(b"\r\n")
    kind, length = line[:1], line[1:-2]
    if kind in b"$=!" and length != b"-1":
        return line + await reader.readexactly(int(length) + 2)
    if kind in b"*~>%|":
        return line + b"".join([await _frame(reader) for _ in range(int(length) * (2 if kind in b"%|" else 1))])
    return line
