"""A command asks a program of this machine, which may be another one than it thinks: each answer becomes a sentence."""

import http.server
import importlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.cli import paging
from app.cli.asking import MOST_BYTES, asked
from app.domain.errors import Misconfigured


@contextmanager
def program(status: int, body: bytes) -> Iterator[str]:
    """A program that answers so."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("body", [[], {}, {"detail": "Not Found"}, {"error": "no"}, {"error": {"code": 1}}, "words", None, 7])
def test_an_answer_that_is_not_the_services_is_a_sentence(status: int, body: object) -> None:
    with program(status, json.dumps(body).encode()) as at, pytest.raises(Misconfigured, match=r"^The service at 127\.0\.0\.1"):
        paging._posted(at, {}, "a token")


@pytest.mark.parametrize("body", [[], {"detail": "x"}, None])
def test_a_refusal_that_is_not_the_simulators_is_a_sentence(body: object, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate = importlib.import_module("app.cli.simulate")
    monkeypatch.setattr(simulate, "asked", lambda *_, **__: (404, body))
    with pytest.raises(Misconfigured, match="refuses that: it gives no reason"):
        simulate.faults_of("The simulator", "127.0.0.1:1", "GET", None)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with program(200, b'"' + b"x" * (MOST_BYTES + 10)) as at, pytest.raises(Misconfigured, match="does not answer"):
        asked("The service", at, "POST", "/", {}, within=5.0)
