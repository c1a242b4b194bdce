"""Live parts: server-sent events with a part of a page, written anew every few seconds.

The browser puts each part in place of the one before, and shows its age; without events it turns amber by itself.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.console.console import SESSION, Console, session_of
from app.console.sessions import Session
from app.domain.errors import RateLimited

EVERY = 2.0
LONGEST = 300.0  # the browser connects again, and its session is looked up anew
MOST_AT_ONCE = 50  # of one worker: each costs a query every two seconds
MOST_OF_ONE = 20  # of one session: many tabs, and still room for others
TICK = 0.25
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

_open: dict[int, uuid.UUID] = {}  # sessions, by request


def stream(request: Request, console: Console, write: Callable[[], Awaitable[str]], *, every: float = EVERY) -> StreamingResponse:
    """Send what ``write`` returns, now and ``every`` so many seconds. Raises RateLimited where too many are open."""
    if len(_open) >= MOST_AT_ONCE:
        raise RateLimited("Too many live pages are open on this worker.", retry_after=10.0)
    session: Session = request.scope[SESSION]
    if list(_open.values()).count(session.id) >= MOST_OF_ONE:
        raise RateLimited("Too many live pages of this session are open: close some.", retry_after=10.0)
    return StreamingResponse(_events(request, console, write, every), media_type="text/event-stream", headers=HEADERS)


async def _events(request: Request, console: Console, write: Callable[[], Awaitable[str]], every: float) -> AsyncIterator[str]:
    me, session = id(request), request.scope[SESSION]
    _open[me] = session.id
    ends = time.monotonic() + LONGEST
    try:
        yield f"retry: {int(every * 1000)}\n\n"
        while time.monotonic() < ends and not console.parts.running.draining:
            if await session_of(request) is None:
                yield "event: over\ndata: {}\n\n"
                return
            yield f"event: part\ndata: {json.dumps({'html': await write(), 'every': every})}\n\n"
            wakes = time.monotonic() + every
            while time.monotonic() < wakes and not console.parts.running.draining:  # noqa: ASYNC110
                await asyncio.sleep(TICK)  # the end of the process is a flag
    finally:
        _open.pop(me, None)
