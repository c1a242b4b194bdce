"""The reference: bare Starlette and aiohttp, forwarding bytes. No key, no cap, no record."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ.get("BENCHMARK_UPSTREAM", "")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    """One session for the process."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        app.state.session = session
        yield


async def forward(request: Request) -> Response:
    """Send the body on, send the answer back: whole, or each piece of a stream as it comes."""
    headers = {"content-type": "application/json"}
    session: aiohttp.ClientSession = request.app.state.session
    answer = await session.post(UPSTREAM, data=await request.body(), headers=headers)
    if answer.content_type == "text/event-stream":
        return StreamingResponse(_pieces(answer), answer.status, media_type="text/event-stream")
    async with answer:
        return Response(await answer.read(), answer.status, media_type="application/json")


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


app = Starlette(routes=[Route("/v1/chat/completions", forward, methods=["POST"])], lifespan=lifespan)
