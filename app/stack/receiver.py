"""The demo's own receiver of pages: prints each page, and acknowledges the one test that the demo itself sends.

A demo pages no person: without a receiver its pager could not be tried at all. A page that is none of the demo's own stays open
until a person acknowledges it, so the times to an answer are people's.
"""

import hmac
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.oncall.paging.drilled import token_of
from app.oncall.paging.message import DEMO_RECEIVER

TOKEN = "OCTANT_PAGING__ALERTMANAGER_TOKEN"  # noqa: S105 - the setting's name
MOST_BYTES = 600_000  # a page has 512 KB at most
FRESH_SECONDS = 300  # of a signature (Standard Webhooks)
ACK_SECONDS = 60.0
LONGEST_NUMBER = 12  # digits
TICKETS = "/tickets"
SHOWN = 300  # characters of a page's title


class DemoReceiver:
    """Listens from its making on; it answers within `listening`. ``acknowledges``: whether a test page is acknowledged now."""

    def __init__(self, secret: bytes, tell: Callable[[str], None]) -> None:
        """``secret``: the service's, which signs its pages; ``tell`` prints a line."""
        self._secret = secret
        self._tell = tell
        self.acknowledges = False
        self._printed: set[tuple[str, str]] = set()
        self._paged: set[str] = set()  # open pages that were printed
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0

            def do_POST(self) -> None:
                length = number_of(self.headers.get("content-length"))
                body = self.rfile.read(length) if 0 < length <= MOST_BYTES else b""
                ticket = self.path == TICKETS
                ours = bool(body) and (receiver.from_alertmanager if ticket else receiver.signed)(self.headers.get, body)
                page = receiver.printed(body, ticket=ticket) if ours else ""
                self.send_response(204 if ours else 401)
                self.send_header("content-length", "0")
                self.end_headers()
                self.wfile.flush()
                if page:  # takes seconds
                    receiver.acknowledge(page)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a service that pages here. Not each machine has a Prometheus, so no watchdog is missed."""
        return {
            "OCTANT_PAGING__RECEIVERS": '["webhook"]',
            "OCTANT_PAGING__WEBHOOK_URL": f"http://127.0.0.1:{self._server.server_port}/page",
            "OCTANT_PAGING__WATCHDOG_AFTER": "0",
            TOKEN: token_of(self._secret),
        }

    @property
    def tickets(self) -> str:
        """The address that takes Alertmanager's tickets, which wake no person."""
        return f"http://127.0.0.1:{self._server.server_port}{TICKETS}"

    @contextmanager
    def listening(self) -> Generator[None, None, None]:
        """Answer until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def signed(self, header: Callable[[str], str | None], body: bytes) -> bool:
        """Whether the demo's service sent this just now (Standard Webhooks)."""
        from app.security.webhooks import secret_of, signature

        sent_at = number_of(header("webhook-timestamp"))
        if abs(time.time() - sent_at) > FRESH_SECONDS:
            return False
        expected = signature(secret_of(self._secret, ""), header("webhook-id") or "", sent_at, body)
        return hmac.compare_digest(expected.encode(), (header("webhook-signature") or "").encode())

    def from_alertmanager(self, header: Callable[[str], str | None], _: bytes) -> bool:
        """Whether the demo's own Alertmanager sent this."""
        return hmac.compare_digest(f"Bearer {token_of(self._secret)}".encode(), (header("authorization") or "").encode())

    def printed(self, body: bytes, *, ticket: bool) -> str:
        """Print what a message says, once, in the order of the answers; returns the page to acknowledge, if any."""
        with self._lock:
            return self._take_tickets(body) if ticket else self._take(body)

    def _take_tickets(self, body: bytes) -> str:
        """Print a ticket that begins or ends."""
        message = json.loads(body)
        for alert in message["alerts"]:
            name, summary = str(alert["labels"]["alertname"]), str(alert["annotations"].get("summary", ""))
            key = json.dumps([name, alert["startsAt"], alert["labels"]], sort_keys=True), alert["status"]
            if key not in self._printed:
                self._printed.add(key)
                self._tell(f"TICKET{' OVER' if alert['status'] == 'resolved' else ''}: {_shown(f'{name}: {summary}')}")
        return ""

    def _take(self, body: bytes) -> str:
        """Print a page that calls, and its end; returns the page where it is the demo's own test."""
        message = json.loads(body)
        if message.get("type") == "page.resolve":
            self._take_end(message["data"])
        if message.get("type") != "page.trigger":
            return ""
        data = message["data"]
        page = str(data["page"])
        if data.get("test") and self.acknowledges:
            return page
        self._paged.add(page)
        level, person = int(data["level"]), _shown(str(data["person"]) or "no person")
        again = f" TO LEVEL {level}" if level > 1 else ""
        self._tell(
            f"{_kind(data)}{again}: {_shown(str(data['summary']))}\n  It calls {person} (level {level})."
            f" `octant oncall ack {page[:8]} --as YOU` acknowledges it."
        )
        return ""

    def _take_end(self, data: Mapping[str, Any]) -> None:
        """Each level's event ends by itself: the page's end is printed once."""
        with suppress(KeyError):  # of a page that was not printed, or has ended
            self._paged.remove(str(data["page"]))
            self._tell(f"{_kind(data)} OVER: {_shown(str(data['summary']))}")

    def acknowledge(self, page: str) -> None:
        """Answer the demo's own test as a person would."""
        command = [sys.executable, "-m", "app.cli", "oncall", "ack", page, "--as", DEMO_RECEIVER]
        try:
            subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=ACK_SECONDS, check=True)
        except subprocess.SubprocessError as error:
            self._tell(f"The demo's receiver could not acknowledge its test page ({type(error).__name__}).")


def _kind(data: Mapping[str, Any]) -> str:
    return "TEST PAGE" if data.get("test") else "PAGE"


def _shown(text: str) -> str:
    """A title as a terminal may print it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:SHOWN]


def number_of(field: str | None) -> int:
    """A header's number; -1 for anything else."""
    return int(field) if field and field.isascii() and field.isdecimal() and len(field) <= LONGEST_NUMBER else -1
