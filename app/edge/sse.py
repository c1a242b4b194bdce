"""Server-sent events: bytes out as they come, in the task that serves the request.

Starlette's StreamingResponse iterates in a task of its own. Here the generator holds timeouts and connections, so the request's
own task opens, continues and closes it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.domain import in_flight
from app.domain.errors import OctantError
from app.domain.json_text import compact

FAIL_SECONDS = 2.0  # for the last event to leave
# Line ends to `str.splitlines` and httpx's `iter_lines`, not to the protocol: a client that splits there reads half an event.
# JSON takes them escaped, and no other character's UTF-8 holds these bytes.
LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
COMMENT = b": keep-alive\n\n"  # html.spec.whatwg.org, 9.2.6: a line that begins with a colon is ignored


@dataclass(slots=True)
class Source:
    """A stream's events, each already framed, and the headers that describe it."""

    events: AsyncGenerator[bytes, None]
    headers: Mapping[str, str] = field(default_factory=dict)


class EventStream(Response):
    """An answer of events, each already framed. A client that goes away cancels the task (`app.edge.middleware`).

    A failure after the first byte becomes a last event and is then raised, so that wrappers know the answer is not whole.
    A stop that ends the stream from outside is such a failure. A client that does not read it in time is cut off.

    Between two events that are long in coming, ``keep_alive`` is sent, so that no client or proxy takes a model that thinks for a
    dead connection. A source that is opened here may be long in coming too: after the service's ``first_byte`` seconds the
    headers leave without it, and a comment. Until then a failure has its HTTP status, and the SDKs retry it (ADR 0032).
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None] | Callable[[AsyncExitStack], Awaitable[Source]],
        headers: Mapping[str, str],
        opened: AsyncExitStack,
        *,
        frame_error: Callable[[OctantError], bytes],
        keep_alive: bytes = COMMENT,
    ) -> None:
        """``opened`` is the source of the events; it is closed after them, even if none was sent.

        ``events`` may be a function that opens the source into ``opened``, with the rest of its headers. ``frame_error`` frames a
        failure in the protocol of the stream; ``keep_alive`` is an event that its clients pass over.
        """
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._source = events
        self._opened = opened
        self._frame_error = frame_error
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the events. Each send waits for the client, so a slow reader slows the provider and memory stays flat."""
        pulse = _Pulse(send, self._start, self._keep_alive, scope)
        async with self._opened:
            try:
                async with pulse:
                    await self._all(pulse)
            except (OctantError, asyncio.CancelledError) as error:
                failure = error if isinstance(error, OctantError) else in_flight.ended()
                if failure is None or not pulse.started:
                    raise
                await self._fail(failure, send)
                raise failure from None
            await send({"type": "http.response.body", "body": b""})

    async def _all(self, pulse: "_Pulse") -> None:
        source = Source(self._source) if isinstance(self._source, AsyncGenerator) else await self._source(self._opened)
        async with aclosing(source.events) as events:
            self.headers.update(source.headers)
            await pulse.start()
            async for event in events:
                await pulse.send(event if event.isascii() else on_one_line(event))

    def _start(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}

    async def _fail(self, failure: OctantError, send: Send) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FAIL_SECONDS):
                await send({"type": "http.response.body", "body": self._frame_error(failure), "more_body": True})
                await send({"type": "http.response.body", "body": b""})


class _Pulse:
    """Sends the head and the events; a sign of life where they are long in coming. A timer, not a task: most need none."""

    def __init__(self, send: Send, head: Callable[[], Message], frame: bytes, scope: Scope) -> None:
        """``scope`` leads to the running application's intervals; 0 is none."""
        edge = getattr(getattr(scope.get("app"), "state", None), "edge", None)
        self._interval: float = edge.keep_alive if edge else 0.0
        self._first: float = edge.first_byte if edge else 0.0
        self._send, self._head, self._frame = send, head, frame
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None
        self.started = False
        self._any = False

    async def __aenter__(self) -> Self:
        if self._first:
            self._timer = self._loop.call_later(self._first, self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        """No frame leaves after this."""
        self._disarm()
        if self._beat:
            self._beat.cancel()
            await asyncio.wait({self._beat})

    async def start(self) -> None:
        """Send the head, unless it has left."""
        if not self.started:
            self.started = True
            await self._send(self._head())
        self._disarm()
        self._sent_at = self._loop.time()
        if self._interval:
            self._timer = self._loop.call_later(self._interval, self._look)

    async def send(self, event: bytes) -> None:
        """Send an event, as soon as the client takes it, after the sign of life that is on its way."""
        self._sending = True
        if self._beat and not self._beat.done():
            await asyncio.wait({self._beat})
        await self._send({"type": "http.response.body", "body": event, "more_body": True})
        self._sending, self._any = False, True
        self._sent_at = self._loop.time()

    def _disarm(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        """Send a sign of life if it is time, and the client has taken what was sent before."""
        interval = self._interval or self._first
        silent = self._loop.time() - self._sent_at if self.started else interval
        if silent >= interval and not self._sending and (self._beat is None or self._beat.done()):
            self._beat = asyncio.create_task(self._sign())
            silent = 0.0
        self._timer = self._loop.call_later(max(interval - silent, interval / 10), self._look)

    async def _sign(self) -> None:
        self._sent_at = self._loop.time()
        body = self._frame if self._any else COMMENT  # before the first event, no event of the protocol may stand
        with suppress(OSError):  # the client left: the request's own task ends by itself
            if not self.started:
                self.started = True
                await self._send(self._head())
            await self._send({"type": "http.response.body", "body": body, "more_body": True})


def on_one_line(event: bytes) -> bytes:
    """An event of JSON whose texts hold no line end in any client's eyes."""
    for raw, escaped in LINE_ENDS:
        event = event.replace(raw, escaped)
    return event


def event(data: Mapping[str, Any] | str, *, name: str | None = None) -> bytes:
    """Frame one event: JSON data (or a bare word such as ``[DONE]``), with its name where the protocol has names."""
    text = data.encode() if isinstance(data, str) else compact(data)
    return (f"event: {name}\n" if name else "").encode() + b"data: " + text + b"\n\n"
