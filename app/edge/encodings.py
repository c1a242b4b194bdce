"""Decompress request bodies, within bounds of size and of CPU (S8).

A few kilobytes can unpack to gigabytes, and a few megabytes can be all block headers, which cost time and yield no byte. So the
output is counted as it is made, the CPU time is measured, and nothing is decompressed before the caller is known
(`app.edge.identity` marks the request). A gzip body may have several members (RFC 1952, 2.2); the time counts those that hold
nothing. RFC 9110, 8.4.1; RFC 1950 to 1952.
"""

import asyncio
import time
import zlib

from app.domain.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ACCEPTED = "gzip, deflate"
WITHOUT = {"zstd": " Codex sends none with -c features.enable_request_compression=false."}
IDENTITY = ("", "identity")
SLICE_IN, SLICE_OUT = 16 * 1024, 256 * 1024  # bytes that one step takes and makes: the event loop runs between two steps
# CPU that a body may take: ordinary JSON needs 2 to 5 ms for each MiB that it unpacks to.
SECONDS, SECONDS_PER_BYTE = 0.03, 0.015 / (1024 * 1024)


class Decompressor:
    """One body. `feed` takes it piece by piece."""

    def __init__(self, encoding: str, limit: int) -> None:
        """``limit``: bytes that the body may unpack to. Raises UnsupportedEncoding, naming those that are accepted."""
        self._encoding = encoding.strip().lower()
        if self._encoding not in WINDOWS:
            way = WITHOUT.get(self._encoding, "")
            raise UnsupportedEncoding(f"The body's content-encoding is not supported. Accepted: {ACCEPTED}.{way}")
        self._stream = zlib.decompressobj(WINDOWS[self._encoding])
        self._limit = limit
        self._fed = self._made = self._members = 0
        self._seconds = 0.0

    async def feed(self, data: bytes, *, last: bool) -> bytes:
        """Decompress the next piece. Raises BodyTooLarge, or InvalidRequest for broken or costly data."""
        made: list[bytes] = []
        for start in range(0, len(data), SLICE_IN):
            rest = data[start : start + SLICE_IN]
            self._fed += len(rest)
            while rest:
                made.append(self._step(rest))
                rest = self._stream.unused_data or self._stream.unconsumed_tail
                await asyncio.sleep(0)
        if last and self._fed and not self._stream.eof:
            raise InvalidRequest(f"The body ends within its {self._encoding} data.")
        return b"".join(made)

    def _step(self, data: bytes) -> bytes:
        began = time.thread_time()
        if self._stream.eof:
            self._begin_member()
        try:
            piece = self._stream.decompress(data, SLICE_OUT)
        except zlib.error:
            raise self._broken() from None
        self._seconds += time.thread_time() - began
        self._made += len(piece)
        if self._made > self._limit:
            raise BodyTooLarge(f"The body is over {self._limit:,} bytes once it is decompressed.")
        if self._seconds > SECONDS + SECONDS_PER_BYTE * self._made:
            raise InvalidRequest("Decompressing the body takes too long for its size.")
        return piece

    def _begin_member(self) -> None:
        """Only gzip has members. Raises InvalidRequest."""
        self._members += 1
        if self._encoding == "deflate":
            raise self._broken()
        self._stream = zlib.decompressobj(WINDOWS[self._encoding])

    def _broken(self) -> InvalidRequest:
        if self._members:
            return InvalidRequest(f"The body goes on after the end of its {self._encoding} data.")
        return InvalidRequest(f"The body is not {self._encoding} data, although its content-encoding says so.")
