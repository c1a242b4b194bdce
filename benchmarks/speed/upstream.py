"""A provider that answers at once, with the same bytes, so that a measurement leaves the provider out.

A request with ``"stream": true`` gets EVENTS events, one each GAP_SECONDS. The path chooses the vendor's format. A bare asyncio
protocol, because an HTTP framework here would be part of the measurement.
"""

import asyncio
import json
import re
import sys

import uvloop

EVENTS, GAP_SECONDS = 50, 0.001
USAGE = {"prompt_tokens": 180, "completion_tokens": 120, "total_tokens": 300}
SHARED = {"id": "chatcmpl-benchmark", "created": 1700000000, "model": "gpt-6-luna"}
STREAMED = re.compile(rb'"stream"\s*:\s*true')


def _response(body: bytes, kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


MESSAGE = {"role": "assistant", "content": "An instant answer. " * 30, "refusal": None}
CHOICE = {"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}
ANSWER = _response(
    json.dumps({**SHARED, "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}).encode(), b"application/json"
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _line({**SHARED, "object": "chat.completion.chunk", "choices": [choice]})


def _line(value: object) -> bytes:
    return _chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM = [
    _event({"role": "assistant", "content": "One"}),
    *(_event({"content": f" word{number}"}) for number in range(EVENTS - 2)),
    _event({}, "stop")
    + _line({**SHARED, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n",
]


class Instant(asyncio.Protocol):
    """Answers each request once its body is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            if STREAMED.search(body):
                self._write(STREAM_HEAD)
                self._stream(0)
            else:
                self._write(ANSWER)

    def _stream(self, at: int) -> None:
        if self._transport.is_closing():
            return
        self._write(STREAM[at])
        if at + 1 < len(STREAM):
            asyncio.get_running_loop().call_later(GAP_SECONDS, self._stream, at + 1)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve on a free port, printed first."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
