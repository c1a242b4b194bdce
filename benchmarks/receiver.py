"""An OTLP receiver: takes spans over HTTP as a collector does, reads them by the protocol's own schema, and keeps them."""

import gzip
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from app.stack.embedded import free_port


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it arrived. Ids are hexadecimal; ``parent_id`` is empty for the first of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class Received:
    """The spans that arrived so far at ``url``."""

    url: str
    spans: list[ReceivedSpan] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one export."""
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")


@asynccontextmanager
async def receiving() -> AsyncGenerator[Received, None]:
    """Listen on a free port of this machine until the end of the block."""
    port = free_port()
    received = Received(f"http://127.0.0.1:{port}")
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/traces", received.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield received
    finally:
        await runner.cleanup()


def _spans(request: ExportTraceServiceRequest) -> list[ReceivedSpan]:
    return [
        ReceivedSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
            attributes={pair.key: _value(pair.value) for pair in span.attributes},
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _value(value: Any) -> Any:  # noqa: ANN401 - protobuf's own classes have no types
    kind = value.WhichOneof("value")
    return [_value(inner) for inner in value.array_value.values] if kind == "array_value" else getattr(value, kind)
