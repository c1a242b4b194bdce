"""The demo reports real and simulated vendors, and whether a key is accepted."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.settings import Settings, load
from app.stack.vendor_keys import KeyChecks

GOOD, WRONG = "sk-good", "sk-wrong"


class Vendor(BaseHTTPRequestHandler):
    """Lists its models for the right key; ``/moved`` leads elsewhere, ``/hangs`` never answers."""

    requests: list[tuple[str, dict[str, str]]]
    released: threading.Event

    def do_GET(self) -> None:
        type(self).requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path.startswith("/hangs"):
            self.released.wait(120)
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        status = 302 if self.path.startswith("/moved") else 404 if self.path.startswith("/none") else 200 if key == GOOD else 401
        self.send_response(status)
        if status == 302:
            self.send_header("location", self.path.replace("/moved", ""))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def vendor() -> Iterator[tuple[str, type[Vendor]]]:
    class Handler(Vendor):
        requests: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 - of this server alone
        released = threading.Event()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", Handler
    finally:
        Handler.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def settings(url: str, key: str) -> Settings:
    return load(
        openai={"base_url": f"{url}/v1", "api_key": key},
        anthropic={"base_url": url, "api_key": key},
    )


@pytest.mark.parametrize(("key", "verdict"), [(GOOD, "is accepted."), (WRONG, "IS REFUSED (401)")])
def test_a_key_is_tried_once_with_each_vendor(key: str, verdict: str) -> None:
    with vendor() as (url, handler):
        lines = KeyChecks(settings(url, key), []).lines()
    assert [line.split(":")[0] for line in lines] == ["openai", "anthropic"]
    assert all(verdict in line for line in lines)
    assert not any(key in line for line in lines)
    requests = dict(handler.requests)
    assert len(handler.requests) == 2
    assert requests["/v1/models"]


def test_each_vendor_gets_the_key_as_its_sdk_sends_it() -> None:
    with vendor() as (url, handler):
        KeyChecks(settings(url, GOOD), ["anthropic"]).lines()
        KeyChecks(settings(url, GOOD), ["openai"]).lines()
    (_, openai), (_, anthropic) = handler.requests
    assert openai["authorization"] == f"Bearer {GOOD}"
    assert (anthropic["authorization"], anthropic["anthropic-version"]) == (f"Bearer {GOOD}", "2026-10-21")


def test_a_user_of_the_address_is_tried_before_the_key_and_not_printed() -> None:
    with vendor() as (url, handler):
        lines = KeyChecks(settings(url.replace("//", "//us:p%40ss@"), GOOD), ["anthropic"]).lines()
    assert f"real ({url}/v1)" in lines[1]
    assert not any("p%40ss" in line for line in lines)
    ((path, headers),) = handler.requests
    assert (path, headers["authorization"]) == ("/v1/models", "Basic " + b64encode(b"us:p@ss").decode())


def test_a_key_never_follows_a_redirect() -> None:
    with vendor() as (url, handler):
        lines = KeyChecks(settings(f"{url}/moved", GOOD), ["anthropic"]).lines()
    assert "could not be checked: 302" in lines[1]
    assert len(handler.requests) == 1


@pytest.mark.parametrize("path", ["/none", "/hangs"])
def test_a_server_without_a_list_of_models_and_one_that_hangs_hold_nothing_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stack.vendor_keys.ANSWER_SECONDS", 0.2)
    with vendor() as (url, _):
        lines = KeyChecks(settings(f"{url}{path}", GOOD), ["anthropic"]).lines()
    assert "could not be checked" in lines[1]


def test_a_simulated_vendor_is_named_and_gets_no_request() -> None:
    with vendor() as (url, handler):
        lines = KeyChecks(settings(url, GOOD), ["openai", "anthropic"]).lines()
    assert lines == [
        "openai: simulated; set OPENAI_API_KEY for its real models",
        "anthropic: simulated; set ANTHROPIC_API_KEY for its real models",
    ]
    assert handler.requests == []


def test_a_server_that_needs_no_key_is_named_and_gets_no_request() -> None:
    with vendor() as (url, handler):
        lines = KeyChecks(settings(url, ""), ["anthropic"]).lines()
    assert lines[1] == f"openai: real ({url}/v1)"
    assert handler.requests == []
