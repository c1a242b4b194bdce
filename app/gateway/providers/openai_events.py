"""The events of one stream, with the accents of servers' Server-Sent Events.

The SDK's own stream gives up at an event without data, which is a keep-alive. Here such events, and comments in the place of
data, are passed over. A stream may begin with a byte order mark, lack its last blank line, or have no blank lines at all. An
answer that is no stream, but one JSON document, is its only event.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

from openai import AsyncStream

BOM = b"\xef\xbb\xbf"
DONE = "[DONE]"
DRAINED = 0.25  # seconds: a body that ends with [DONE] is over at once, and its connection can be used again


class Events(AsyncStream[object]):
    """The JSON documents of a stream, until ``[DONE]``. Raises ValueError for data that is no JSON."""

    async def __stream__(self) -> AsyncIterator[object]:
        """As the SDK's, which iterates over it."""
        received = self.response.aiter_bytes()
        try:
            if "json" in self.response.headers.get("content-type", ""):
                yield json.loads(b"".join([piece async for piece in received]))
                return
            async for event in self._decoder.aiter_bytes(_framed(received)):
                for line in _documents(event.data):
                    if line.startswith(DONE):
                        await _drain(received)
                        return
                    document = json.loads(line)
                    yield {"error": document} if event.event == "error" and not _has_error(document) else document
        finally:
            await self.response.aclose()


async def _framed(received: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes without a byte order mark, and with the blank line that ends the last event."""
    head, begun = b"", False
    async for piece in received:
        if begun:
            yield piece
            continue
        head += piece
        if len(head) >= len(BOM):
            begun = True
            yield head.removeprefix(BOM)
    yield b"\n\n" if begun else head + b"\n\n"


def _documents(data: str) -> Iterator[str]:
    """The JSON documents of one event's data: one, or one a line where a server leaves out the blank lines between events."""
    data = data.strip()
    lines = [data] if "\n" not in data or _is_json(data) else data.splitlines()
    for line in lines:
        if line.strip().startswith(("{", "[")):
            yield line.strip()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _has_error(document: object) -> bool:
    return isinstance(document, dict) and bool(document.get("error"))


async def _drain(received: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAINED):
            async for _ in received:
                pass
