"""HTTP as uvicorn speaks it, with limits of time and size: a client that sends slowly or without end is cut off (S8).

uvicorn bounds only the time between two requests of a connection (``timeout_keep_alive``); a client that dribbles one header a
minute, or never sends one, keeps its connection for ever, and httptools takes headers of any size. gunicorn's own limits do not
reach uvicorn's workers. Waiting costs no thread here, but descriptors and memory; both are bounded by time and size.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.domain.errors import HeadersTooLarge, InvalidRequest, OctantError, RequestTooSlow
from app.edge.errors import Dialect, dialect_of, render
from app.edge.middleware import GONE
from app.stack.answering import Answer, Ending, Linger, Taking, unread
from app.stack.descriptors import Descriptors

# Host = uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-fvV:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?")

_VERSIONS = ("1.0", "1.1")
_OF_UPGRADES = frozenset({b"connection", b"upgrade", b"http2-settings"})
FRESH_SECONDS = 5.0  # from a connection to its first request, if its worker stops in between
LAST_SECONDS = 1  # for one more request on an idle connection, if its worker stops
FRAMING = 16  # bytes around each byte of a body: a chunk of one byte has five, and proxies add short extensions
HALF_SECONDS = 0.05  # for the answer to a client that sends no more: one that has left is known within a tenth of a second (R7)
log = logging.getLogger(__name__)

Why = Literal["slow_head", "slow_body", "slow_reader", "large_head", "malformed"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take.

    Seconds from a request's first byte (or the connection's begin) to the end of its headers, and from there to the end of its
    body; seconds in which it must take some of an answer that waits; bytes of an unfinished head, and of what is around a body's
    chunks or behind them. ``on_cut`` is called with the reason of a cut; ``descriptors`` gets each new connection's number.
    """

    head_seconds: float
    body_seconds: float
    answer_seconds: float
    head_bytes: int
    on_cut: Callable[[Why], None]
    descriptors: Descriptors


class Protocol(HttpToolsProtocol):
    """One connection. `with_patience` makes the class that a server uses."""

    patience: Patience

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Nothing came yet."""
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0  # since the head began, those of its body too
        self._content = 0
        self._deaf = False  # nothing more is read
        self._linger: Linger | None = None
        self._declining = False
        self._wishes: list[tuple[bytes, bytes]] = []
        self._taking: Taking | None = None
        self._made = 0.0
        self._stopping = False
        self._open: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """The time for the first headers begins."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", Ending(transport, self._end))
        self._wire = transport
        self._made = self.loop.time()
        self.patience.descriptors.note(transport.get_extra_info("socket").fileno())
        self._arm("slow_head")

    def connection_lost(self, exc: Exception | None) -> None:
        """End every request of the connection. uvicorn reports a lost client to the newest request alone."""
        self._disarm()
        self._taken()
        self._hang_up()
        cast("Ending", self.transport).lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End with the newest answer, which says so. A client that may be sending a request has a moment, or the call is lost.

        That is the client of a connection that was just made, and a proxy: it sends on any connection that is idle, and knows
        that one ends only from an answer or once it has ended.
        """
        self._stopping = True
        self.timeout_keep_alive = min(self.timeout_keep_alive, LAST_SECONDS)
        if not self._answering:
            fresh = 0.0 if bool(self.cycle) else self._made + FRESH_SECONDS - self.loop.time()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(max(LAST_SECONDS, fresh), self.timeout_keep_alive_handler)
        elif not cast("Answer", self.cycle).head_made:
            self.cycle.keep_alive = False

    def close_idle(self) -> None:
        """Close, unless a request is under way."""
        if not (self._answering or self._deaf or self.transport.is_closing()):
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on, and count the bytes of an unfinished head. What came whole needs no timer, as nearly every request."""
        if self._deaf:
            if self._linger:
                self._linger.heard()
            return
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head and self._head_bytes > self.patience.head_bytes and not self.transport.is_closing():
            self._cut("large_head", HeadersTooLarge(f"The headers are over {self.patience.head_bytes:,} bytes."))
        elif not self._in_head and self._head_bytes - (1 + FRAMING) * self._content > self.patience.head_bytes:
            self._cut(
                "large_head", HeadersTooLarge("Trailers, or extensions of chunks, are larger than the body that they go with.")
            )
        elif self._timer is None and not self._deaf:
            if not self._in_head:
                self._arm("slow_body")
            elif self._head_bytes:  # also line breaks between requests, which end uvicorn's keep-alive time
                self._arm("slow_head")
            elif bool(self.cycle) and not self._answering and self.timeout_keep_alive_task is None:
                # The end of a body that was refused before it came: what was read has ended uvicorn's own timer.
                self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's, where uvicorn's returns None
        """The client sends no more: it has left, or waits for an answer (`nc -N`). Both look the same until we write.

        So an answer has a moment. Longer, a call would be paid for with no client to read it.
        """
        if not (self._in_head and self._answering) or self._deaf:
            return False
        self.timeout_keep_alive = 0
        if not cast("Answer", self.cycle).head_made:
            self.cycle.keep_alive = False
        self.loop.call_later(HALF_SECONDS, self.transport.close)
        return True

    def _feed(self, data: bytes) -> None:
        """As uvicorn's, but for a request that asks for another protocol: it is served in this one.

        Java's own client asks for HTTP/2 with its first request. The parser ends there, and drops the body.
        """
        while data:
            try:
                self.parser.feed_data(data)
                data = b""
            except HttpParserUpgrade as upgrade:
                data = self._declined() + data[upgrade.args[0] :] if self._declining else b""
            except HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                data = b""

    def _declined(self) -> bytes:
        """The head of the request without its wish, for a new parser (RFC 9110, 7.8: a server may ignore it)."""
        kept = [(name, value) for name, value in self.headers if name not in _OF_UPGRADES]
        wishes = [token.strip() for name, value in self.headers if name == b"connection" for token in value.split(b",")]
        kept += [(b"connection", token) for token in wishes if token.lower() not in _OF_UPGRADES]
        self._wishes = [(name, value) for name, value in self.headers if name == b"upgrade"]
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser, self._declining = HttpRequestParser(self), False
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's first one
        return b"\r\n".join([line, *(b"%b: %b" % header for header in kept), b"", b""])

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._head_bytes or 1  # it came behind another request

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Trailers, which come after a body, are dropped: nothing reads them, and nothing would bound them."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Count the content: the parser keeps an unfinished trailer, and copies all of it for each piece that comes."""
        self._content += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The time for the body begins. Raises ValueError, which the parser reports, for what makes two readers differ.

        That is a request without one good Host (RFC 9112, 3.2), of another version, or with a transfer coding that we do not know
        or that its version does not have (6.1): a proxy before us could see another end of its body.
        """
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._declining = True
            return
        self.headers += self._wishes  # the application may answer what was wished for: Codex goes on by HTTP after a 426
        self._wishes = []
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        fewest = 0 if version == "1.0" else 1
        if not fewest <= len(hosts) <= 1 or not all(_HOST.fullmatch(host) for host in hosts):
            message = "not one valid Host header"
            raise ValueError(message)
        if version not in _VERSIONS or (codings and (version == "1.0" or codings != [b"chunked"])):
            message = "not a version or a transfer coding that is spoken here"
            raise ValueError(message)
        cast("dict[str, Any]", self.scope)[GONE] = []
        super().on_headers_complete()  # it may raise as well: then this is a head still, and is refused as one
        self.cycle.__class__ = Answer
        self.cycle.keep_alive = self.cycle.keep_alive and not self._stopping
        self._in_head = False
        self._open = [*(cycle for cycle in self._open if not cycle.response_complete), self.cycle]
        self._disarm()

    def on_message_complete(self) -> None:
        """The request is complete; the next request's head follows."""
        if self._declining:
            return
        self._disarm()
        self._in_head = True
        self._head_bytes = self._content = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client takes no more of an answer."""
        super().pause_writing()
        self._wait_for_the_client()

    def resume_writing(self) -> None:
        """It has gone on."""
        super().resume_writing()
        self._taken()

    def _wait_for_the_client(self) -> None:
        if self._taking is None:
            self._taking = Taking(self._wire, self.loop, self.patience.answer_seconds, self._abort)

    def _taken(self) -> None:
        if self._taking:
            self._taking.end()
            self._taking = None

    def _abort(self) -> None:
        self.patience.on_cut("slow_reader")
        log.info("connection cut", extra={"why": "slow_reader"})
        self._wire.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse input that is not HTTP, in our own envelope."""
        self._cut("malformed", InvalidRequest(msg))

    @property
    def _answering(self) -> bool:
        """Whether the newest request is not answered to the end."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _arm(self, why: Why) -> None:
        seconds = self.patience.head_seconds if why == "slow_head" else self.patience.body_seconds
        self._timer = self.loop.call_later(seconds, self._out_of_patience, why)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_patience(self, why: Why) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        # It is we who do not read, or who still answer the request before: the client may wait.
        if self.flow.read_paused or (why == "slow_head" and self._answering):
            self._arm(why)
            return
        self._cut(why, RequestTooSlow("The request did not come in time."))

    def _cut(self, why: Why, error: OctantError) -> None:
        """Answer with the reason, if no answer has begun, and close. A handler that waits for the body sees a lost client.

        Requests that came whole before are answered first; then the connection closes, and nothing more is read from it.
        """
        self._disarm()
        if self._deaf or self.transport.is_closing():
            return
        self.patience.on_cut(why)
        if self._in_head and self._answering:
            self._deaf = True
            self.cycle.keep_alive = False
            return
        silent = not self._in_head and (not self._answering or self.cycle.response_started)
        if self._head_bytes and not silent:
            request_id, trace_id = f"req_{uuid.uuid4().hex}", uuid.uuid4().hex  # of no span: they lead to the log line
            status, headers, body = render(error, self._dialect(), request_id)
            log.info("connection cut", extra={"why": why, "status": status, "request_id": request_id, "trace_id": trace_id})
            lines = [f"HTTP/1.1 {status} {type(error).__name__}", *(f"{n}: {v}" for n, v in headers.items() if v)]
            lines += [f"octant-trace-id: {trace_id}", "x-content-type-options: nosniff"]
            lines += [f"content-length: {len(body)}", "connection: close", "", ""]
            self.transport.write("\r\n".join(lines).encode() + body)
            self._close_later()
        else:
            self.transport.close()

    def _dialect(self) -> Dialect:
        """The vendor's form that the client reads, as far as its head has come. httptools has the path once the head is whole."""
        path = "" if self._in_head else self.cycle.scope["path"]
        return dialect_of(path, {name for name, _ in self.headers or ()}, shared=not path)

    def timeout_keep_alive_handler(self) -> None:
        """No further request came. One that has begun, or waits to be read, has a limit of its own."""
        if not (self._in_head and (self._head_bytes or unread(self._wire))):
            self.close_idle()

    def _end(self) -> None:
        """Close, once all of the answer is taken; where the client still sends a body, once it has stopped."""
        if not (self._deaf or self._in_head or self._wire.is_closing()):
            self._close_later()
            return
        if self._wire.get_write_buffer_size():
            self._wait_for_the_client()
        self._wire.close()

    def _close_later(self) -> None:
        self._deaf = True
        self.pipeline.clear()
        self._hang_up()
        self._linger = Linger(self.transport, self.loop)

    def _hang_up(self) -> None:
        for cycle in self._open:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()
            gone: list[Callable[[], None]] = cast("dict[str, Any]", cycle.scope)[GONE]
            while gone:
                gone.pop()()


def with_patience(patience: Patience) -> type[asyncio.Protocol]:
    """The class of connections that have this much patience."""
    return cast("type[asyncio.Protocol]", type("BoundedProtocol", (Protocol,), {"patience": patience}))
