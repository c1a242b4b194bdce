"""An answer of megabytes costs the worker's other callers nothing (V3): each is answered while it is read and checked."""

import asyncio
import contextlib
import http.server
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from client import eventually, post_text, session
from conftest import running_service

from app.stack.embedded import free_port

USAGE = {"prompt_tokens": 12, "completion_tokens": 3}
TEXT = "Write to ada.lovelace@example.com or to port.42@example.org today, said the note. " * 50_000  # 4 MB of short words
PIECE = 32 * 1024
LEAST = 12  # answers to others meanwhile; with the work on their loop there are two or three
ENDLESS = 20 * 2**20


class _Large(http.server.BaseHTTPRequestHandler):
    """A server of OpenAI's protocol that answers at once, with as much as the last message names."""

    sent: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = TEXT * (1 + ENDLESS // len(TEXT)) if "endless" in body["messages"][-1]["content"] else TEXT
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.end_headers()
        message = {"role": "assistant", "content": text}
        whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
        try:
            self.wfile.write(b"".join(_events(text)) if body.get("stream") else json.dumps(whole).encode())
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # it heard enough
        self.sent.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _events(text: str) -> Iterator[bytes]:
    for at in range(0, len(text), PIECE):
        choice = {"index": 0, "delta": {"content": text[at : at + PIECE]}, "finish_reason": None}
        yield b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    yield b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n"


class Large(NamedTuple):
    """The service under test: its address, its port, and its metrics."""

    url: str
    port: int
    metrics: str


@pytest.fixture(scope="module")
def large() -> Iterator[tuple[str, threading.Event]]:
    """The server's address, and the event that it sets when it has sent everything."""
    sent = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Large,), {"sent": sent})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", sent
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(
    stack_env: Mapping[str, str], large: tuple[str, threading.Event], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Large]:
    """A service with one worker, whose OpenAI is that server."""
    env = {
        **stack_env,
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
        "OCTANT_WORKERS": "1",
        "OCTANT_OPENAI__BASE_URL": large[0],
        "OCTANT_HTTP__ANSWER_TIMEOUT": "4",
    }
    with running_service(env, tmp_path_factory.mktemp("large") / "service.log") as url:
        yield Large(url, int(env["OCTANT_PORT"]), f"http://127.0.0.1:{env['OCTANT_METRICS_PORT']}/metrics")


@pytest_asyncio.fixture
async def caller(service: Large, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with session(service.url, api_key, read_bufsize=2**24) as http:
        yield http


def request(content: str, *, stream: bool) -> dict[str, object]:
    return {"model": "fast", "messages": [{"role": "user", "content": content}], "stream": stream}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_others_are_answered_while_a_large_answer_is_checked(
    caller: aiohttp.ClientSession, large: tuple[str, threading.Event], stream: bool
) -> None:
    sent = large[1]
    sent.clear()
    call = asyncio.create_task(post_text(caller, "/v1/chat/completions", request("large", stream=stream)))
    assert await asyncio.to_thread(sent.wait, 60)
    others = 0
    while not call.done():
        async with caller.get("/livez") as answer:
            assert answer.status == 200
        others += 1
    status, body = await call
    assert status == 200
    said = "".join(_said(body)) if stream else json.loads(body)["choices"][0]["message"]["content"]
    assert said == TEXT
    assert others >= LEAST


async def test_a_stream_without_end_breaks_off_in_an_error(caller: aiohttp.ClientSession) -> None:
    status, body = await post_text(caller, "/v1/chat/completions", request("endless", stream=True))
    assert status == 200
    assert "[DONE]" not in body
    assert '"code":"providers_unavailable"' in body.replace(": ", ":")


async def test_twenty_megabytes_in_one_piece_are_still_an_answer(caller: aiohttp.ClientSession) -> None:
    status, body = await post_text(caller, "/v1/chat/completions", request("endless", stream=False))
    assert status == 200
    assert len(json.loads(body)["choices"][0]["message"]["content"]) > ENDLESS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_does_not_read_its_answer_is_cut_off(
    caller: aiohttp.ClientSession, service: Large, api_key: str, stream: bool
) -> None:
    """Else it would hold its call's money, its provider's connection and the answer for ever (S8)."""

    async def cut() -> int:
        async with caller.get(service.metrics) as answer:
            found = re.search(r'octant_connections_cut_total\{reason="slow_reader"\} (\d+)', await answer.text())
        return int(found[1]) if found else 0

    before, body = await cut(), json.dumps(request("endless", stream=stream)).encode()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api_key}\r\n"
        client.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

        async def one_more() -> bool:
            return await cut() > before

        await eventually(one_more)
        await asyncio.sleep(0.5)
        assert await cut() == before + 1
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(2**20):
                received += piece
    assert b"[DONE]" not in received
    assert len(received) < ENDLESS


def _said(body: str) -> Iterator[str]:
    for line in body.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                yield choice["delta"].get("content") or ""
