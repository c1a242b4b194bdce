"""A stream of the gateway as server-sent events, in the form that a writer gives them: for each of the vendors' APIs."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from app.domain.calls import Call, Delta, Done, Receipt, Reply
from app.domain.errors import OctantError
from app.edge.answers import receipt_headers
from app.edge.sse import COMMENT, EventStream, Source
from app.gateway.gateway import Gateway, Streaming


class Writer(Protocol):
    """Writes a stream in one vendor's form."""

    def begin(self, degraded: Sequence[str]) -> bytes:
        """Bytes before the first chunk."""
        ...

    def write(self, chunk: Delta) -> bytes:
        """One chunk."""
        ...

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """Bytes after the last chunk: stop reason, usage and cost."""
        ...

    def error(self, error: OctantError) -> bytes:
        """A failure in the middle."""
        ...


def streamed(gateway: Gateway, call: Call, writer: Writer, keep_alive: bytes = COMMENT) -> EventStream:
    """The response that opens the stream: errors until its first chunk raise there, as HTTP statuses."""

    async def opening(opened: AsyncExitStack) -> Source:
        streaming = await opened.enter_async_context(gateway.stream(call))
        return Source(_events(streaming, writer), receipt_headers(streaming.receipt, cost_known=False))

    return EventStream(opening, {}, AsyncExitStack(), frame_error=writer.error, keep_alive=keep_alive)


async def _events(streaming: Streaming, writer: Writer) -> AsyncGenerator[bytes, None]:
    yield writer.begin(streaming.receipt.degraded)
    try:
        async for chunk in streaming.chunks:
            framed = writer.end(chunk.reply, streaming.receipt) if isinstance(chunk, Done) else writer.write(chunk)
            if framed:
                yield framed
    except OctantError as error:
        error.receipt = streaming.receipt
        raise
