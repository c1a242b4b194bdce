"""Live pages (X2): many at once, and none of them can take the places of all."""

import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest
from starlette.requests import Request

from app.console import live
from app.console.console import SESSION, Console
from app.console.live import MOST_OF_ONE, stream
from app.console.sessions import Holder, Session
from app.domain.errors import RateLimited


@pytest.fixture
def console() -> Console:
    return cast("Console", SimpleNamespace(parts=SimpleNamespace(running=SimpleNamespace(draining=False))))


async def opened(console: Console, session: Session) -> AsyncIterator[str]:
    """A page that has begun."""

    async def write() -> str:
        return "<p>part</p>"

    page = cast("AsyncIterator[str]", stream(Request({"type": "http", SESSION: session}), console, write).body_iterator)
    await anext(page)
    return page


def a_session() -> Session:
    return Session(uuid.uuid4(), Holder(role="viewer"), "0")


async def test_one_session_leaves_places_for_others(console: Console) -> None:
    mine, other = a_session(), a_session()
    pages = [await opened(console, mine) for _ in range(MOST_OF_ONE)]
    with pytest.raises(RateLimited, match="of this session"):
        await opened(console, mine)
    pages += [await opened(console, other)]
    await pages[0].aclose()  # type: ignore[attr-defined]
    pages += [await opened(console, mine)]
    for page in pages:
        await page.aclose()  # type: ignore[attr-defined]
    assert not live._open
