"""Reads a received trace back as a tree."""

import asyncio
import os
import re
from collections.abc import Iterator

import aiohttp
from client import Answer, post
from otlp import Arrived, Receiver

CALLER = "00f067aa0ba902b7"


def of_the_share() -> str:
    """A trace id that is sent, whatever happens."""
    return os.urandom(8).hex() + "0" * 15 + "1"


async def traced(http: aiohttp.ClientSession, path: str, body: object, trace: str) -> Answer:
    """Post JSON as a part of a trace."""
    return await post(http, path, body, traceparent=f"00-{trace}-{CALLER}-01")


def drawn(spans: list[Arrived]) -> list[str]:
    """The tree of spans, one line each, indented by depth.

    Siblings are in the order of their beginnings.
    """

    def below(parent: str, depth: int) -> Iterator[str]:
        for span in spans:
            if span.parent == parent:
                yield "  " * depth + span.name + (" failed" if span.failed else "")
                yield from below(span.id, depth + 1)

    return list(below(CALLER, 0))


async def arrived(receiver: Receiver, trace: str, last: str) -> list[Arrived]:
    """The trace, once the span that ends ``last`` is there.

    Spans are in the order of their beginnings.
    """
    spans = await asyncio.to_thread(receiver.trace, trace, lambda names: last in names)
    return sorted(spans, key=lambda span: int(re.findall(r"start_time_unix_nano: (\d+)", span.whole)[0]))
