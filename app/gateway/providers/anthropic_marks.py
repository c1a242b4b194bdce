"""Cache marks of a request to Anthropic, kept within its limits. Pure.

The vendor takes four marks, and none for five minutes before one for an hour (docs.anthropic.com, "Prompt caching"). A prompt of
ours brings a mark of its own, so a caller that keeps to the limits can still be over them. A mark is about money, never about the
answer: those that are too many go, the earliest first, as a later one covers the same prefix.
"""

from collections.abc import Iterator
from typing import Any

MOST = 4

Json = dict[str, Any]


def within_limits(body: Json) -> None:
    """Take out the marks of ``body`` that the vendor would refuse."""
    marked = list(_marked(body))
    automatic = body.get("cache_control")
    hours = [at for at, block in enumerate(marked) if block["cache_control"].get("ttl") == "1h"]
    last_hour = len(marked) if automatic and automatic.get("ttl") == "1h" else max(hours, default=-1)
    kept = [block for at, block in enumerate(marked) if at >= last_hour or at in hours]
    kept = kept[max(0, len(kept) - MOST + bool(automatic)) :]
    for block in marked:
        if not any(block is one for one in kept):
            del block["cache_control"]


def _marked(body: Json) -> Iterator[Json]:
    """The blocks with a mark, in the order in which the vendor reads them."""
    for tool in body.get("tools", ()):
        yield from _own(tool)
    for block in body.get("system", ()):
        yield from _own(block)
    for message in body["messages"]:
        for block in message["content"]:
            inner = block.get("content")
            for part in inner if isinstance(inner, list) else ():
                yield from _own(part)
            yield from _own(block)


def _own(block: Json) -> Iterator[Json]:
    if block.get("cache_control"):
        yield block
