"""A provider that hangs on the wire in ways the simulator cannot play: every caller has an answer by the deadline (R1).

All ways at once, on the running service: whole and streamed, in both dialects. The user's message names the way.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from client import eventually
from conftest import key_of, octant, own_stores, running_service

DEADLINE, LATE = 4.0, 8.0  # seconds: the caller's, and what a busy machine may take beyond it
PATHS = ("/v1/chat/completions", "/v1/messages")
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = EVENTS.replace(b"text/event-stream", b"application/json")
BEGUN = {
    PATHS[0]: b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}\n\n',
    PATHS[1]: b'data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],'
    b'"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n\n',
}
EMPTY = {PATHS[0]: b'data: {"choices":[{"index":0,"delta":{},"finish_reason":null}]}\n\n', PATHS[1]: b'data: {"type":"ping"}\n\n'}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Way(NamedTuple):
    """The bytes that come at once, and those that come again and again, as often as ``every`` seconds."""

    first: bytes = b""
    then: bytes = b""
    every: float = 0.05


def ways(path: str, *, stream: bool) -> dict[str, Way]:
    head, begun = EVENTS if stream else JSON, BEGUN[path]
    return {
        "silence": Way(),
        "a head and silence": Way(head),
        "half a head": Way(head[:30]),
        "headers without end": Way(b"HTTP/1.1 200 OK\r\n", b"x-a: y\r\n"),
        "a header without end": Way(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 100),
        "interim answers": Way(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 1.0),
        "interim answers without pause": Way(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.0),
        "comments": Way(head, chunk(b": keep-alive\n\n")),
        "blank lines": Way(head, chunk(b"\n")),
        "a byte a second": Way(head, chunk(b" "), 1.0),
        "half a chunk": Way(head + b"%x\r\n" % (len(begun) + 500) + begun[:-4]),
        "half a size": Way(head, b"0"),
        "an extension of a chunk without end": Way(head + b"5;", b"x" * 100),
        "an event and silence": Way(head + chunk(begun)),
        "an event and comments": Way(head + chunk(begun), chunk(b": keep-alive\n\n")),
        "an event and empty ones": Way(head + chunk(begun), chunk(EMPTY[path])),
        "empty events": Way(head, chunk(EMPTY[path])),
        "an event without end": Way(head + chunk(b"data: "), chunk(b"x" * 1000)),
        "half a document": Way(JSON + chunk(b'{"id":"c","choices":[{"mess')),
        "a document without end": Way(JSON + chunk(b'{"id":"'), chunk(b"x" * 1000)),
        "trailers without end": Way(head + chunk(begun) + b"0\r\n", b"x-a: y\r\n"),
        "an error and silence": Way(head.replace(b"200 OK", b"500 Oops")),
        "an error without end": Way(JSON.replace(b"200 OK", b"429 Slow"), chunk(b" ")),
    }


async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as the message asks, until the other side leaves."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        path = next(path for path in PATHS if path[3:].encode() in head)
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        body = json.loads(await reader.readexactly(length))
        written = json.dumps(body["messages"])
        name = max((name for name in ways(path, stream=False) if f'"{name}"' in written), key=len)
        way = ways(path, stream=bool(body.get("stream")))[name]
        writer.write(way.first)
        while not reader.at_eof():
            writer.write(way.then)
            await writer.drain()
            await asyncio.sleep(way.every)
    writer.close()


@pytest_asyncio.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(play, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


@pytest.fixture(scope="module")
def env(stack_env: dict[str, str], database_url: str, port: int) -> Iterator[dict[str, str]]:
    with own_stores(stack_env, database_url, "hanging") as env:
        here = {
            "OCTANT_OPENAI__BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OCTANT_ANTHROPIC__BASE_URL": f"http://127.0.0.1:{port}",
        }
        yield {**env, **here}


class Answer(NamedTuple):
    """A caller's answer, and after how many seconds all of it was there."""

    status: int
    seconds: float
    text: str


async def ask(http: aiohttp.ClientSession, name: str, path: str, *, stream: bool) -> Answer:
    body = {"model": "smart", "messages": [{"role": "user", "content": name}], "max_tokens": 50, "stream": stream}
    began = time.monotonic()
    async with http.post(path, json=body) as answer:
        text = await answer.text()
        return Answer(answer.status, time.monotonic() - began, text)


def is_in_its_dialect(answer: Answer, path: str) -> bool:
    """An error's envelope; or a stream that ends in an error event."""
    last = answer.text.strip().rpartition("data: ")[2]
    if answer.status == 200 and last == "[DONE]":
        last = answer.text.strip().rpartition("data: ")[0].strip().rpartition("data: ")[2]
    document = json.loads(last)
    return "error" in document and (path == PATHS[0]) == ("type" not in document)


async def test_every_caller_of_a_provider_that_hangs_has_an_answer_by_the_deadline(
    env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing stays held afterwards, and counters and ledger agree."""
    headers = {"authorization": f"Bearer {await asyncio.to_thread(key_of, env)}", "octant-deadline-ms": str(int(DEADLINE * 1000))}
    calls = [(name, path, stream) for path in PATHS for stream in (False, True) for name in ways(path, stream=stream)]
    with running_service(env, tmp_path_factory.mktemp("hanging") / "service.log") as url:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(url, headers=headers, connector=connector) as http:
            answers = await asyncio.gather(*(ask(http, name, path, stream=stream) for name, path, stream in calls))
        slow = {call: answer for call, answer in zip(calls, answers, strict=True) if answer.seconds > DEADLINE + LATE}
        assert slow == {}
        odd = {
            call: answer
            for call, answer in zip(calls, answers, strict=True)
            if answer.status not in {200, 503, 504} or not is_in_its_dialect(answer, call[1])
        }
        assert odd == {}
        assert {answer.status for (_, _, stream), answer in zip(calls, answers, strict=True) if not stream} <= {503, 504}

        async def nothing_held() -> bool:
            shown = await asyncio.to_thread(octant, env, "budget", "show", "acme")
            return all(re.search(r"held +\$0 ", line) for line in shown.splitlines() if line)

        await eventually(nothing_held)
        assert "Counters and ledger agree." in await asyncio.to_thread(octant, env, "budget", "reconcile")
