"""One trace: the request, retrieval, each model call with its attempts, each tool, queued jobs too (O4).

Names follow OpenTelemetry's semantic-conventions-genai, in development (ADR 0019), and the stable HTTP conventions, but for
``url.path``: it is free text. A request's span is the ambient one, so work for the request finds its parent by itself;
attempts are given theirs, because a stream outlives the function that opened it. Of what callers send, ``traceparent`` is taken
on and ``tracestate`` is not: it is free text, and would leave for providers and the tracing backend unredacted. Nor is its
``sampled`` flag: a caller does not decide whether our errors are kept.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanContext, SpanKind

from app.domain.calls import Usage
from app.telemetry.recording import Attributes, Recording, Step, Value, begin, sent
from app.telemetry.sampling import KeepErrors
from app.telemetry.sending import OnSpans, Sending

# As `model/manifest.yaml` of open-telemetry/semantic-conventions-genai states it; it has no release yet. It builds on core 1.44.
SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
CORE_SCHEMA_URL = Schemas.V1_44_0.value
MOST_CONTENT = 64 * 1024  # characters of one attribute: redacted in the request's own time, and the records have all of it
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})  # HTTP conventions
_current: ContextVar[Recording | None] = ContextVar("the span of what is being done", default=None)

Redact = Callable[[str, str], str]  # a text and the tenant whose it is


def withheld(text: str, tenant: str) -> str:
    """The replacement of every text where nothing redacts."""
    del text, tenant
    return "<withheld>"


@dataclass(frozen=True, slots=True)
class TracedSpan:
    """A span under way."""

    span: Recording

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.span.trace_id

    @property
    def traceparent(self) -> str:
        """The W3C header for what is sent on from here."""
        return self.span.traceparent

    def fail(self, code: str) -> None:
        """Mark it as failed; ``code`` is ours (`OctantError.code`)."""
        self.note({"error.type": code})
        self.span.failed = True

    def note(self, attributes: Attributes) -> None:
        """Set attributes; those without a value are left out."""
        self.span.note(attributes)


S = TypeVar("S", bound=TracedSpan)


@dataclass(frozen=True, slots=True)
class RequestSpan(TracedSpan):
    """One request that we answer. ``method`` is one of a few, or ``HTTP``."""

    method: str

    def answered(self, route: str | None, status: int) -> None:
        """Note the answer. A client's mistake is not an error of ours (HTTP conventions); a client that left has status 499."""
        if route is not None:
            self.span.name = f"{self.method} {route}"
        self.note({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self.fail(str(status))


@dataclass(frozen=True, slots=True)
class AttemptSpan(TracedSpan):
    """One request to one provider. ``redact`` sees what is in the provider's own words."""

    redact: Redact

    def quote(self, tenant: str, attributes: Mapping[str, str | None]) -> None:
        """Set attributes that hold another's words: a provider may repeat what it was sent."""
        redact = self.redact
        self.span.later.append(lambda: {name: redact(words, tenant) for name, words in attributes.items() if words is not None})

    def usage(self, usage: Usage) -> None:
        """Note what was billed; cached tokens are part of the input, as the conventions have it."""
        self.note(
            {
                "gen_ai.usage.input_tokens": usage.input + usage.cached_input + usage.cache_write,
                "gen_ai.usage.output_tokens": usage.output,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_input or None,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write or None,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning or None,
            }
        )


@dataclass(frozen=True, slots=True)
class CallSpan(TracedSpan):
    """One call through the gateway. ``content``: whether texts are shown; ``redact`` sees all of them first."""

    _end: Callable[[Recording], None]
    _redact: Redact
    _content: bool

    def attempt(
        self, provider: str, model: str, *, stream: bool = False, operation: Literal["chat", "embeddings"] = "chat"
    ) -> AbstractContextManager[AttemptSpan]:
        """Open a child span for one attempt."""
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        if stream:
            attributes["gen_ai.request.stream"] = True
        span = begin(f"{operation} {model}", self.span, SpanKind.CLIENT, attributes)
        return _Open(AttemptSpan(span, self._redact), self._end)

    def before(self) -> tuple[float | None, tuple[Step, ...]]:
        """Milliseconds from the request's arrival to this call, None without a request; and the steps since the last call."""
        request = self.span.parent
        if not isinstance(request, Recording):
            return None, ()
        steps, request.steps = request.steps, None
        return (self.span.started - request.started) / 1e6, tuple(steps or ())

    def content(self, tenant: str, texts: Callable[[], Mapping[str, Any]]) -> None:
        """Put texts on the span, redacted, if that is switched on; ``texts`` gives JSON values by attribute.

        A text longer than MOST_CONTENT is left out: cut, half a secret could pass for none.
        """
        if not self._content:
            return

        def redacted() -> Attributes:
            written = {name: json.dumps(value, ensure_ascii=False) for name, value in texts().items()}
            return {name: self._redact(text, tenant) for name, text in written.items() if len(text) <= MOST_CONTENT}

        self.span.later.append(redacted)


class _Open(Generic[S]):
    """A span from its begin to the end of a block. A class, since each call opens three: a generator costs three times as much.

    ``ambient``: it is the parent of what is done meanwhile.
    """

    __slots__ = ("_ambient", "_before", "_end", "_span")

    def __init__(self, span: S, end: Callable[[Recording], None], *, ambient: bool = False) -> None:
        self._span, self._end, self._ambient = span, end, ambient

    def __enter__(self) -> S:
        if self._ambient:
            self._before = _current.get()
            _current.set(self._span.span)
        return self._span

    def __exit__(self, *_: object) -> None:
        if self._ambient:
            _current.set(self._before)
        self._end(self._span.span)


class Tracing:
    """The process's tracer. With no endpoint, spans have real ids and go nowhere."""

    def __init__(
        self,
        service: str,
        version: str,
        otlp_endpoint: str | None,
        exporter: SpanExporter | None = None,
        *,
        sample: float = 1.0,
        redact: Redact = withheld,
        content: bool = False,
        on_spans: OnSpans = lambda _outcome, _number: None,
    ) -> None:
        """``otlp_endpoint`` is the base URL of an OTLP/HTTP receiver; ``exporter`` replaces it in tests.

        ``sample``: the share of traces that are sent; those with an error always are. ``content`` puts texts on spans,
        as ``redact`` leaves them. ``on_spans`` gets an outcome and a number of spans: ``sampled_out``, or one of `Sending`.
        """
        resource = Resource.create({"service.name": service, "service.version": version}, CORE_SCHEMA_URL)
        self._keep: KeepErrors | None = None
        self._redact = redact
        self._content = content
        if otlp_endpoint:
            # Only where it sends: with it come Protocol Buffers, which stay in the memory of every worker.
            from app.telemetry.otlp import Exporter

            exporter = Exporter(otlp_endpoint)
        if exporter:
            scope = InstrumentationScope("octant", version, SCHEMA_URL)
            sending = Sending(exporter, on_spans)
            self._keep = KeepErrors(sending, resource, scope, share=sample, on_spans=on_spans)

    def request(self, method: str, traceparent: str | None) -> AbstractContextManager[RequestSpan]:
        """Open the span of a request until its answer, under the caller's if it sent one."""
        name = method if method in METHODS else "HTTP"
        attributes: dict[str, Value] = {"http.request.method": method if method in METHODS else "_OTHER"}
        span = self._begin(name, sent(traceparent), SpanKind.SERVER, attributes)
        return _Open(RequestSpan(span, name), self._end, ambient=True)

    def call(self, feature: str) -> AbstractContextManager[CallSpan]:
        """Open the span of a call through the gateway."""
        span = self._begin(f"call {feature}", _current.get(), SpanKind.INTERNAL, {"octant.feature": feature})
        return _Open(CallSpan(span, self._end, self._redact, self._content), self._end)

    def retrieval(self, source: str, top_k: int) -> AbstractContextManager[TracedSpan]:
        """Open the span of a search in ``source`` for at most ``top_k`` passages."""
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": source,
            "gen_ai.retrieval.top_k": top_k,
        }
        return self._ambient(f"retrieval {source}", _current.get(), SpanKind.CLIENT, attributes, ("retrieval", source))

    def tool(self, name: str, call_id: str) -> AbstractContextManager[TracedSpan]:
        """Open the span of a tool's run. ``name`` must be a tool's of ours: a model's words do not become a span's name."""
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": self._redact(call_id, ""),
        }
        return self._ambient(f"execute_tool {name}", _current.get(), SpanKind.INTERNAL, attributes, ("tool", name))

    def job(self, job_id: str, attempt: int, traceparent: str | None) -> AbstractContextManager[TracedSpan]:
        """Open the span of an attempt at a job, under the request that submitted it."""
        attributes: dict[str, Value] = {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.system": "valkey",
            "messaging.destination.name": "jobs",
            "messaging.message.id": job_id,
            "octant.job.attempt": attempt,
        }
        return self._ambient("process jobs", sent(traceparent), SpanKind.CONSUMER, attributes)

    def close(self) -> None:
        """Send what is pending, for some seconds at most, and stop. Blocks: call it in a thread where others must go on."""
        if self._keep:
            self._keep.shutdown()

    def _ambient(
        self,
        name: str,
        parent: Recording | SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Value],
        step: tuple[str, str] | None = None,
    ) -> AbstractContextManager[TracedSpan]:
        """A span that is the parent of what is done meanwhile. ``step``: its kind and name, for the record of the next call."""
        end = partial(self._end_step, step) if step else self._end
        return _Open(TracedSpan(self._begin(name, parent, kind, attributes)), end, ambient=True)

    def _end_step(self, step: tuple[str, str], span: Recording) -> None:
        """End the span of a step, and note it for the record of the next call."""
        self._end(span)
        if isinstance(span.parent, Recording):
            span.parent.steps = [*(span.parent.steps or ()), (*step, span.started, span.ended, span.failed)]

    def _begin(
        self, name: str, parent: Recording | SpanContext | None, kind: SpanKind, attributes: dict[str, Value]
    ) -> Recording:
        span = begin(name, parent, kind, attributes)
        if self._keep and span.root:
            self._keep.began(span)
        return span

    def _end(self, span: Recording) -> None:
        span.end()
        if self._keep:
            self._keep.ended(span)


def current_traceparent() -> str | None:
    """The W3C header of what is being done now; None outside of any span."""
    span = _current.get()
    return span.traceparent if span else None


def current_trace_id() -> str:
    """The trace that is being written now, 32 hexadecimal digits; all zero outside of any span."""
    span = _current.get()
    return span.trace_id if span else "0" * 32
