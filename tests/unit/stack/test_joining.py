"""An answer's head leaves with the first of its body, and never waits for it."""

import asyncio
from typing import Any, cast

from app.stack.answering import Joining

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"{}"


class Transport:
    """Keeps what is written, one entry for each call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        self.written.append(b"".join(pieces))

    def write_eof(self) -> None:
        self.written.append(b"EOF")

    def close(self) -> None:
        self.written.append(b"CLOSED")

    def is_closing(self) -> bool:
        return b"CLOSED" in self.written


def joining() -> tuple[Joining, Transport]:
    transport = Transport()
    return Joining(cast("asyncio.Transport", transport), asyncio.get_running_loop(), transport.close), transport


async def test_head_and_body_are_one_write() -> None:
    joined, transport = joining()
    joined.write(HEAD)
    joined.write(BODY)
    joined.write(b"more")
    await asyncio.sleep(0)
    assert transport.written == [HEAD + BODY, b"more"]


async def test_a_head_without_a_body_leaves_in_the_same_turn() -> None:
    joined, transport = joining()
    joined.write(HEAD)
    await asyncio.sleep(0)
    assert transport.written == [HEAD]
    joined.write(BODY)
    assert transport.written == [HEAD, BODY]


async def test_nothing_is_lost_where_the_connection_ends() -> None:
    for end, last in (("close", b"CLOSED"), ("write_eof", b"EOF")):
        joined, transport = joining()
        joined.write(HEAD)
        getattr(joined, end)()
        await asyncio.sleep(0)
        assert transport.written == [HEAD, last]


async def test_all_else_is_the_transport_s_own() -> None:
    joined, transport = joining()
    mine: Any = joined
    assert not mine.is_closing()
    transport.close()
    assert mine.is_closing()
