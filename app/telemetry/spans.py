"""One trace from the caller's ``traceparent`` through each attempt, out again to the providers.

Names follow OpenTelemetry semantic-conventions-genai v0.1.0 (``gen_ai.provider.name``, not the deprecated ``gen_ai.system``).
Content is never put on a span. Parents are passed explicitly: a stream outlives the function that opened it, so nothing here
relies on the ambient context.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.domain.calls import Usage

SCHEMA_VERSION = "genai-0.1.0"
_propagator = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class AttemptSpan:
    """One request to one provider."""

    span: Span

    def fail(self, code: str) -> None:
        """Mark the attempt as failed; ``code`` is ours (`ProviderError.code`)."""
        _fail(self.span, code)

    def usage(self, usage: Usage, model: str | None) -> None:
        """Note what was billed and the model that answered."""
        self.span.set_attribute("gen_ai.usage.input_tokens", usage.input + usage.cached_input + usage.cache_write)
        self.span.set_attribute("gen_ai.usage.output_tokens", usage.output)
        if model:
            self.span.set_attribute("gen_ai.response.model", model)


@dataclass(frozen=True, slots=True)
class CallSpan:
    """One call through the gateway."""

    span: Span
    _tracer: trace.Tracer

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The W3C header for what this call sends on."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(self.span, Context()))
        return carrier["traceparent"]

    def fail(self, code: str) -> None:
        """Mark the call as failed."""
        _fail(self.span, code)

    @contextmanager
    def attempt(self, provider: str, model: str) -> Generator[AttemptSpan, None, None]:
        """Open a child span for one attempt."""
        span = self._tracer.start_span(
            f"chat {model}",
            context=trace.set_span_in_context(self.span, Context()),
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
            },
        )
        try:
            yield AttemptSpan(span)
        finally:
            span.end()


class Tracing:
    """The process's tracer. With no endpoint, spans have real ids and go nowhere."""

    def __init__(self, service: str, version: str, otlp_endpoint: str | None, exporter: SpanExporter | None = None) -> None:
        """``otlp_endpoint`` is the base URL of an OTLP/HTTP receiver; ``exporter`` replaces it in tests."""
        resource = Resource.create({"service.name": service, "service.version": version, "octant.schema": SCHEMA_VERSION})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if otlp_endpoint:
            exporter = OTLPSpanExporter(endpoint=otlp_endpoint.rstrip("/") + "/v1/traces")
        if exporter:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("octant", version)

    @contextmanager
    def call(self, feature: str, *, traceparent: str | None) -> Generator[CallSpan, None, None]:
        """Open the span of a call, under the caller's if a ``traceparent`` came with the request."""
        parent = _propagator.extract({"traceparent": traceparent}, Context()) if traceparent else Context()
        span = self._tracer.start_span(f"call {feature}", context=parent, attributes={"octant.feature": feature})
        try:
            yield CallSpan(span, self._tracer)
        finally:
            span.end()

    def close(self) -> None:
        """Send what is pending and stop."""
        self._provider.shutdown()


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))
