"""Server-sent events: bytes out as they come, in the task that serves the request.

Starlette's StreamingResponse iterates in a task of its own. Here the generator is opened by the handler (its first chunk has
arrived by then), holds timeouts and connections, and must be continued and closed by the same task.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain import in_flight
from app.domain.errors import OctantError

FAIL_SECONDS = 2.0  # for the last event to leave


class EventStream(Response):
    """An answer of events, each already framed. A client that goes away cancels the task (`app.edge.middleware`).

    A failure after the first event becomes a last event and is then raised, so that wrappers know the answer is not whole.
    A stop that ends the stream from outside is such a failure. A client that does not read it in time is cut off.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        opened: AsyncExitStack,
        *,
        frame_error: Callable[[OctantError], bytes],
    ) -> None:
        """``opened`` is the source of the events; it is closed after them, even if none was sent.

        ``frame_error`` frames a failure in the protocol of the stream.
        """
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._opened = opened
        self._frame_error = frame_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the events. Each send waits for the client, so a slow reader slows the provider and memory stays flat."""
        async with self._opened, aclosing(self._events) as events:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async for event in events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
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


def event(data: Mapping[str, Any] | str, *, name: str | None = None) -> bytes:
    """Frame one event: JSON data (or a bare word such as ``[DONE]``), with its name where the protocol has names."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
