"""A provider that is faster than we are, or whose answer is very large, holds up no other call of the worker."""

import asyncio
import threading
from typing import Any, Self, cast

import pytest
from answered import response

from app.domain import waiting
from app.domain.waiting import LARGE, aside
from app.gateway.providers import http
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.http import Events

EVENT = b"data: {}\n\n"
PIECES = 50


class Others:
    """Counts how often another task has its turn within the block."""

    async def __aenter__(self) -> Self:  # noqa: D105
        self.turns = 0
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        self.turns = 0
        return self

    async def __aexit__(self, *_: object) -> None:  # noqa: D105
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(http, "WAITED", 3600.0)  # no read here is a wait, however busy the machine


async def test_events_that_come_in_many_pieces_let_others_go_on() -> None:
    async with Others() as others:
        assert len([event async for event in Events(response(*[EVENT] * PIECES))]) == PIECES
        assert others.turns >= PIECES


async def test_events_that_come_in_one_piece_let_others_go_on() -> None:
    async with Others() as others:
        assert len([event async for event in Events(response(EVENT * PIECES * 16))]) == PIECES * 16
        assert others.turns >= PIECES


async def test_a_stream_that_is_waited_for_gives_no_turn_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TURN_SECONDS", 3600.0)
    async with Others() as others:
        assert [event async for event in Events(response(*[EVENT] * PIECES))]
        assert others.turns == 0


async def test_a_whole_answer_that_comes_in_pieces_lets_others_go_on() -> None:
    async with Others() as others:
        assert await Events(response(*[b"x"] * PIECES)).whole() == b"x" * PIECES
        assert others.turns >= PIECES


async def test_an_answer_beyond_all_measure_is_garbled_and_its_connection_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_REPLY", 10)
    cut = response(*[b"x"] * 11)
    with pytest.raises(ProtocolError, match="too large"):
        await Events(cut).whole()
    assert cast("Any", cut).closed


async def test_work_that_its_caller_leaves_is_over_before_the_caller_is() -> None:
    """What a check finds is noted where the call ends: not behind its back."""
    begun, go_on, found = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(10)
        found.append("a leak")

    task = asyncio.create_task(aside(LARGE + 1, work))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == ["a leak"]


async def test_work_on_a_large_text_is_done_in_a_thread_and_on_a_small_one_here() -> None:
    here = threading.get_ident()
    assert await aside(LARGE, threading.get_ident) == here
    assert await aside(LARGE + 1, threading.get_ident) != here
