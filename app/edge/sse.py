"""Server-sent events: bytes out as they come, in the task that serves the request.

Starlette's StreamingResponse iterates in a task of its own. Here the generator is opened by the handler (its first chunk has
arrived by then), holds timeouts and connections, and must be continued and closed by the same task.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, Self

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.domain import in_flight
from app.domain.errors import OctantError

FAIL_SECONDS = 2.0  # for the last event to leave
COMMENT = b": keep-alive\n\n"  # html.spec.whatwg.org, 9.2.6: a line that begins with a colon is ignored


class EventStream(Response):
    """An answer of events, each already framed. A client that goes away cancels the task (`app.edge.middleware`).

    A failure after the first event becomes a last event and is then raised, so that wrappers know the answer is not whole.
    A stop that ends the stream from outside is such a failure. A client that does not read it in time is cut off.

    Between two events that are long in coming, ``keep_alive`` is sent, so that
    no client or proxy takes a model that thinks for a dead connection. The first bytes leave with the first chunk, not before:
    until then a failure has its HTTP status, and the SDKs retry it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        opened: AsyncExitStack,
        *,
        frame_error: Callable[[OctantError], bytes],
        keep_alive: bytes = COMMENT,
    ) -> None:
        """``opened`` is the source of the events; it is closed after them, even if none was sent.

        ``frame_error`` frames a failure in the protocol of the stream; ``keep_alive`` is an event that its clients pass over.
        """
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._opened = opened
        self._frame_error = frame_error
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the events. Each send waits for the client, so a slow reader slows the provider and memory stays flat."""
        async with self._opened, aclosing(self._events) as events:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async with _Pulse(send, self._keep_alive, _interval(scope)) as pulse:
                    async for event in events:
                        await pulse.send(event)
            except (OctantError, asyncio.CancelledError) as error:
                failure = error if isinstance(error, OctantError) else in_flight.ended()
                if failure is None:
                    raise
                await self._fail(failure, send)
                raise failure from None
            await send({"type": "http.response.body", "body": b""})

    async def _fail(self, failure: OctantError, send: Send) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FAIL_SECONDS):
                await send({"type": "http.response.body", "body": self._frame_error(failure), "more_body": True})
                await send({"type": "http.response.body", "body": b""})


class _Pulse:
    """Sends events, and ``frame`` after ``interval`` seconds without one. A timer, not a task: most streams never need it."""

    def __init__(self, send: Send, frame: bytes, interval: float) -> None:
        """``interval`` of 0: only the events."""
        self._send = send
        self._message: Message = {"type": "http.response.body", "body": frame, "more_body": True}
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._interval:
            self._timer = self._loop.call_later(self._interval, self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        """No frame leaves after this."""
        if self._timer:
            self._timer.cancel()
        if self._beat:
            self._beat.cancel()
            await asyncio.wait({self._beat})

    async def send(self, event: bytes) -> None:
        """Send an event, as soon as the client takes it."""
        self._sending = True
        await self._send({"type": "http.response.body", "body": event, "more_body": True})
        self._sending = False
        self._sent_at = self._loop.time()

    def _look(self) -> None:
        """Send the frame if it is time, and the client has taken what was sent before."""
        silent = self._loop.time() - self._sent_at
        if silent >= self._interval and not self._sending and (self._beat is None or self._beat.done()):
            self._beat = asyncio.create_task(self._frame())
            silent = 0.0
        self._timer = self._loop.call_later(max(self._interval - silent, self._interval / 10), self._look)

    async def _frame(self) -> None:
        self._sent_at = self._loop.time()
        with suppress(OSError):  # the client left: the request's own task is told
            await self._send(self._message)


def _interval(scope: Scope) -> float:
    """Seconds of silence after which the running application sends a sign of life."""
    edge = getattr(getattr(scope.get("app"), "state", None), "edge", None)
    return edge.keep_alive if edge else 0.0


def event(data: Mapping[str, Any] | str, *, name: str | None = None) -> bytes:
    """Frame one event: JSON data (or a bare word such as ``[DONE]``), with its name where the protocol has names."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
