"""Stores that freeze, stop and vanish.

By signals to their processes, and by a relay that stops carrying bytes.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil


@contextmanager
def frozen(note: Path) -> Generator[None, None, None]:
    """Stop every process of a server until the end of the block.

    ``note``: the file with the server's process id.
    """
    server = psutil.Process(int(note.read_text().split()[0]))
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


class Relay:
    """A TCP relay.

    While `stalled`, it drops all bytes, and connections stay open: as behind a firewall that drops packets.
    """

    def __init__(self) -> None:
        self.url_port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def drop_all(self) -> None:
        """Drop the present connections without notice to the other sides.

        New connections flow.
        """
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def running(self, *, host: str = "127.0.0.1", port: int = 0, path: str = "") -> AsyncGenerator["Relay", None]:
        """Listen on a free port, and relay every connection.

        To ``host`` and ``port``, or to the Unix socket ``path``.
        """

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            await self._flowing.wait()
            far_reader, far_writer = await (asyncio.open_unix_connection(path) if path else asyncio.open_connection(host, port))
            self._writers.append(far_writer)
            for source, target in ((reader, far_writer), (far_reader, writer)):
                task = asyncio.create_task(self._pump(source, target))
                self._tasks.add(task)

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        self.url_port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            self.flow()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._flowing.wait()
            target.write(data)
            await target.drain()
        target.close()
