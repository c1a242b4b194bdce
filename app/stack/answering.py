"""The way out of a connection: answers as they are written, clients that take nothing, ends that lose no answer."""

import asyncio
import fcntl
import termios
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

BODILESS = (204, 304)
# Bytes that no header's name or value may hold. A table finds them in a tenth of the time of uvicorn's pattern.
NO_NAMES = bytes(code for code in range(256) if HEADER_RE.match(bytes([code])))
NO_VALUES = bytes(code for code in range(256) if HEADER_VALUE_RE.match(bytes([code])))
LINGER_SECONDS, LONGEST_LINGER = 1.0, 10.0  # without a byte of what a refused client still sends; and in all


def unread(transport: asyncio.Transport) -> int:
    """Bytes that have come and wait to be read. Closed with them, TCP resets: their request is lost."""
    return _counted(transport, termios.FIONREAD)


def _counted(transport: asyncio.Transport, question: int) -> int:
    """The system's answer to a question about a socket; 0 where it has none."""
    found = array("i", [0])
    with suppress(OSError, AttributeError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), question, found)
    return found[0]


class Ending:
    """A transport whose end is the protocol's: it may have to wait for the client."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        """``close`` is how a connection ends, once all is written."""
        self._transport = transport
        self._close = close
        self._ended = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        """All else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write; after the end, nothing."""
        if not self._ended:
            self._transport.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Write them in one call of the system; after the end, nothing."""
        if not self._ended:
            self._transport.writelines(pieces)

    def write_eof(self) -> None:
        """Say that nothing follows."""
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """End the connection as it is to end."""
        self._close()

    def lost(self) -> None:
        """The connection is gone: hold its protocol, which holds this, no longer."""
        self._close = self._transport.close


class Taking:
    """An answer that waits for its client. One that is never read holds its call's money and a provider's connection.

    ``cut`` is called once the client has taken nothing for ``seconds``.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float, cut: Callable[[], None]
    ) -> None:
        """It waits from now on."""
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._cut = cut
        self._untaken = self._waiting()
        self._timer = loop.call_later(seconds, self._look)

    def end(self) -> None:
        """Nothing waits any more."""
        self._timer.cancel()

    def _waiting(self) -> int:
        """Bytes, those in the system's buffer too: it may hold megabytes, and takes more only once many of them are gone."""
        return self._transport.get_write_buffer_size() + _counted(self._transport, termios.TIOCOUTQ)

    def _look(self) -> None:
        waiting = self._waiting()
        if waiting < self._untaken:
            self._untaken = waiting
            self._timer = self._loop.call_later(self._seconds, self._look)
        else:
            self._cut()


def _holds(text: bytes, some: bytes) -> bool:
    return len(text.translate(None, some)) < len(text)


class Linger:
    """The end of a connection whose client still sends. Closed with bytes unread, TCP resets, and the answer is lost.

    So it closes once the client has, or has stopped sending, as RFC 9112, 9.6 asks. Clients that send a whole body before they
    read, as Python's urllib does, would see no refusal.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """It begins now: nothing more is written."""
        self._transport = transport
        self._loop = loop
        self._heard = loop.time()
        self._latest = self._heard + LONGEST_LINGER
        transport.write_eof()
        loop.call_later(LINGER_SECONDS, self._look)

    def heard(self) -> None:
        """The client goes on sending."""
        self._heard = self._loop.time()

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._heard < LINGER_SECONDS and now < self._latest:
            self._loop.call_later(LINGER_SECONDS, self._look)
        else:
            self._transport.close()


class Answer(RequestResponseCycle):
    """An answer whose head leaves with the first of its body; that of a stream at the end of the loop's turn at the latest.

    uvicorn writes them apart: two calls of the system, two packets, and a client that is woken twice. It also sends chunks to
    everyone. They are HTTP/1.1's (RFC 9112, 6.1): to a client of HTTP/1.0 an answer without a length ends with the connection.
    An answer that fails before its head has left is uvicorn's answer of 500, which replaces the head.
    """

    _head = b""
    _endless = False

    @property
    def head_made(self) -> bool:
        """Whether its head can no longer say that it is the last."""
        return bool(self._head) or self.response_started

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Write a head, or more of a body. Raises RuntimeError for an answer that HTTP cannot say."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], [*self.default_headers, *message["headers"]])
        elif kind == "http.response.body" and (self.response_started or self._head) and not self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"No {kind} can follow.")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        fields = [(name.lower(), value) for name, value in headers]
        found = dict(fields)
        if _holds(b"".join(found), NO_NAMES) or _holds(b"".join([value for _, value in fields]), NO_VALUES):
            raise RuntimeError("A header's name or value is not valid.")
        self.waiting_for_100_continue = False
        lines = [b"%b: %b\r\n" % field for field in fields]
        if found.get(b"connection") == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        stream = b"content-length" not in found
        self.expected_content_length = int(found.get(b"content-length", 0))
        chunks = stream and self.scope["method"] != "HEAD" and status not in BODILESS
        self._endless = chunks and self.scope["http_version"] == "1.0"
        self.chunked_encoding = chunks and not self._endless
        lines += [b"transfer-encoding: chunked\r\n"] * self.chunked_encoding
        self._head = b"".join((STATUS_LINE[status], *lines, b"\r\n"))
        if stream:  # its first event may be long in coming
            asyncio.get_running_loop().call_soon(self._flush)

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif not self._endless:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("The answer's body is not of its content-length.")
        self._write(body)
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, body: bytes) -> None:
        if self._head:
            head, self._head, self.response_started = self._head, b"", True
            self.transport.writelines((head, body))
        else:
            self.transport.write(body)

    def _flush(self) -> None:
        if self._head and not self.disconnected:
            self._write(b"")
