"""An answer of a provider whose pieces are all there already."""

from typing import Any, cast

import aiohttp


class Content:
    """A body whose next piece is always there."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces]

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def at_eof(self) -> bool:
        return not self._pieces


class Response:
    closed = False

    def __init__(self, *pieces: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.content = Content(*pieces)

    def close(self) -> None:
        self.closed = True


def response(*pieces: bytes) -> aiohttp.ClientResponse:
    made: Any = Response(*pieces)
    return cast("aiohttp.ClientResponse", made)
