"""A provider on a raw socket that keeps its own bill.

It speaks both vendors' dialects and breaks in every way that a shape names.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

INPUT = 9  # tokens it bills for the input of `scripted.passage`
MOST = 100  # output tokens that route allows
Dialect = Literal["openai", "anthropic"]
End = Literal["close", "reset", "hang", "error"]
NOTHING = "nothing"  # no usage at all
MADE = "made"  # the tokens that were made


NAMES_OF_FIGURES = {
    "openai": {"input": "prompt_tokens", "output": "completion_tokens"},
    "anthropic": {"input": "input_tokens", "output": "output_tokens"},
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One way to answer.

    ``hidden`` tokens are made and never shown. ``tokens`` of ``size`` bytes are shown, with running figures of ``running`` after
    each. Then, unless ``broken``: the stop reason, the ``final`` figures, the protocol's last word. ``end``: how the connection
    ends. ``silent``: made before the first byte of the answer, which never comes.
    """

    dialect: Dialect = "openai"
    stream: bool = True
    hidden: int = 0
    tokens: int = 20
    size: int = 4
    running: Any = NOTHING
    first: Any = NOTHING
    final: Any = NOTHING
    stop: bool = True
    last_word: bool = True
    broken: bool = False
    silent: bool = False
    end: End = "close"

    @property
    def output(self) -> int:
        """The output tokens that it makes."""
        return self.hidden + self.tokens

    def usage(self, figures: object) -> dict[str, Any]:
        """The usage under this dialect's names.

        ``figures`` for the output, the true number for the input; or the whole as given.
        """
        if figures == NOTHING:
            return {}
        if figures is None or isinstance(figures, list):
            return {"usage": figures}
        if isinstance(figures, dict) and "usage" in figures:
            return figures
        ours = figures if isinstance(figures, dict) else {"input": INPUT, "output": figures}
        names = NAMES_OF_FIGURES[self.dialect]
        return {"usage": {names.get(k, k): self.output if v == MADE else v for k, v in ours.items()}}


@dataclass
class Bill:
    """The charges of the provider: one entry per request."""

    requests: list[tuple[int, int]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """All tokens; at a dollar a million of either kind, micro-dollars too."""
        return sum(i + o for i, o in self.requests)


Events = Iterator[tuple[int, bytes]]


def events(shape: Shape) -> Events:
    """The events of a stream, each with the tokens made for it."""
    return _chunks(shape) if shape.dialect == "openai" else _messages(shape)


def _chunks(shape: Shape) -> Events:
    if shape.first != NOTHING:
        yield 0, _data({"choices": [], **shape.usage(shape.first)})
    for number in range(shape.tokens):
        choice = {"index": 0, "delta": {"content": "x" * shape.size}, "finish_reason": None}
        yield _made(shape, number), _data({"choices": [choice], **shape.usage(shape.running)})
    if shape.broken:
        return
    if shape.stop:
        yield 0, _data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if shape.final != NOTHING:
        yield 0, _data({"choices": [], **shape.usage(shape.final)})
    if shape.last_word:
        yield 0, b"data: [DONE]\n\n"


def _messages(shape: Shape) -> Events:
    first = shape.usage({"input": INPUT, "output": 1} if shape.first == NOTHING else shape.first)
    yield 0, _data({"type": "message_start", "message": {"type": "message", "model": "m", "content": [], **first}})
    yield 0, _data({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for number in range(shape.tokens):
        delta = {"type": "text_delta", "text": "x" * shape.size}
        yield _made(shape, number), _data({"type": "content_block_delta", "index": 0, "delta": delta})
        if shape.running != NOTHING:
            yield 0, _data({"type": "message_delta", "delta": {}, **shape.usage(shape.running)})
    if shape.broken:
        return
    yield 0, _data({"type": "content_block_stop", "index": 0})
    if shape.stop or shape.final != NOTHING:
        reason = {"stop_reason": "end_turn"} if shape.stop else {}
        yield 0, _data({"type": "message_delta", "delta": reason, **shape.usage(shape.final)})
    if shape.last_word:
        yield 0, _data({"type": "message_stop"})


def _made(shape: Shape, number: int) -> int:
    return 1 + (shape.hidden if number == 0 else 0)


def whole(shape: Shape) -> bytes:
    """The whole answer; cut in the middle if it is ``broken``."""
    text = "x" * shape.size * shape.tokens
    if shape.dialect == "openai":
        message = {"role": "assistant", "content": text}
        body: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": "stop" if shape.stop else None}]}
    else:
        content = [{"type": "text", "text": text}]
        body = {"type": "message", "model": "m", "content": content, "stop_reason": "end_turn" if shape.stop else None}
    raw = json.dumps({**body, **shape.usage(shape.final)}).encode()
    return raw[: len(raw) // 2] if shape.broken else raw


class Upstream:
    """Serves ``shape`` to every POST, and keeps the ``bill``.

    ``pause``: seconds after each event.
    """

    def __init__(self) -> None:
        """Nothing is served yet."""
        self.shape, self.bill, self.pause, self.url = Shape(), Bill(), 0.0, ""
        self._tasks: set[asyncio.Task[Any]] = set()

    def play(self, shape: Shape, pause: float = 0.0) -> Bill:
        """Serve this from now on, with a new bill."""
        self.shape, self.bill, self.pause = shape, Bill(), pause
        return self.bill

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request on one connection."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(length)
            self.bill.requests.append((INPUT, 0))
            await _answer(self.shape, writer, self.bill, self.pause)
            await _end(self.shape, writer)
        writer.close()

    def stop(self) -> None:
        """End all requests that still hang."""
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve on a free port until the end of the block."""
    made = Upstream()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()
    made.stop()


async def _answer(shape: Shape, writer: asyncio.StreamWriter, bill: Bill, pause: float) -> None:
    place = len(bill.requests) - 1

    def made(tokens: int) -> None:
        bill.requests[place] = (INPUT, bill.requests[place][1] + tokens)

    if shape.silent:
        made(shape.output)
        return
    kind = "text/event-stream" if shape.stream else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
    if not shape.stream:
        made(shape.output)
        writer.write(head.encode() + whole(shape))
        await writer.drain()
        return
    writer.write(head.encode())
    for tokens, event in events(shape):
        made(tokens)
        writer.write(event)
        await writer.drain()
        if pause:
            await asyncio.sleep(pause)
    if not shape.tokens:
        made(shape.hidden)


async def _end(shape: Shape, writer: asyncio.StreamWriter) -> None:
    if shape.end == "error":
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
        writer.write((b"event: error\n" if shape.dialect == "anthropic" else b"") + _data(error))
        await writer.drain()
    elif shape.end == "hang":
        await asyncio.sleep(30)
    elif shape.end == "reset":
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _data(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if event.get("type") in NAMED else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


NAMED = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)
