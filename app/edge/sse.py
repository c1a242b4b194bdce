"""Server-sent events: bytes out as they come, and the generator closed when the client goes away."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from starlette.responses import StreamingResponse


def event_stream(events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> StreamingResponse:
    """Answer with events, each already framed. Proxies are told not to buffer."""
    sent = {**headers, "cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(_closing(events), headers=sent, media_type="text/event-stream")


async def _closing(events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Close the generator at once when the response ends early, not when it is garbage collected."""
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()
