"""The documents of one stream of chat completions, with the accents of servers' Server-Sent Events.

A stream may have no blank lines between its events, or text in the place of data, which is passed over. An answer that is no
stream, but one JSON document, is its only document.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

from app.domain.json_text import loads
from app.gateway.providers.http import Events
from app.gateway.providers.sse import Decoder

DONE = "[DONE]"
DRAINED = 0.25  # seconds: a body that ends with [DONE] is over at once, and its connection can be used again


async def documents(events: Events, read: Callable[[str], object]) -> AsyncGenerator[object, None]:
    """The JSON documents of a stream as ``read`` reads each, until ``[DONE]``. Raises ValueError for data that is no JSON."""
    if events.json:
        yield loads(await events.whole())
        return
    async for event in events:
        for line in _documents(event.data):
            if line.startswith(DONE):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAINED):
                        await events.rest()
                return
            yield read(line) if event.name != "error" else _as_error(loads(line))


def documents_within(content: bytes) -> Iterator[object]:
    """The documents of a stream that came in one piece. Raises as `documents`."""
    decoder = Decoder()
    for event in (*decoder.feed(content), *decoder.end()):
        for line in _documents(event.data):
            if not line.startswith(DONE):
                yield loads(line) if event.name != "error" else _as_error(loads(line))


def _documents(data: str) -> Sequence[str]:
    """The JSON documents of one event's data: one, or one a line where a server leaves out the blank lines between events."""
    data = data.strip()
    if "\n" not in data or _is_json(data):
        return (data,) if data.startswith(("{", "[")) else ()
    return [line.strip() for line in data.splitlines() if line.strip().startswith(("{", "["))]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _as_error(document: object) -> object:
    return document if isinstance(document, dict) and document.get("error") else {"error": document}
