"""A server on a free port that serves each connection by a session of a test's own, and hangs up on all of them at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

Session = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class SessionServer:
    """``port`` is known once it listens."""

    def __init__(self) -> None:
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def hang_up(self) -> None:
        """Close the present connections."""
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def listening(self, session: Session, *, on: int = 0) -> AsyncGenerator[Self, None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            try:
                await session(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", on)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            await asyncio.gather(*self._tasks, return_exceptions=True)
