"""One reading for all open pages of a worker."""

import asyncio

import pytest

from app.console import read_once
from app.console.read_once import ReadOnce


async def test_one_reading_serves_all_open_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The diagnosis reads an hour of attempts on three connections: ten tabs had left the gateway without one."""
    reads = 0

    async def reading() -> int:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return reads

    shared = ReadOnce(reading)
    assert await asyncio.gather(*(shared.read() for _ in range(10))) == [1] * 10
    assert await shared.read() == 1
    monkeypatch.setattr(read_once, "EVERY", 0.0)
    assert await shared.read() == 2


async def test_a_page_that_is_left_does_not_end_the_reading_of_the_others() -> None:
    """The browser had closed one of three tabs, and the other two were cancelled with it."""
    answer = asyncio.Event()

    async def reading() -> str:
        await answer.wait()
        return "read"

    shared = ReadOnce(reading)
    left, stays = asyncio.create_task(shared.read()), asyncio.create_task(shared.read())
    await asyncio.sleep(0)
    left.cancel()
    answer.set()
    assert await stays == "read"
    with pytest.raises(asyncio.CancelledError):
        await left
