"""The outermost layer: request id, body limit, errors as answers, log line and count.

Plain ASGI: this runs for every request, and each layer of wrapping costs tens of microseconds.
"""

import asyncio
import logging
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain import in_flight
from app.domain.calls import Identity
from app.domain.errors import (
    BodyTooLarge,
    DependencyUnavailable,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    OctantError,
    Unauthenticated,
    UnsupportedEncoding,
)
from app.domain.in_flight import InFlight
from app.domain.records import FailedAnswer
from app.domain.store_errors import is_of_store
from app.edge.admin import AdminSide
from app.edge.cors import Cors
from app.edge.encodings import IDENTITY, Decompressor
from app.edge.errors import AlarmTest, dialect_for, render
from app.edge.identity import IDENTIFIED
from app.edge.limits import RequestLimits
from app.edge.methods import allowed, at_root, method_of_route
from app.edge.misplaced import misplaced
from app.edge.target import check_target
from app.telemetry import logs
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing

NO_SNIFFING = (b"x-content-type-options", b"nosniff")
LONGEST_REASON = 300  # characters
OURS = "Something went wrong on our side. Quote the request id when you report it."
LEFT = 499  # the client went away before an answer began
QUIET = frozenset({"/livez", "/readyz"})  # requested every second; their traces are worthless
Redact = Callable[[str], str]
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}\Z")
UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1(?=[0-9]*[a-f])[0-9a-f]{12}\Z")
GONE = "octant.gone"  # in the scope, by a server of ours: functions that it calls when the client is gone
OUTLIVES_CLIENT = "octant.outlives_client"  # set in a request's scope: its work goes on without a waiting client
log = logging.getLogger(__name__)


class EdgeMiddleware:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        tracing: Callable[[], Tracing],
        redact: Redact,
        max_body_bytes: int,
        head: RequestLimits = RequestLimits(),
        admin: AdminSide | None = None,
        running: InFlight | None = None,
        cors: Cors | None = None,
        failed: Callable[[], Callable[[FailedAnswer], None]] = lambda: lambda _: None,
    ) -> None:
        """``tracing`` is fetched at the first request, because it begins with the lifespan.

        ``max_body_bytes`` bounds the body, as it comes and as it is decompressed.
        ``redact`` tests a caller's request id: redaction leaves a harmless id as it is. ``running`` registers each request, so
        that a stop of the process can end it. ``failed`` gives what gets each error that was answered.
        """
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._redact = redact
        self._max_body_bytes = max_body_bytes
        self._head = head
        self._admin = admin or AdminSide()
        self._running = running or InFlight()
        self._cors = cors or Cors()
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._request_id(scope), self._admin, self._cors)
        scope["octant.request_id"] = exchange.request_id
        if scope["path"] in QUIET:
            exchange.trace_id = uuid.uuid4().hex  # of no span: it leads to the log line alone
            logs.bind(request_id=exchange.request_id, trace_id=exchange.trace_id)
            await self._serve(scope, receive, exchange)
            return
        with self._tracing().request(scope["method"], _header(scope, b"traceparent")) as span:
            exchange.trace_id = span.trace_id
            logs.bind(request_id=exchange.request_id, trace_id=span.trace_id)
            span.note({"octant.request_id": exchange.request_id})
            try:
                await self._serve(scope, receive, exchange)
            finally:
                span.answered(_route(scope), exchange.status or LEFT)

    def _request_id(self, scope: Scope) -> str:
        """The caller's id if it is safe in logs and headers, else a new one. A card number could pass for an id.

        One UUID in three thousand looks like a person's number by chance: with a letter at its end it is none.
        """
        sent = _header(scope, b"x-request-id")
        harmless = sent and REQUEST_ID.match(sent) and (UUID.match(sent) or self._redact(sent) == sent)
        return sent if sent and harmless else f"req_{os.urandom(16).hex()}"

    async def _serve(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        body = _Body(scope, receive, self._max_body_bytes, exchange)
        try:
            self._head.check(scope)
            check_target(scope)
            self._admin.check(scope)
            if (headers := self._cors.preflight(scope) or at_root(scope)) is not None:
                await exchange.answer(HTTPStatus.OK if exchange.method == "HEAD" else HTTPStatus.NO_CONTENT, headers, b"")
                return
            with self._running.track(task=exchange.task):
                scope["method"] = method_of_route(scope)
                await self._app_until_ended(scope, body, exchange)
        except asyncio.CancelledError:
            if not body.client_gone():
                raise
        except OctantError as error:
            await exchange.fail(error)
        except HTTPException as error:
            await exchange.fail(from_http(error, scope["path"]))
        except DataError as error:  # Postgres is there, and cannot hold a value that came. The error's text quotes it.
            name = type(error.orig).__name__
            log.warning("a value that Postgres cannot hold", extra={"path": _path_template(scope), "error_type": name})
            await exchange.fail(InvalidRequest("A value in the request cannot be stored or looked for."))
        except ClientDisconnect:
            log.info("client left before the end of its request")
        except Exception as error:
            log.exception("unhandled error")
            self._metrics.unexpected_errors.inc(cause="alarm_test" if isinstance(error, AlarmTest) else "bug")
            if exchange.status:
                raise  # the answer has begun: only a broken connection shows it to the client
            await exchange.fail(_unexpected(error))
        finally:
            body.close()
            self._metrics.http_requests.inc(path=_path_template(scope), status=str(exchange.status or LEFT))
            exchange.log(self._failed)
            logs.clear()

    async def _app_until_ended(self, scope: Scope, body: "_Body", exchange: "_Exchange") -> None:
        """Run the application. A request that the process's stop ends raises that stop's error."""
        try:
            await self._app(scope, body.receive, exchange.send)
        except asyncio.CancelledError:
            error = in_flight.ended()
            if error is None:
                raise
            raise error from None


class _Exchange:
    """One request's way out: remembers the status, adds the request's and the trace's id to every answer."""

    def __init__(self, scope: Scope, send: Send, request_id: str, admin: AdminSide, cors: Cors) -> None:
        self.request_id = request_id
        self.trace_id = ""
        self.status = 0
        self.complete = False
        self._ended = "", ""  # tenant and id of a key that was revoked or has expired
        self._refused = "", ""  # code and words: the error itself would hold this exchange, through its traceback
        self.method = scope["method"]
        self._scope = scope
        self._send = send
        self._admin = admin
        self._cors = cors
        self._started = time.perf_counter()
        self.task = asyncio.current_task()

    def send(self, message: Message) -> Awaitable[None]:
        """Not a coroutine of its own: a stream sends each event here.

        An answer to HEAD ends with its head (RFC 9110, 9.3.2): to a stream, its client has left.
        """
        if self.method == "HEAD" and message.get("more_body", False):
            if self.complete:
                raise BrokenPipeError
            message = {"type": "http.response.body", "body": b""}
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._scope["method"] = self.method  # the server leaves out the body of an answer to HEAD
            names = {name for name, _ in message["headers"]}
            request_id, trace_id = self.request_id.encode(), self.trace_id.encode()
            ids = ((b"x-request-id", request_id), (b"request-id", request_id), (b"octant-trace-id", trace_id))
            message["headers"] = [*message["headers"], *[header for header in (*ids, NO_SNIFFING) if header[0] not in names]]
            self._admin.harden(self._scope, message)
            self._cors.share(self._scope, message)
        return self._send(message)

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer with a whole body."""
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def fail(self, error: OctantError) -> None:
        """Answer with the error, unless an answer has begun."""
        if self.status:
            log.warning("error after the answer began", extra={"code": error.code})
            return
        self._refused = error.code, error.message
        self._ended = error.holder if isinstance(error, Unauthenticated) else ("", "")
        status, headers, body = render(error, dialect_for(self._scope), self.request_id)
        if isinstance(error, MethodNotAllowed):
            headers["allow"] = allowed(self._scope)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await self.answer(status, raw, body)

    def failed(self) -> FailedAnswer | None:
        """The error that was answered, with whose request it was; None where there was none, or of health checks."""
        code, message = self._refused
        if not code or self._scope["path"] in QUIET:
            return None
        holder = self._scope.get(IDENTIFIED)
        tenant, key_id = (holder.tenant.id, holder.key_id) if isinstance(holder, Identity) else self._ended
        return FailedAnswer(
            request_id=self.request_id, tenant=tenant, key_id=key_id, path=_path_template(self._scope), status=self.status,
            code=code, message=message,
        )  # fmt: skip

    def log(self, on_failed: Callable[[], Callable[[FailedAnswer], None]]) -> None:
        failed = self.failed()
        fields: dict[str, Any] = {
            "method": self.method,
            "path": _path_template(self._scope),
            "status": self.status or LEFT,
            "duration_ms": round((time.perf_counter() - self._started) * 1000, 2),
        }
        if failed:  # with the error's words: the line may be all that is known of the request
            whose = {"tenant": failed.tenant, "key_id": failed.key_id} if failed.tenant else {}
            on_failed()(failed)
            fields |= {"code": failed.code, "reason": failed.message[:LONGEST_REASON], **whose}
        logs.info(log, "request", fields)


def from_http(error: HTTPException, path: str = "") -> OctantError:
    """The framework's own refusals as our errors. A client whose base URL is wrong learns the path."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return misplaced(path) or NotFound("No such path.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return misplaced(path) or MethodNotAllowed("This path does not take that method.")
    if error.status_code < 500:
        return InvalidRequest(HTTPStatus(error.status_code).phrase)
    return Internal(OURS)


def _unexpected(error: Exception) -> OctantError:
    """The caller's error for a bug. What a store refuses, whatever its reason, it may take later."""
    if is_of_store(error):
        return DependencyUnavailable("What this request needs cannot be stored or read right now.", retry_after=5.0)
    return Internal(OURS)


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((str(value, "latin-1") for name, value in scope["headers"] if name == wanted), None)


def _route(scope: Scope) -> str | None:
    """The route's template, without the callers' values; None if no route matched."""
    return getattr(scope.get("route"), "path", None)


def _path_template(scope: Scope) -> str:
    """The same for a log line and a metric's label."""
    return _route(scope) or "unmatched"


class _Body:
    """Receive a body up to the limit, decompressed, then cancel the task if the client leaves.

    Cancelling reaches the provider's connection through the handler's current await, so an answer without a reader costs nothing
    (R7). A request whose scope has OUTLIVES_CLIENT goes on: its answer is stored for a retry.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int, exchange: _Exchange) -> None:
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        self._declared_too_large = declared.isdigit() and int(declared) > limit
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._exchange = exchange
        self._seen = 0
        encodings = (str(value, "latin-1").strip().lower() for name, value in scope["headers"] if name == b"content-encoding")
        self._encoding = ",".join(encoding for encoding in encodings if encoding not in IDENTITY)
        self._decompressor: Decompressor | None = None
        self._gone = False
        self._task = exchange.task
        self._watched = False
        self._watcher: asyncio.Task[None] | None = None  # where the server does not report a lost client by itself

    async def receive(self) -> Message:
        if self._declared_too_large:
            raise _too_large(self._limit)
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise _too_large(self._limit)
        if not self._watched and not message.get("more_body", False):
            self._watched = True
            if (gone := self._scope.get(GONE)) is not None:
                gone.append(self._left)
            else:
                self._watcher = asyncio.create_task(self._watch())
        if self._encoding and message["type"] == "http.request":
            return {**message, "body": await self._decompressed(message)}
        return message

    async def _decompressed(self, message: Message) -> bytes:
        """Decompress a piece, of a caller whose key is valid: nothing is unpacked for anyone else."""
        if IDENTIFIED not in self._scope:
            raise UnsupportedEncoding("This path takes no compressed body.")
        self._decompressor = self._decompressor or Decompressor(self._encoding, self._limit)
        return await self._decompressor.feed(message.get("body", b""), last=not message.get("more_body", False))

    def client_gone(self) -> bool:
        """Whether this task was cancelled by the client's leaving; if so the cancellation ends here."""
        return self._gone and self._task is not None and self._task.uncancel() == 0

    def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        if (gone := self._scope.get(GONE)) is not None:
            gone.clear()  # the scope would hold this body, and this body the scope: a cycle, which waits for the collector

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        """The client is gone."""
        if not self._exchange.complete and self._task and OUTLIVES_CLIENT not in self._scope:
            self._gone = True
            self._task.cancel()


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over {limit:,} bytes.")
