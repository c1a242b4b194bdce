"""How an HTTP worker stops: it takes no new connection, lets calls end, and ends the rest with a typed error (ADR 0008).

uvicorn's own shutdown cancels the remaining calls, which callers see as `500 text/plain`; a second SIGINT skips the lifespan, so
holds and records are lost. Here every way to stop ends in the same order: listeners closed, calls ended, parts closed.
"""

import asyncio
import gc
import logging
import math
import os
import signal
import time
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import Server

from app.domain.errors import ShuttingDown
from app.domain.in_flight import InFlight
from app.stack.protocol import Protocol
from app.stack.stop_times import END_SECONDS, stop_seconds

RETRY_AFTER = 1.0
COLLECT_AFTER = 10_000  # objects: a request makes some hundreds, and nearly all of them die by themselves
TICK = 0.05

log = logging.getLogger(__name__)


def shutting_down() -> ShuttingDown:
    """The error of a call that ends because its process stops."""
    return ShuttingDown("This server is shutting down and the call did not end in time. Send it again.", retry_after=RETRY_AFTER)


class DrainingServer(Server):
    """uvicorn's server with an end that loses nothing.

    SIGTERM and SIGHUP drain: calls have ``graceful_timeout`` seconds to end. SIGINT and SIGQUIT hurry, also one that drains:
    calls are ended at once. A worker whose parent died drains, too: nothing would replace or stop it.
    """

    def __init__(
        self, config: Config, running: InFlight, *, graceful_timeout: float, parent: int, on_drain: Callable[[], None]
    ) -> None:
        """``on_drain`` runs once, when no new connection is taken any more. ``parent``: the process id of the arbiter."""
        super().__init__(config)
        self._running = running
        self._graceful_timeout = graceful_timeout
        self._parent = parent
        self._on_drain = on_drain
        self._hurried = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin to stop. Not raised again at the end, as uvicorn does: the exit code says that the stop was orderly."""
        self.should_exit = True
        if sig in (signal.SIGINT, signal.SIGQUIT):
            self._hurried = True

    def install_signals(self) -> None:
        """Handle the signals that uvicorn does not. SIGUSR2 has no meaning here and must not kill."""
        for number in (signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self.handle_exit)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to serve. What was opened until now lives as long as this worker: collecting it again and again is wasted."""
        await super().startup(sockets)
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now."""
        if os.getppid() != self._parent and not self.should_exit:
            log.error("the parent process died, this worker drains and stops", extra={"parent": self._parent})
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop: see the module. A worker that cannot end in time is ended by SIGALRM, also where no parent is left to do it."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(stop_seconds(self._graceful_timeout)))
        self._on_drain()
        self._running.draining = True
        for server, listener in zip(self.servers, sockets or [], strict=True):
            await self._accept_the_last(listener)
            server.close()
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._idle_within(self._graceful_timeout, unless_hurried=True)
        for connection in list(self.server_state.connections):
            cast("Protocol", connection).close_idle()
        if ending := self._running.end(shutting_down):
            log.warning("calls ended by the stop of this worker", extra={"calls": ending, "hurried": self._hurried})
        await self._idle_within(END_SECONDS)
        self._cut()
        await self.lifespan.shutdown()
        signal.alarm(0)

    async def _accept_the_last(self, listener: socket) -> None:
        """Take the connections that the system has made already, and with them their requests: a port that closes resets them."""
        loop = asyncio.get_running_loop()
        for _ in range(self.config.backlog):
            try:
                connection, _ = listener.accept()
                await loop.connect_accepted_socket(self._protocol, connection)
            except BlockingIOError:  # none waits any more
                return
            except OSError:  # its client has left, or descriptors are used up
                continue

    def _protocol(self) -> asyncio.Protocol:
        """As in uvicorn's startup."""
        made: Any = self.config.http_protocol_class
        return cast("asyncio.Protocol", made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state))

    async def _idle_within(self, seconds: float, *, unless_hurried: bool = False) -> None:
        """Wait until nothing is under way, and keep the arbiter from taking this worker for a hung one."""
        ends = time.monotonic() + seconds
        while self._busy and time.monotonic() < ends and not (unless_hurried and self._hurried):
            if self.config.callback_notify:
                await self.config.callback_notify()
            await asyncio.sleep(TICK)

    @property
    def _busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks or self._running.count)

    def _cut(self) -> None:
        """Close connections whose client does not read, and cancel the tasks that did not end."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
