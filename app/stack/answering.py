"""The way out of a connection: heads that join their bodies, clients that take nothing, ends that lose no answer, HTTP/1.0."""

import asyncio
import fcntl
import termios
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

LINGER_SECONDS, LONGEST_LINGER = 1.0, 10.0  # without a byte of what a refused client still sends; and in all


class Joining:
    """A transport that sends an answer's head together with the first of its body, where that comes in the same turn of the loop.

    uvicorn writes them apart: two calls of the system, two packets, and a client that is woken twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, close: Callable[[], None]) -> None:
        """``close`` is how a connection ends, once all is written."""
        self._transport = transport
        self._loop = loop
        self._close = close
        self._head = b""
        self._ended = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        """All else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write; after the end, nothing."""
        if self._ended:
            return
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Say that nothing follows."""
        self._flush()
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """End the connection as it is to end."""
        self._flush()
        self._close()

    def lost(self) -> None:
        """The connection is gone: hold its protocol, which holds this, no longer."""
        self._close = self._transport.close

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


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
        kernel = array("i", [0])
        with suppress(OSError, AttributeError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, kernel)
        return self._transport.get_write_buffer_size() + kernel[0]

    def _look(self) -> None:
        waiting = self._waiting()
        if waiting < self._untaken:
            self._untaken = waiting
            self._timer = self._loop.call_later(self._seconds, self._look)
        else:
            self._cut()


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


class UntilClosed(RequestResponseCycle):
    """An answer to a client of HTTP/1.0: one without a length ends with the connection, as chunks are HTTP/1.1's (RFC 9112, 6.1).

    uvicorn sends chunks to everyone. A client of HTTP/1.0 takes their sizes for text.
    """

    _endless = False

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """As uvicorn's, to which each piece is the rest of a length."""
        if message["type"] == "http.response.start":
            self._endless = not any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            self.chunked_encoding = False if self._endless else None
        elif message["type"] == "http.response.body" and self._endless:
            self.expected_content_length += len(message.get("body", b""))
        await super().send(message)
