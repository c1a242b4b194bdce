"""The documents of one stream of Anthropic's messages, with the accents of servers' Server-Sent Events.

Events may have no names, or all the same: then their documents say what they are. Other names are passed over, as the vendor asks
(docs.anthropic.com, "Streaming messages", Other events): Vertex sends some. A message may come in the place of a stream, and the
other way round. Errors are raised as StatusError.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from app.domain.json_text import loads
from app.gateway.providers.errors import ProtocolError, error_within
from app.gateway.providers.http import NO_HEADERS, Events, StatusError, parsed
from app.gateway.providers.sse import Event, events_of, is_stream

KINDS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)
UNNAMED = frozenset({"", "message"})


async def documents(events: Events, read: Callable[[str], object]) -> AsyncGenerator[object, None]:
    """The documents as ``read`` reads each, or as the stream's reader did. Raises ValueError for data that is no JSON."""
    if await events.starts_as_json():
        yield _message(await events.whole(), events.headers)
        return
    async for event in events:
        if not isinstance(event, Event):
            yield event
        elif (document := _document(event, read, events.headers)) is not None:
            yield document


def body_documents(content: bytes) -> list[object]:
    """The documents of a body that came whole: a message, or the events of a stream. Raises as `documents`."""
    if not is_stream(content):
        return [_message(content, NO_HEADERS)]
    found = (_document(event, loads, NO_HEADERS) for event in events_of(content))
    return [document for document in found if document is not None]


def _message(content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    document = loads(content)
    if error_within(document) is not None:
        raise StatusError(200, headers, document)
    if not isinstance(document, dict) or document.get("type") not in ("message", None) or "content" not in document:
        raise ProtocolError("An answer that is no message.")
    return {**document, "type": "message"}


def _document(event: Event, read: Callable[[str], object], headers: Mapping[str, str]) -> object:
    """One event's document; None where it says nothing."""
    if event.name == "error":
        raise StatusError(200, headers, parsed(event.data))
    known = event.name in KINDS
    data = event.data.strip()
    if not (known or event.name in UNNAMED) or not data or (not known and not data.startswith("{")):
        return None
    document = read(data)
    if type(document) is not dict or document.get("type") in KINDS:
        return document
    if error_within(document) is not None:
        raise StatusError(200, headers, document)
    return document if known else None
