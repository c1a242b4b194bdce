"""A request that is written without aiohttp's session is the one that the session would write."""

import asyncio
import gc
import socket
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

import aiohttp
import pytest

from app.domain.addresses import web_address
from app.gateway.providers import connections
from app.gateway.providers.connections import Answer, Connections
from app.gateway.providers.errors import Blame, from_transport
from app.gateway.providers.http import Http

HEADERS = {"content-type": "application/json", "accept": "application/json", "user-agent": "octant/1", "x-name": "Zoë"}
PATIENT = 60.0  # seconds; a machine that others use may stand still for some
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Wire:
    """A server that answers each request with ``answer``, and keeps the bytes that came."""

    url: str = ""
    answer: bytes = OK
    came: list[bytes] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                self.came.append(head + await reader.readexactly(int(length.split(b":")[1])))
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield wire
    server.close()


@pytest.fixture
async def to() -> AsyncIterator[Connections]:
    made = Connections(None)
    yield made
    await made.aclose()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT):
        while not holds():  # noqa: ASYNC110 - a list and a transport send no event
            await asyncio.sleep(0.01)


async def _post(to: Connections, url: str, content: bytes = b"{}") -> bytes:
    answer = await to.post(url, HEADERS, content, PATIENT)
    try:
        return await answer.content.readany()
    finally:
        answer.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/a b", "/v1/x?api-version=2024-10-21&b=%2f", "/ü/%C3%BC", ""])
async def test_the_bytes_are_those_of_a_session(wire: Wire, to: Connections, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    await _post(to, wire.url + path)
    monkeypatch.setattr(connections, "AT_ONCE", 0)
    await _post(to, wire.url + path)
    ours, theirs = wire.came
    assert ours == theirs
    assert wire.connections == 1  # they share the pool


@pytest.mark.parametrize(
    ("name", "value"), [("Host", "other.example"), ("Accept-Encoding", "identity"), ("User-Agent", "ours"), ("X-One", "1")]
)
async def test_a_header_of_the_settings_replaces_ours_of_that_name(wire: Wire, name: str, value: str) -> None:
    http = Http(wire.url, {name: value})
    for size in (1, connections.AT_ONCE):
        await http.post("/v1", {"a": "x" * size}, {}, connect=PATIENT)
    await http.aclose()
    for request in wire.came:
        lines = [line for line in request.lower().split(b"\r\n") if line.startswith(name.lower().encode() + b":")]
        assert lines == [f"{name.lower()}: {value}".encode()]
    assert len(wire.came) == 2


@pytest.mark.parametrize("host", ["a\u200bb.example", "a\xadb.example", "a\\b.example"])
async def test_a_base_url_that_settings_take_and_no_client_reads_is_named(to: Connections, host: str) -> None:
    web_address(f"http://{host}/v1")
    with pytest.raises(aiohttp.ClientError) as raised:
        await _post(to, f"http://{host}/v1")
    assert str(from_transport(raised.value, Blame("p", "m"))) == "The base URL is not valid."


async def test_a_user_in_the_base_url_goes_before_the_key(wire: Wire) -> None:
    """As with the SDKs (httpx). aiohttp's session refuses the two together."""
    http = Http(wire.url.replace("//", "//us%C3%A9r:p%40ss@"), {})
    http.use_key("k")
    for size in (1, connections.AT_ONCE):
        await http.post("/v1", {"a": "x" * size}, {}, connect=PATIENT)
    await http.aclose()
    for request in wire.came:
        lines = [line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization:")]
        assert lines == [b"authorization: Basic " + b64encode("usér:p@ss".encode())]
    assert len(wire.came) == 2


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b", "a\x0bb", "a\x1bb", "a\x7fb"])
@pytest.mark.parametrize("name", [True, False])
async def test_a_header_holds_no_control_character(wire: Wire, to: Connections, value: str, *, name: bool) -> None:
    with pytest.raises(ValueError, match="control character"):
        await to.post(wire.url, {**HEADERS, **({value: "x"} if name else {"x-user": value})}, b"{}", PATIENT)
    assert wire.came == []


async def test_an_answer_that_is_left_unread_takes_its_connection_with_it(wire: Wire, to: Connections) -> None:
    wire.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"
    answer = await to.post(wire.url, HEADERS, b"{}", PATIENT)
    waiting = asyncio.create_task(_all(answer.content))
    await asyncio.sleep(0.05)
    answer.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting
    wire.answer = OK
    assert await _post(to, wire.url) == b"{}"
    assert wire.connections == 2


async def _all(content: aiohttp.StreamReader) -> bytes:
    return b"".join([piece async for piece in content.iter_any()])


async def test_a_cancelled_request_takes_its_connection_with_it(wire: Wire, to: Connections) -> None:
    wire.answer = b""
    waiting = asyncio.create_task(_post(to, wire.url))
    await _until(lambda: bool(wire.came))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    wire.answer = OK
    assert await _post(to, wire.url) == b"{}"
    assert wire.connections == 2


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
)
async def test_a_connection_waits_for_the_next_request_and_nothing_for_the_collector(
    wire: Wire, to: Connections, answer: bytes
) -> None:
    wire.answer = answer
    await _post(to, wire.url)
    gc.collect()
    others = _collectable()  # held, or what an earlier test still closes would be found too
    gc.disable()
    try:
        for _ in range(5):
            await _post(to, wire.url)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, Answer | aiohttp.StreamReader)]
        assert not {id(one) for one in left} & {id(one) for one in others}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert wire.connections == 1
    assert left == []


def _collectable() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, Answer | aiohttp.StreamReader)]


async def test_a_request_does_not_queue_behind_one_that_was_refused_unread(
    to: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers a large request before it has read it, and reads no more of that connection."""
    made = connections._Connection.connection_made
    came: list[bytes] = []

    def small(self: connections._Connection, transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        made(self, transport)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        cast("asyncio.Transport", writer.transport).pause_reading()
        writer.write(OK)
        await done.wait()
        writer.close()

    monkeypatch.setattr(connections._Connection, "connection_made", small)
    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for size in (connections.AT_ONCE, 2):
        async with asyncio.timeout(PATIENT):
            assert await _post(to, url, b"x" * size) == b"{}"
    assert len(came) == 2
    done.set()
    server.close()


@pytest.mark.parametrize("coding", ["identity", "deflate"])
async def test_an_answer_that_comes_faster_than_it_is_read_comes_whole(wire: Wire, to: Connections, coding: str) -> None:
    """Its connection is paused, more than once."""
    body = bytes(range(256)) * 20_000
    sent = zlib.compress(body) if coding == "deflate" else body
    wire.answer = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent
    async with asyncio.timeout(PATIENT):
        answer = await to.post(wire.url, HEADERS, b"{}", PATIENT)
        pieces = [await answer.content.readany()]
        while pieces[-1]:
            await asyncio.sleep(0)
            pieces.append(await answer.content.readany())
    answer.close()
    assert b"".join(pieces) == body


@pytest.mark.parametrize("size", [2, connections.AT_ONCE + 1])
@pytest.mark.parametrize("status", [b"200 OK", b"408 Request Timeout"])
async def test_an_answer_that_no_request_waits_for_answers_none(wire: Wire, to: Connections, status: bytes, size: int) -> None:
    """Some proxies send a 408 on a connection that waited too long (Go's client calls it an unsolicited response)."""
    await _post(to, wire.url)
    wire.writers[0].write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 6\r\n\r\nanyone")
    await _until(wire.writers[0].is_closing)
    assert await _post(to, wire.url, b"x" * size) == b"{}"
    assert wire.connections == 2


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 two hundred\r\n\r\n"])
async def test_what_is_no_http_is_an_error_of_the_answer(wire: Wire, to: Connections, answer: bytes) -> None:
    wire.answer = answer
    with pytest.raises((aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError)):
        await _post(to, wire.url)
