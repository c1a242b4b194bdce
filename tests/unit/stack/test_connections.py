"""Connections have limits of time, a slow reader is not one that has stopped, and a client of HTTP/1.0 gets no chunks."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.stack.descriptors import Descriptors
from app.stack.protocol import HALF_SECONDS, LAST_SECONDS, Patience, with_patience

KEEP_ALIVE = 4
ANSWER_SECONDS = 1.0
LARGE = 24 * 2**20
HELD = asyncio.Event()
SLOW_SECONDS = 5.0  # of an answer for which no one who has left is waited
PATIENT = 30.0  # seconds; a connection without a limit stays for ever


async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    """Answer at once, without reading the body; `/large` with megabytes, `/stream` in pieces, `/held` with a pause.

    `/begun` begins with less than is too much to wait for its client.
    """
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 48 * 1024, "more_body": True})
        await asyncio.sleep(SLOW_SECONDS)
        return
    if scope["path"] in ("/stream", "/held"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if scope["path"] == "/held":
                await HELD.wait()
        await send({"type": "http.response.body", "body": b""})
        return
    await asyncio.sleep(scope["path"] == "/slow" and SLOW_SECONDS)
    body = b"x" * LARGE if scope["path"] == "/large" else b"no"
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def cuts() -> list[str]:
    return []


@pytest.fixture
def made() -> list[Any]:
    """The connections of the server, in their order."""
    return []


@pytest_asyncio.fixture
async def port(cuts: list[str], made: list[Any]) -> AsyncIterator[int]:
    config = Config(application, timeout_keep_alive=KEEP_ALIVE, access_log=False, log_config=None)
    config.load()
    kind: Any = with_patience(Patience(30.0, 30.0, ANSWER_SECONDS, 2**16, cuts.append, Descriptors(1)))

    def connection() -> Any:  # noqa: ANN401 - a class made for the test
        made.append(kind(config=config, server_state=ServerState(), app_state={}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_refused_body_that_ends_leaves_its_connection_a_limit(port: int) -> None:
    """The answer ends uvicorn's wait for a body, and the body's end its wait for the next request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\nno"), PATIENT)).startswith(b"HTTP/1.1 200 ")
    writer.write(b"cd")
    await writer.drain()
    assert await asyncio.wait_for(reader.read(), PATIENT) == b""
    writer.close()


async def test_a_connection_on_one_of_the_last_descriptors_is_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """The fixture's limit is one. Once there is none, the system closes new connections without a word."""
    (await asyncio.open_connection("127.0.0.1", port))[1].close()
    async with asyncio.timeout(PATIENT):
        while "few descriptors are left" not in caplog.text:  # noqa: ASYNC110 - a log sends no event
            await asyncio.sleep(0.01)


async def asked(port: int) -> socket.socket:
    """A client with a small buffer that has asked for megabytes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
    return client


async def test_a_client_that_takes_a_little_now_and_then_gets_all_of_its_answer(port: int, cuts: list[str]) -> None:
    client, loop, taken = await asked(port), asyncio.get_running_loop(), 0
    until = loop.time() + 4 * ANSWER_SECONDS
    while taken < LARGE:
        piece = await asyncio.wait_for(loop.sock_recv(client, 2**14 if loop.time() < until else 2**20), PATIENT)
        assert piece, f"cut after {taken} bytes: {cuts}"
        taken += len(piece)
        if loop.time() < until:
            await asyncio.sleep(0.1)
    assert cuts == []
    client.close()


async def test_a_client_that_takes_nothing_is_cut_off_once(port: int, cuts: list[str]) -> None:
    client = await asked(port)
    async with asyncio.timeout(PATIENT):
        while not cuts:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.5 * ANSWER_SECONDS)
    assert cuts == ["slow_reader"]
    client.close()


async def answer_to(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The head and the body that come until the connection closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await asyncio.wait_for(reader.read(), PATIENT)).partition(b"\r\n\r\n")
    writer.close()
    return head, body


@pytest.mark.parametrize(("path", "body"), [("/stream", b"data: 1\n\ndata: 2\n\n"), ("/", b"no")])
async def test_a_client_of_http_1_0_gets_its_answer_without_chunks(port: int, path: str, body: bytes) -> None:
    """Its answer ends with the connection, which its wish to keep does not change."""
    for wish in ("", "connection: keep-alive\r\n"):
        head, got = await answer_to(port, f"POST {path} HTTP/1.0\r\n{wish}content-length: 0\r\n\r\n".encode())
        assert (got, b"transfer-encoding" in head, b"connection: close" in head) == (body, False, True)


async def test_a_client_of_http_1_1_gets_a_stream_in_chunks(port: int) -> None:
    head, got = await answer_to(port, b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert got.endswith(b"\r\n0\r\n\r\n")


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"connection: close"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def idle(port: int, request: bytes = REQUEST, end: bytes = b"no") -> Client:
    """A client whose first request is answered, on a connection that stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    assert LAST not in await asyncio.wait_for(reader.readuntil(end), PATIENT)
    return reader, writer


async def last_answer(client: Client) -> bytes:
    """All that comes to one more request, until the connection closes."""
    reader, writer = client
    writer.write(REQUEST)
    answer = await asyncio.wait_for(reader.read(), PATIENT)
    writer.close()
    return answer


async def test_an_idle_connection_of_a_stopping_worker_answers_once_more_and_says_so(port: int, made: list[Any]) -> None:
    """A proxy knows that a connection has ended only some time after it closed: what it sends until then would be lost."""
    used, fresh = await idle(port), await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.1)
    for connection in made:
        connection.shutdown()
    await asyncio.sleep(LAST_SECONDS / 2)
    for client in (used, fresh):
        assert LAST in await last_answer(client)


async def test_an_idle_connection_of_a_stopping_worker_closes_soon(port: int, made: list[Any]) -> None:
    reader, writer = await idle(port)
    made[0].shutdown()
    assert await asyncio.wait_for(reader.read(), KEEP_ALIVE / 2) == b""
    writer.close()


async def test_a_stream_that_begins_before_a_stop_leaves_its_connection_a_moment(port: int, made: list[Any]) -> None:
    """Its head has left without a word of the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), PATIENT)
    made[0].shutdown()
    HELD.set()
    assert LAST not in await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), PATIENT)
    assert LAST in await last_answer((reader, writer))


async def test_an_idle_connection_is_not_closed_over_a_request_that_has_come(port: int, made: list[Any]) -> None:
    """The system has its bytes, this process has not read them: TCP would answer with a reset."""
    reader, writer = await idle(port)
    writer.write(REQUEST)  # to the system at once; the server reads nothing before the next await
    made[0].timeout_keep_alive_handler()
    assert (await asyncio.wait_for(reader.readuntil(b"no"), PATIENT)).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize(("path", "answered"), [("/", True), ("/stream", True), ("/slow", False)])
async def test_a_client_that_sends_no_more_has_a_moment_for_its_answer(port: int, path: str, answered: bool) -> None:
    """It may have left: nothing but an answer tells, and a call would be paid for until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = asyncio.get_running_loop().time()
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), PATIENT)
    assert answer.endswith((b"no", b"0\r\n\r\n")) == answered
    assert asyncio.get_running_loop().time() - began < (KEEP_ALIVE if answered else SLOW_SECONDS - 1)
    writer.close()


async def test_a_client_that_neither_sends_nor_takes_more_is_cut_off(port: int, made: list[Any], cuts: list[str]) -> None:
    """Its connection was closed once all was taken: never, and its call went on."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    await asyncio.sleep(0.1)
    made[0].transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    client.send(b"GET /begun HTTP/1.1\r\nhost: x\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    await asyncio.sleep(2 * HALF_SECONDS + 2 * ANSWER_SECONDS)
    assert cuts == ["slow_reader"]
    assert made[0].cycle.disconnected
    client.close()


async def test_a_quick_stop_closes_an_unused_connection_at_once(port: int, made: list[Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.1)
    made[0].shutdown()
    made[0].close_idle()
    assert await asyncio.wait_for(reader.read(), LAST_SECONDS / 2) == b""
    writer.close()
