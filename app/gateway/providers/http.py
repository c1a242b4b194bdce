"""The HTTP of every adapter: JSON out, a whole answer or server-sent events in, on one pool of connections for each provider.

The vendors' SDKs do the same for 1.3 to 1.9 ms of CPU a request more, and two seconds of imports. They stay the oracle: the tests
compare each request with theirs byte for byte, and each answer as they read it (ADR 0042). Nothing is sent twice here: only
recovery retries. Redirects are not followed, because they would carry the key to another host.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from app import __version__
from app.domain.addresses import without_user
from app.domain.json_text import finite
from app.domain.proxies import proxy_of
from app.domain.waiting import Turn, aside
from app.gateway.providers.connections import Connections, Response
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.sse import BOM, Decoder, Event

MOST_REPLY = 32 * 2**20  # bytes: a chat's whole answer, with twenty log probabilities for each of 16,000 tokens
MOST_ERROR = 2**20
LARGE = 2**17  # bytes of an answer that is read in a thread: of many small blocks a mebibyte takes 300 ms
EVENTS_A_LOOK = 16
WAITED = 0.0002  # seconds; a read of what is there already takes some microseconds
OK = range(200, 300)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
COMMON = {"content-type": "application/json", "accept": "application/json", "user-agent": f"octant/{__version__}"}


class StatusError(Exception):
    """An answer that is no success, or an error event within one. ``body`` is its JSON, or its text where it is none."""

    def __init__(self, status: int, headers: Mapping[str, str], body: object) -> None:
        """The message names the status alone: bodies quote keys and prompts."""
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self) -> Mapping[str, Any]:
        """The body's ``error``, where it is one; else the body, where it is an object; else nothing."""
        body = self.body
        found = body.get("error", body) if isinstance(body, dict) else body
        return found if isinstance(found, dict) else {}


class Whole:
    """A whole answer."""

    __slots__ = ("content", "headers")

    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.content, self.headers = content, headers


class Events:
    """The events of a streamed answer, as they come."""

    def __init__(self, response: Response) -> None:
        """The response's head has come.

        ``known`` may read a piece that begins between two events and is one event, instead of decoding it: None where it cannot.
        """
        self.known: Callable[[bytes], object] = _unknown
        self._response = response
        self._decoder = Decoder()
        self._ready: list[Event] = []
        self._at = 0
        self._held = b""  # read, and not decoded yet
        self._turn = Turn()
        self.headers: Mapping[str, str] = response.headers

    def __aiter__(self) -> AsyncIterator[object]:
        """Itself."""
        return self

    async def __anext__(self) -> object:
        """The next `Event`, or what ``known`` read in its place. Raises ProtocolError, ValueError and aiohttp's errors."""
        known: object = None
        while known is None and self._at == len(self._ready):
            asked = time.perf_counter()
            piece = self._held or await self._response.content.readany()
            waited = time.perf_counter() - asked > WAITED
            self._held = b""
            if self._decoder.between and (known := self.known(piece)) is not None:
                pass
            elif not piece and self._response.content.at_eof():
                last = self._decoder.end()
                if not last:
                    raise StopAsyncIteration
                self._ready, self._at = last, 0
            else:
                self._ready, self._at = self._decoder.feed(piece), 0
            if waited:
                self._turn.begin()
            elif self._turn.over():
                await self._turn.end()
        if known is not None:
            return known
        self._at += 1
        if self._at % EVENTS_A_LOOK == 0 and self._turn.over():
            await self._turn.end()
        return self._ready[self._at - 1]

    async def starts_as_json(self) -> bool:
        """Whether JSON stands in the place of events. The first sign of the answer says so, because servers mislabel both.

        Asked before the first event. Raises aiohttp's errors.
        """
        while not self._held or BOM.startswith(self._held):
            piece = await self._response.content.readany()
            if not piece and self._response.content.at_eof():
                break
            self._held = (self._held + piece).lstrip()  # blank lines keep a connection alive
        self._held = self._held.removeprefix(BOM).lstrip()
        return self._held.startswith((b"{", b"["))

    async def whole(self) -> bytes:
        """All of the answer, where it is no stream."""
        return self._held + await _read(self._response, MOST_REPLY)

    async def rest(self) -> None:
        """Read and drop the rest, so that the connection can be used again."""
        while await self._response.content.readany():
            pass

    def close(self) -> None:
        """Close the connection, unless all has been read: then it is back in the pool."""
        self._response.close()


class Http:
    """The connections to one provider. Nothing connects before the first request."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        """``headers`` go with each request, in place of ours. Raises Misconfigured for a proxy that is not of HTTP."""
        self._headers = {**COMMON, **{name.lower(): value for name, value in headers.items()}}
        address, self._user = without_user(base_url)
        self._base = urlsplit(address)
        self._proxy = proxy_of(self._base.scheme, self._base.hostname or "")
        self._urls: dict[str, str] = {}
        self._connections: Connections | None = None

    def use_key(self, key: str) -> None:
        """Send this key from the next request on. Without one a word is sent: local servers take any, and refuse none.

        A user in the base URL, of a proxy before the server, goes before the key, as in the SDKs.
        """
        self._headers["authorization"] = self._user or f"Bearer {key or 'none'}"

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        connect: float,
        most: int = MOST_REPLY,
        size: int = 0,
    ) -> Whole:
        """Send and wait for the whole answer, of ``most`` bytes. ``connect``: seconds to connect or to wait for a connection.

        ``size``: about how many bytes ``body`` has; many are written in a thread.
        Raises StatusError, ProtocolError for an answer that is too large, and aiohttp's errors.
        """
        response = await self._send(path, body, headers, connect, size)
        try:
            return Whole(await _read(response, most), response.headers)
        finally:
            response.close()

    async def open(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], *, connect: float, size: int = 0
    ) -> Events:
        """Send and wait for the head of a streamed answer. Raises as `post`. Close what it returns."""
        return Events(await self._send(path, body, headers, connect, size))

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connections:
            await self._connections.aclose()

    async def _send(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], connect: float, size: int) -> Response:
        if self._connections is None:
            self._connections = Connections(self._proxy)
        url = self._urls.get(path) or self._url(path)
        content = await aside(size, partial(encoded, body))
        response = await self._connections.post(url, {**self._headers, **headers}, content, connect)
        if response.status in OK:
            return response
        try:
            raise StatusError(
                response.status, response.headers, parsed((await _read(response, MOST_ERROR)).decode(errors="replace"))
            )
        finally:
            response.close()

    def _url(self, path: str) -> str:
        """The address of ``path``; a query of the base URL (``?api-version=…``) stays its query."""
        url = self._urls[path] = urlunsplit(self._base._replace(path=self._base.path.rstrip("/") + path))
        return url


def _unknown(piece: bytes) -> None:
    """Every piece is decoded."""
    del piece


def encoded(body: Mapping[str, Any]) -> bytes:
    """The bytes of a request. Raises ValueError for a number that JSON lacks."""
    return finite(body)


async def _read(response: Response, most: int) -> bytes:
    """The body, decompressed. Raises ProtocolError beyond ``most`` bytes."""
    pieces, size, turn = [], 0, Turn()
    while piece := await response.content.readany():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            response.close()
            raise ProtocolError("The answer is too large.")
        if turn.over():
            await turn.end()
    return b"".join(pieces)


def parsed(text: str) -> object:
    """An error's body: its JSON, or the text itself where it is none."""
    text = text.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
