"""An answer is written as uvicorn writes it, to the byte, but its head leaves with the first of its body."""

import asyncio
import re
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.stack.answering import Answer, Ending
from app.stack.descriptors import Descriptors
from app.stack.protocol import Patience, with_patience

Message = dict[str, Any]
JSON = [(b"content-type", b"application/json"), (b"Content-Length", b"2")]


def head(status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers or []}


def body(piece: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


ANSWERS: dict[str, list[Message]] = {
    "whole": [head(headers=JSON), body(b"{}")],
    "in-two-pieces": [head(headers=JSON), body(b"{", more=True), body(b"}")],
    "stream": [head(), body(b"data: 1\n\n", more=True), body(b"data: 22222222222222\n\n", more=True), body()],
    "stream-that-ends-with-text": [head(), body(b"a", more=True), body(b"b")],
    "empty-stream": [head(), body()],
    "no-content": [head(204), body()],
    "not-modified": [head(304), body()],
    "nothing": [head(headers=[(b"content-length", b"0")]), body()],
    "error": [head(503, [*JSON, (b"retry-after", b"1")]), body(b"{}")],
    "goodbye": [head(headers=[*JSON, (b"connection", b"close")]), body(b"{}")],
    "several-of-a-name": [head(headers=[*JSON, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=\xc3\xa9\t2")]), body(b"{}")],
    "names-in-lists": [{**head(), "headers": [[b"X-One", b"1"], [b"Content-Length", b"2"]]}, body(b"{}")],
    "unknown-status": [head(599, JSON), body(b"{}")],
    "name-of-two-words": [head(headers=[*JSON, (b"x y", b"1")]), body(b"{}")],
    "value-of-two-lines": [head(headers=[*JSON, (b"x", b"1\r\ny: 2")]), body(b"{}")],
    "too-long": [head(headers=JSON), body(b"{ }")],
    "too-short": [head(headers=JSON), body(b"{")],
    "no-end": [head(headers=JSON), body(b"{", more=True)],
    "no-body": [head(headers=JSON)],
    "no-body-of-a-stream": [head()],
    "nothing-at-all": [],
    "twice": [head(headers=JSON), body(b"{}"), body(b"{}")],
    "body-of-204": [head(204), body(b"x")],
    "two-heads": [head(), head(500)],
    "two-heads-behind-a-piece": [head(), body(b"data: 1\n\n", more=True), head(500, JSON)],
    "no-head": [body(b"{}")],
}


async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    await receive()
    for message in ANSWERS[scope["path"][1:]]:
        await send({**message})


async def _answered(protocol: Any, request: bytes) -> bytes:  # noqa: ANN401 - a protocol's class
    """All that comes back."""
    config = Config(application, timeout_keep_alive=1, access_log=False, log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    made = await loop.create_server(lambda: protocol(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", made.sockets[0].getsockname()[1])
    writer.write(request)
    async with asyncio.timeout(30):
        found = await reader.read()
    writer.close()
    made.close()
    return re.sub(rb"date: [^\r]*", b"date: now", found)


OURS = with_patience(Patience(30.0, 30.0, 30.0, 2**16, lambda _: None, Descriptors(1)))
WORDS = {
    "get": b"GET /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "head": b"HEAD /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "two-at-once": b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\nGET /whole HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "waits-for-100": b"POST /%b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx",
}
BROKEN = {
    "name-of-two-words",
    "value-of-two-lines",
    "too-long",
    "too-short",
    "no-end",
    "no-body",
    "no-body-of-a-stream",
    "body-of-204",
    "two-heads",
    "two-heads-behind-a-piece",
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("answer", sorted(ANSWERS.keys() - BROKEN))
async def test_the_bytes_are_those_of_uvicorn(answer: str, words: str) -> None:
    request = WORDS[words] % answer.encode()
    ours, theirs = await _answered(OURS, request), await _answered(HttpToolsProtocol, request)
    assert ours == theirs
    assert ours.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("answer", sorted(BROKEN))
async def test_an_answer_that_breaks_off_is_seen_as_one(answer: str) -> None:
    """Its connection ends before its length, or it is one of 500."""
    ours = await _answered(OURS, WORDS["two-at-once"] % answer.encode())
    assert ours.count(b"HTTP/1.1 ") <= 1
    assert not ours.endswith(b"{}")


@pytest.mark.parametrize("answer", sorted(BROKEN - {"no-end", "two-heads", "two-heads-behind-a-piece"}))
async def test_an_answer_that_fails_before_it_left_is_one_of_500(answer: str) -> None:
    """Not an end without an answer: some clients and proxies send their request again after that."""
    ours = await _answered(OURS, WORDS["two-at-once"] % answer.encode())
    assert ours.startswith(b"HTTP/1.1 500 ")
    assert ours.endswith(b"Internal Server Error")


@pytest.mark.parametrize("answer", ["two-heads", "two-heads-behind-a-piece"])
async def test_a_second_head_does_not_end_a_stream_as_if_it_were_whole(answer: str) -> None:
    ours = await _answered(OURS, WORDS["get"] % answer.encode())
    assert ours.startswith(b"HTTP/1.1 ")
    assert not ours.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x", b"\0"), (b"x y", b"a"), (b"x\r\ny", b"a")])
async def test_a_header_ends_no_line(header: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "injected", [head(headers=[header, *JSON]), body(b"{}")])
    found = await _answered(OURS, WORDS["get"] % b"injected")
    assert found.startswith(b"HTTP/1.1 500 ")
    assert b": ".join(header) not in found


class Transport:
    """Keeps what is written, one entry for each call of the system."""

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


class Flow:
    write_paused = False


def begun() -> tuple[Answer, Transport]:
    transport, logger = Transport(), cast("Any", None)
    scope = cast("Any", {"method": "GET", "http_version": "1.1"})
    answer = Answer(
        scope, cast("asyncio.Transport", transport), cast("Any", Flow()), logger, logger, access_log=False, default_headers=[],
        message_event=asyncio.Event(), expect_100_continue=False, keep_alive=True, on_response=lambda: None,
    )  # fmt: skip
    return answer, transport


async def test_head_and_body_are_one_write() -> None:
    for whole in (True, False):
        answer, transport = begun()
        await answer.send(head(headers=JSON if whole else []))
        await answer.send(body(b"{}", more=not whole))
        await asyncio.sleep(0)
        assert len(transport.written) == 1
        assert b"{}" in transport.written[0]


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    answer, transport = begun()
    await answer.send(head())
    await asyncio.sleep(0)
    assert len(transport.written) == 1
    await answer.send(body(b"data: 1\n\n", more=True))
    assert transport.written[1:] == [b"9\r\ndata: 1\n\n\r\n"]


async def test_after_its_end_nothing_is_written() -> None:
    transport = Transport()
    ending = Ending(cast("asyncio.Transport", transport), transport.close)
    ending.write(b"a")
    ending.write_eof()
    ending.write(b"b")
    ending.writelines([b"c"])
    ending.close()
    assert transport.written == [b"a", b"EOF", b"CLOSED"]
    mine: Any = ending
    assert mine.is_closing(), "all else is the transport's own"
