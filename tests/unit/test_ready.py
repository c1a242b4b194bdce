"""The service's address and readiness, as `octant status` shows them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.cli.ready import readiness


@contextmanager
def a_program(status: int, body: bytes) -> Iterator[int]:
    """A listener that answers one request. Yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        try:
            yield server.server_port
        finally:
            thread.join(timeout=10)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"status":"ok","checks":{"valkey":"ok"}}', "/readyz answers 200: ready"),
        (200, b'{"checks":{"postgres":"degraded"}}', "/readyz answers 200: postgres degraded; `octant stores` says why"),
        (503, b'{"checks":{"valkey":"failing"}}', "/readyz answers 503: valkey failing; `octant stores` says why"),
        (503, b'{"checks":{"valkey":"ok","release":"failing"}}', "/readyz answers 503: release failing"),
        (404, b"<html>", "/readyz answers 404, but not as this service does: another program listens there"),
        (200, b"[]", "/readyz answers 200, but not as this service does: another program listens there"),
        (200, b'{"checks":[1]}', "/readyz answers 200, but not as this service does: another program listens there"),
    ],
)
def test_what_answers_at_the_address_is_said_in_words(status: int, body: bytes, said: str) -> None:
    with a_program(status, body) as port:
        assert readiness("0.0.0.0", port) == (f"http://127.0.0.1:{port}", said, status == 503)


def test_an_address_where_nothing_answers_is_named() -> None:
    """A refused connection alone reads as if the service were down."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    url, said, unready = readiness("127.0.0.1", port)
    assert not unready, "the command may run on another machine"
    assert url == f"http://127.0.0.1:{port}"
    assert said.startswith("nothing answers there: it is down, or runs on another machine or port")
    assert readiness("::", port)[0] == f"http://[::1]:{port}"
