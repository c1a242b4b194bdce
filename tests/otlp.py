"""An OTLP/HTTP receiver for tests.

It decodes with the protocol's own classes (opentelemetry-proto).
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

ARRIVE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """One span as it arrived.

    ``schemas``: of the resource and of the scope.
    """

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    failed: bool
    attributes: Mapping[str, Any]
    schemas: tuple[str, str]
    service: str
    whole: str


class Receiver:
    """The requests that arrived so far.

    While ``hangs`` is set, nothing is answered. ``rejects``: so many spans of each batch, in an answer of 200. ``page``: of a
    proxy, which answers in the receiver's place.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.hangs = threading.Event()
        self.requested = threading.Event()
        self.requests = 0
        self.rejects = 0
        self.page = b""
        self.headers: dict[str, str] = {}
        self._spans: list[Arrived] = []
        self._arrived = threading.Condition()

    def trace(self, trace: str, whole: Callable[[Mapping[str, Arrived]], bool] = lambda _: True) -> list[Arrived]:
        """The spans of a trace, oldest first, once it is ``whole``.

        Fails if it never is.
        """
        found = self.wait(lambda spans: (mine := [s for s in spans if s.trace == trace]) and whole({s.name: s for s in mine}))
        return [span for span in found if span.trace == trace]

    def wait(self, holds: Callable[[list[Arrived]], Any], seconds: float = ARRIVE_SECONDS) -> list[Arrived]:
        """All spans, once ``holds`` of them; fails if it never does."""
        with self._arrived:
            held = self._arrived.wait_for(lambda: holds(self._spans), timeout=seconds)
            assert held, f"the expected spans did not arrive; the last of {len(self._spans)}: {self._spans[-10:]}"
            return list(self._spans)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._arrived:
            self.requests += 1
            self._spans += [span for of_resource in request.resource_spans for span in _read(of_resource)]
            self._arrived.notify_all()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.requested.set()
            while receiver.hangs.is_set():
                time.sleep(0.05)
            receiver.headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.take(body)
            message = ExportTraceServiceResponse()
            message.partial_success.rejected_spans = receiver.rejects
            answer = receiver.page or message.SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8" if receiver.page else "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that gave up while we hung is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hangs.clear()
        server.shutdown()
        server.server_close()


def _read(of_resource: ResourceSpans) -> Iterator[Arrived]:
    about = {a.key: _value(a.value) for a in of_resource.resource.attributes}
    for of_scope in of_resource.scope_spans:
        for span in of_scope.spans:
            yield Arrived(
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                failed=span.status.code == Status.STATUS_CODE_ERROR,
                attributes={a.key: _value(a.value) for a in span.attributes},
                schemas=(of_resource.schema_url, of_scope.schema_url),
                service=str(about["service.name"]),
                whole=f"{about} {span}",
            )


def _value(value: AnyValue) -> Any:  # noqa: ANN401 - any of the protocol's values
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(inner) for inner in value.array_value.values]
    return getattr(value, kind) if kind else None
