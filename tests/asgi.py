"""A request to an application without a server."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message


async def answered(app: ASGIApp, scope: Mapping[str, Any], body: bytes) -> tuple[int, Any]:
    """Send a POST with this body. Returns the status, and the answer's JSON; None where it has no body.

    ``scope`` has the path and the headers, and whatever else differs from a client on this machine.
    """
    path = scope["path"]
    whole = {
        "type": "http", "method": "POST", "raw_path": path.encode(), "query_string": b"", "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80), "root_path": "", **scope,
    }  # fmt: skip
    sent, got = [body], []

    async def receive() -> Message:
        if sent:
            return {"type": "http.request", "body": sent.pop(), "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        got.append(message)

    await app(whole, receive, send)
    return got[0]["status"], json.loads(b"".join(message.get("body", b"") for message in got[1:]) or b"null")
