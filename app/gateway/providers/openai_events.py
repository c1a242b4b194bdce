"""The documents of one stream of chat completions, with the accents of servers' Server-Sent Events.

A stream may have no blank lines between its events, or text in the place of data, which is passed over. An answer that is no
stream, but one JSON document, is its only document, and the other way round.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence

from app.domain.json_text import loads
from app.gateway.providers.http import Events
from app.gateway.providers.sse import Event, events_of, is_stream

DONE = "[DONE]"
_FRAMED = re.compile(r"(?:data:\s*)*+")  # written twice, by servers that frame what is framed already
DRAINED = 0.25  # seconds: a body that ends with [DONE] is over at once, and its connection can be used again


async def documents(events: Events, read: Callable[[str], object], done: Callable[[], None]) -> AsyncGenerator[object, None]:
    """The JSON documents of a stream as ``read`` reads each, until ``[DONE]``: then ``done`` is called.

    What is no event is what the stream's reader read of one itself. Raises ValueError for data that is no JSON.
    """
    if await events.starts_as_json():
        for document in body_documents(await events.whole()):
            yield document
        return
    async for event in events:
        if not isinstance(event, Event):
            yield event
            continue
        for line in _documents(event.data):
            if line.startswith(DONE):
                done()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAINED):
                        await events.rest()
                return
            yield read(line) if event.name != "error" else _as_error(loads(line))


def body_documents(content: bytes) -> list[object]:
    """The documents of a body that came whole: one, or those of a stream. Raises as `documents`."""
    if not is_stream(content):
        try:
            return [loads(content)]
        except ValueError:  # some servers put [DONE] behind it, others send a document a line
            lines = _documents(_without_done(content.decode(errors="replace")))
            if not lines:
                raise
            return [loads(line) for line in lines]
    return [
        loads(line) if event.name != "error" else _as_error(loads(line))
        for event in events_of(content)
        for line in _documents(event.data)
        if not line.startswith(DONE)
    ]


def _without_done(text: str) -> str:
    """A body without the mark that it is over, as text or as an event's."""
    before = text.rstrip().removesuffix(DONE)
    return text if before == text.rstrip() else before.rstrip().removesuffix("data:").rstrip()


def _documents(data: str) -> Sequence[str]:
    """The JSON documents of one event's data: one, or one a line where a server leaves out the blank lines between events."""
    data = data.strip()
    if framed := _FRAMED.match(data):
        data = data[framed.end() :]
    if "\n" not in data or _is_json(data):
        return (data,) if data.startswith(("{", "[")) else ()
    return [line.strip() for line in data.split("\n") if line.strip().startswith(("{", "["))]  # texts may hold other line ends


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _as_error(document: object) -> object:
    document = document[0] if isinstance(document, list) and len(document) == 1 else document  # Gemini's
    return document if isinstance(document, dict) and document.get("error") else {"error": document}
