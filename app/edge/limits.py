"""Limits of a request, checked before its content is read: line, headers, depth of JSON.

The middleware counts the body's bytes as they come; the request models count messages and tools.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Scope

from app.domain.errors import HeadersTooLarge, InvalidRequest, UrlTooLong
from app.domain.json_text import too_much
from app.domain.waiting import aside
from app.edge.parts import parts_of

T = TypeVar("T")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # editors on Windows put it into files; a parser may ignore it (RFC 8259, 8.1)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bytes of path and query together; number of headers; bytes of their names and values together."""

    url_bytes: int = 8192
    headers: int = 100
    header_bytes: int = 32_768

    def check(self, scope: Scope) -> None:
        """Raise UrlTooLong or HeadersTooLarge."""
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > self.url_bytes:
            raise UrlTooLong(f"Path and query are over {self.url_bytes:,} bytes.")
        headers = scope["headers"]
        if len(headers) > self.headers:
            raise HeadersTooLarge(f"Too many headers: over {self.headers}.")
        if sum([len(name) + len(value) for name, value in headers]) > self.header_bytes:
            raise HeadersTooLarge(f"The headers are over {self.header_bytes:,} bytes together.")


async def body_of(request: Request) -> bytes:
    """Read a body within the limits of depth and parts. Features read theirs through this.

    Validating, rendering and redacting recurse, so a few kilobytes of brackets must not decide the depth. Raises InvalidRequest.
    """
    return await read_body(request, bytes)


async def read_body(request: Request, read: Callable[[bytes], T]) -> T:
    """The same, read by ``read``: a large body in a thread, so that other calls go on. Twenty thousand parts take 150 ms.

    Raises InvalidRequest, and the errors of ``read``, which works on nothing but the body.
    """
    body = (await request.body()).removeprefix(BYTE_ORDER_MARK)
    deepest = parts_of(request).max_json_depth

    def within_limits() -> T:
        if refused := too_much(body, deepest):
            raise InvalidRequest(f"The body {refused}.")
        return read(body)

    return await aside(len(body), within_limits)
