"""A proxy before Valkey that answers some commands wrong, over real TCP."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

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
    )
}  # fmt: skip


class LyingValkey:
    """The proxy. ``lie`` decides on each answer."""

    def __init__(self) -> None:
        self.port = 0
        self.lie: Lie = lambda _: None
        self._tasks: set[asyncio.Task[None]] = set()

    def hang_up(self) -> None:
        """Close the present connections; the next ones begin with a greeting."""
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def running(self, port: int, *, listen: int = 0) -> AsyncGenerator["LyingValkey", None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    command = await _frame(reader)
                    far_writer.write(command)
                    true, lie = await _frame(far_reader), self.lie(_name_of(command))
                    writer.write(true if lie is None else lie)
                    await writer.drain()
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                for one in (writer, far_writer):
                    one.close()

        server = await asyncio.start_server(serve, "127.0.0.1", listen)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            await asyncio.gather(*self._tasks, return_exceptions=True)


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
