"""The provider behind the service: one server that speaks both vendors' forms and plays the script of the request.

It prints its port. `GET /control/refused` returns and forgets the requests that it refused, as the vendor would have, and
`GET /control/left` the scripts of the streams that were left before their end.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from aiohttp import web

from clients import model_anthropic, model_openai, refusals, script

_NUMBERS = itertools.count(1)
_REFUSED: list[str] = []
_LEFT: list[str] = []


async def chat(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    body = await request.json()
    return await _answer(request, body, model_openai, refusals.of_openai(body))


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    body = await request.json()
    return await _answer(request, body, model_anthropic, refusals.of_anthropic(body))


async def embeddings(request: web.Request) -> web.Response:
    """`POST /v1/embeddings`."""
    return web.json_response(model_openai.embeddings(await request.json()))


async def count(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`."""
    return web.json_response({"input_tokens": script.tokens((await request.json())["messages"])})


async def _answer(request: web.Request, body: dict[str, Any], wire: ModuleType, refused: str | None) -> web.StreamResponse:
    if refused:
        _REFUSED.append(refused)
        return web.json_response(wire.error(400, "invalid", refused), status=400)
    step, identity = wire.read(body).step(), f"{next(_NUMBERS):06d}"
    if "error" in step:
        status, code = step["error"]
        return web.json_response(wire.error(status, code, "The script says so."), status=status)
    if not body.get("stream"):
        return web.json_response(wire.whole(step, body, identity))
    return await _stream(request, wire.events(step, body, identity), step)


async def _stream(request: web.Request, events: Iterator[bytes], step: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    try:
        for event in events:
            await response.write(event)
            await asyncio.sleep(step.get("pause", 0))
    except (ConnectionError, asyncio.CancelledError):
        _LEFT.append(str(step.get("say")))
        raise
    await response.write_eof()
    return response


def _taken(of: list[str]) -> web.Response:
    found = list(of)
    of.clear()
    return web.json_response(found)


async def refused(request: web.Request) -> web.Response:
    """`GET /control/refused`."""
    del request
    return _taken(_REFUSED)


async def left(request: web.Request) -> web.Response:
    """`GET /control/left`."""
    del request
    return _taken(_LEFT)


def application() -> web.Application:
    """The server's paths."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/messages", messages)
    app.router.add_post("/v1/messages/count_tokens", count)
    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_get("/control/refused", refused)
    app.router.add_get("/control/left", left)
    return app


async def serve() -> None:
    """Serve on a free port, printed first."""
    runner = web.AppRunner(application(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
