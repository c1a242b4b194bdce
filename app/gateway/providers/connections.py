"""The connections to one provider: aiohttp's pool and its reading of answers, without its session on a request's way.

Addresses, cookies, redirects, traces and a task that writes are a session's price, and a request of ours has none of them. It
still makes the requests that go through a proxy, and those that are too large to be written at once.
"""

import asyncio
from collections.abc import Mapping
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from app.gateway.providers.errors import NotConnected

MOST_CONNECTIONS = 1_000
MOST_HEADER = 2**16  # aiohttp's own limit of 8 KiB is less than some proxies' security policies and traces
MOST_INTERIM = 100  # answers of the kind of 100 and 103 before the real one
AT_ONCE = 2**20  # bytes of a request; a larger one leaves in pieces, so that others go on
TEXT = bytes({9, *range(32, 256)} - {127})  # of a header (RFC 9110, 5.5): no control character but the tab
KEPT = 4.0  # seconds that a connection may wait for its next request; uvicorn (vLLM, SGLang) and Node close theirs after five


class Response(Protocol):
    """The head of an answer, and its body as it comes: aiohttp's, or ours."""

    status: int
    content: aiohttp.StreamReader

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, whatever its case."""

    def close(self) -> None:
        """Close the connection, unless all has been read: then it is back in the pool."""


class Answer:
    """An answer to a request that was written at once."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader) -> None:
        """Its head has come. With the end of ``content`` the connection is done."""
        self.status, self.headers, self.content = status, headers, content
        self._connection = connection
        content.on_eof(partial(_done, connection))

    def close(self) -> None:
        """As `Response`. A task that waits for more of the body gets aiohttp's ClientConnectionError."""
        if not self._connection.closed and self.content.exception() is None:
            self.content.set_exception(aiohttp.ClientConnectionError("The connection was closed."))
        self._connection.close()


def _done(connection: Connection) -> None:
    """Give it back to the pool; close it where the answer came before the request had left: the next one would wait behind it."""
    if connection.transport and connection.transport.get_write_buffer_size():
        connection.close()
    else:
        connection.release()


class Connections:
    """The connections to one provider. Made in a running loop; nothing connects before the first request."""

    def __init__(self, proxy: str | None) -> None:
        """``proxy``: its address, where there is one on the way."""
        self._proxy = proxy
        self._connector = (_Tunnelling if proxy else _Connector)(limit=MOST_CONNECTIONS, keepalive_timeout=KEPT)
        self._session = aiohttp.ClientSession(
            connector=self._connector, cookie_jar=aiohttp.DummyCookieJar(), max_field_size=MOST_HEADER
        )
        self._targets: dict[str, aiohttp.ClientRequest] = {}

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, connect: float) -> Response:
        """Send, and wait for the answer's head. ``connect``: seconds to connect or to wait for a connection.

        ``headers``: by names in lower case; one replaces ours of its name. Redirects are not followed. Raises ValueError for a
        header that holds a control character, and aiohttp's errors.
        """
        if self._proxy or len(content) > AT_ONCE:
            return await self._session.post(
                url, data=BytesIO(content), headers=headers, allow_redirects=False, proxy=self._proxy, timeout=_timeout(connect)
            )
        target = self._targets.get(url) or self._target(url)
        request = _head(target, headers, len(content)) + content
        try:
            connection = await self._connector.connect(target, [], _timeout(connect))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("No connection in time.") from error
        try:
            return await _exchanged(connection, request)
        except BaseException:
            connection.close()
            raise

    async def aclose(self) -> None:
        """Close all."""
        await self._session.close()

    def _target(self, url: str) -> aiohttp.ClientRequest:
        """The address of requests, as aiohttp reads it: its connections, its path, and the Host that it names."""
        try:
            address = URL(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        made = aiohttp.ClientRequest("POST", address, loop=asyncio.get_running_loop(), session=self._session)
        self._targets[url] = made
        return made


async def _exchanged(connection: Connection, request: bytes) -> Answer:
    """Write the request; read the head of its answer."""
    protocol = connection.protocol
    if protocol is None or protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, max_field_size=MOST_HEADER)
    protocol.transport.write(request)
    head, content = await protocol.read()
    return Answer(connection, head.code, head.headers, content)


def _head(target: aiohttp.ClientRequest, headers: Mapping[str, str], length: int) -> bytes:
    """The head of a request, in the order in which aiohttp writes it. Raises ValueError for a control character in a header."""
    own = target.headers
    host = () if "host" in headers else (f"Host: {own['Host']}",)
    codings = () if "accept-encoding" in headers else (f"Accept-Encoding: {own['Accept-Encoding']}",)
    lines = [
        f"POST {target.url.raw_path_qs} HTTP/1.1", *host, *map(": ".join, headers.items()), *codings,
        f"Content-Length: {length}", "", "",
    ]  # fmt: skip
    head = "\r\n".join(lines).encode()
    if head.translate(None, TEXT) != b"\r\n" * (len(lines) - 1):
        raise ValueError("A header holds a control character.")
    return head


@lru_cache(64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)


class _Connection(ResponseHandler):
    """A connection that reads no interim answers, and breaks off behind the hundredth; and one that no request waits for.

    aiohttp queues them all. It reads interim ones without letting others run: a server that sends nothing else stops every call.
    One that comes while the connection waits would be the next request's answer. And aiohttp parses on at every piece that is
    taken, paused or not: a twentieth of what a streamed event costs.
    """

    _interim = 0
    _asked = False

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - as aiohttp's
        """A request follows."""
        self._asked = True
        super().set_response_params(**params)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - as aiohttp's
        """Go on where reading was paused."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 - as aiohttp's
        """Take the head of an answer."""
        if not 100 <= data[0].code <= 199 or data[0].code == 101:  # 101 is an answer: other protocols follow
            self._interim = 0
            if self._asked:
                self._asked = False
                super().feed_data(data, size)
            else:
                self.close()
            return
        self._interim += 1
        if self._interim == MOST_INTERIM:
            self.set_exception(aiohttp.ServerDisconnectedError("Only interim answers came."))
            self.close()


class _Connector(aiohttp.TCPConnector):
    """Connects to a provider."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as aiohttp's
        """``options``: the connector's."""
        super().__init__(**options)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment] # partial is invariant


class _Tunnelling(_Connector):
    """Connects through a proxy. What fails before the tunnel stands has sent nothing to the provider: it is no broken answer."""

    async def connect(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as aiohttp's
        """As the connector's. Raises NotConnected where the proxy refuses or breaks off."""
        try:
            return await super().connect(*args, **options)
        except (TimeoutError, aiohttp.ClientConnectorError):
            raise
        except aiohttp.ClientHttpProxyError as error:
            raise NotConnected(f"The proxy refuses to connect: HTTP {error.status}.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotConnected("The proxy broke off before the connection stood.") from error
