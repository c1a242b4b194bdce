"""A stream's signs of life: when it is silent, and only then."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from starlette.types import Message

from app.domain.errors import OctantError, ProvidersUnavailable
from app.edge.sse import COMMENT, EventStream, Source, event

TICK = 0.05


class Reader:
    """A client: keeps the frames, and may not take any for a time."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended = False
        self.ready = asyncio.Event()
        self.ready.set()
        self.began, self.commented = asyncio.Event(), asyncio.Event()
        self.waiting = 0
        self.head: list[tuple[bytes, bytes]] = []

    async def send(self, message: Message) -> None:
        assert not self.ended
        self.waiting += 1
        await self.ready.wait()
        self.waiting -= 1
        self.head = message.get("headers", self.head)
        self.got.append(message.get("body", b""))
        self.began.set()
        if self.got[-1] == COMMENT:
            self.commented.set()
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def receive(self) -> Message:
        raise AssertionError


def frame_error(error: OctantError) -> bytes:
    return f"error {error.code}".encode()


async def served(events: AsyncGenerator[bytes, None], reader: Reader, *, interval: float = TICK) -> None:
    await respond(EventStream(events, {}, AsyncExitStack(), frame_error=frame_error), reader, interval=interval)


async def respond(stream: EventStream, reader: Reader, *, interval: float = TICK, first_byte: float = 0.0) -> None:
    edge = SimpleNamespace(keep_alive=interval, first_byte=first_byte)
    app = SimpleNamespace(state=SimpleNamespace(edge=edge))
    await stream({"type": "http", "app": app}, reader.receive, reader.send)


def opening(reader: Reader, ticks: int, failure: Exception | None = None, *, first_byte: float = TICK) -> Awaitable[None]:
    """A stream whose source is long in coming, or fails."""

    async def source(opened: AsyncExitStack) -> Source:
        await asyncio.sleep(ticks * TICK)
        if failure:
            raise failure
        return Source(silent(0), {"octant-model": "m"})

    stream = EventStream(source, {}, AsyncExitStack(), frame_error=frame_error, keep_alive=b"ping")
    return respond(stream, reader, first_byte=first_byte)


async def silent(times: int, failure: Exception | None = None) -> AsyncGenerator[bytes, None]:
    yield b"first"
    await asyncio.sleep(times * TICK)
    if failure:
        raise failure
    yield b"last"


async def test_a_silent_stream_sends_comments_between_its_events() -> None:
    reader = Reader()
    await served(silent(8), reader)
    frames = reader.got[1:-1]
    assert (frames[0], frames[-1]) == (b"first", b"last")
    assert 2 <= len(frames[1:-1]) <= 8
    assert set(frames[1:-1]) == {COMMENT}


@pytest.mark.parametrize(("times", "interval"), [(8, 0.0), (0, TICK)])
async def test_a_lively_stream_or_one_without_an_interval_sends_none(times: int, interval: float) -> None:
    reader = Reader()
    await served(silent(times), reader, interval=interval)
    assert reader.got[1:-1] == [b"first", b"last"]


@pytest.mark.parametrize(("ticks", "interval"), [(1, 4 * TICK), (30, TICK)], ids=["an event waits", "a comment waits"])
async def test_nothing_piles_up_for_a_client_that_does_not_read(ticks: int, interval: float) -> None:
    reader = Reader()
    serving = asyncio.create_task(served(silent(ticks), reader, interval=interval))
    await asyncio.wait_for(reader.began.wait(), 120)
    reader.ready.clear()
    await asyncio.sleep(20 * TICK)
    assert reader.waiting == 1
    reader.ready.set()
    await serving
    assert reader.got[-2:] == [b"last", b""]


@pytest.mark.parametrize("line_end", ["\u2028", "\u2029", "\x85"])
async def test_no_character_of_a_text_is_a_line_end_to_a_client(line_end: str) -> None:
    """`iter_lines` of httpx and `str.splitlines` split at more than the protocol does, and would read half an event."""

    async def texts() -> AsyncGenerator[bytes, None]:
        yield event({"text": f"é{line_end}b"})

    reader = Reader()
    await served(texts(), reader)
    lines = b"".join(reader.got).decode().splitlines()
    assert [json.loads(line.removeprefix("data: ")) for line in lines if line] == [{"text": f"é{line_end}b"}]


async def test_a_failure_is_the_last_frame_and_a_cancelled_stream_leaves_no_timer() -> None:
    reader = Reader()
    with pytest.raises(ProvidersUnavailable):
        await served(silent(4, ProvidersUnavailable("cut")), reader)
    assert reader.got[-2:] == [b"error providers_unavailable", b""]
    reader = Reader()
    serving = asyncio.create_task(served(silent(1000), reader))
    await asyncio.wait_for(reader.commented.wait(), 120)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    sent = len(reader.got)
    await asyncio.sleep(4 * TICK)
    assert len(reader.got) == sent


async def test_a_source_that_comes_in_time_sends_its_own_headers_first() -> None:
    reader = Reader()
    await opening(reader, 0)
    assert reader.got == [b"", b"first", b"last", b""]
    assert (b"octant-model", b"m") in reader.head


async def test_headers_leave_without_a_source_that_is_late_and_a_comment_with_them() -> None:
    """Never an event of the protocol: its first one has not come."""
    reader = Reader()
    await opening(reader, 6)
    assert reader.got[0] == b""
    assert set(reader.got[1:-3]) == {COMMENT}
    assert reader.got[-3:] == [b"first", b"last", b""]


@pytest.mark.parametrize(("ticks", "first_byte"), [(0, TICK), (6, 0.0)], ids=["early", "never"])
async def test_a_failure_before_the_first_byte_is_no_stream(ticks: int, first_byte: float) -> None:
    """So it has its HTTP status."""
    reader = Reader()
    with pytest.raises(ProvidersUnavailable):
        await opening(reader, ticks, ProvidersUnavailable("none"), first_byte=first_byte)
    assert reader.got == []


async def test_a_failure_after_the_first_byte_is_the_last_event() -> None:
    reader = Reader()
    with pytest.raises(ProvidersUnavailable):
        await opening(reader, 6, ProvidersUnavailable("none"))
    assert reader.got[-2:] == [b"error providers_unavailable", b""]
