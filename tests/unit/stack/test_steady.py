"""A demo goes on calling its simulated models, so that an outage can be watched on its pages (G5, X2)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.stack import steady
from app.stack.traffic import samples


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A service that answers each request so, and lists the paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()


def until(holds: object, what: str) -> None:
    ends = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends, what
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "EVERY", 0.01)


def test_the_samples_that_are_answered_come_again_through_an_outage_until_the_end() -> None:
    """A 503, and a 429 of a provider, are the outage that is watched."""
    wanted = [sample.path for sample in samples() if sample.status == 200 and not sample.tenant]
    with answering(429, b'{"error": {"type": "providers_rate_limited"}}') as (url, paths):
        with steady.steady(url, "a key", pytest.fail):
            until(lambda: len(paths) > len(wanted), "a second round")
        assert paths[: len(wanted)] == wanted
        sent = len(paths)
        time.sleep(0.1)
        assert len(paths) <= sent + 1, "one was under way"


@pytest.mark.parametrize("ends_by", ["a cap", "the number"])
def test_steady_callers_end_by_themselves_and_say_so(monkeypatch: pytest.MonkeyPatch, ends_by: str) -> None:
    said: list[str] = []
    monkeypatch.setattr(steady, "MOST", 50 if ends_by == "a cap" else 3)
    refused = (429, b'{"error": {"type": "budget_exceeded"}}')
    with (
        answering(*(refused if ends_by == "a cap" else (200, b"{}"))) as (url, paths),
        steady.steady(url, "a key", said.append),
    ):
        until(lambda: said, "its last line")
        assert len(paths) == (1 if ends_by == "a cap" else 3)
    assert "has ended" in said[0]


def test_a_service_that_is_gone_ends_no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(steady, "MOST", 3)
    with answering(200, b"{}") as (url, _):
        pass
    with steady.steady(url, "a key", said.append):
        until(lambda: said, "its last line")
    assert said[0].startswith("The steady sample traffic has ended"), "after all its samples, none of which was answered"
