"""Server-sent events: bytes out as they come, in the task that serves the request.

Starlette's StreamingResponse iterates in a task of its own. Here the generator is opened by the handler (its first chunk has
arrived by then), holds timeouts and connections, and must be continued and closed by the same task.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class EventStream(Response):
    """An answer of events, each already framed. A client that goes away cancels the task (`app.edge.middleware`)."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        """Proxies are told not to buffer."""
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the events. Each send waits for the client, so a slow reader slows the provider and memory stays flat."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def event_stream(events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> EventStream:
    """Answer with ``events``, each already framed."""
    return EventStream(events, headers)
