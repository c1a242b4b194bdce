"""Which traces are sent: a share of all, and every one in which something failed (O4).

Whether a trace has an error is known when it ends, so its spans wait for that in this process. The share is taken by trace id
(OpenTelemetry's TraceIdRatioBased): services that sample the same share keep the same traces.

What cannot be known here: an error in another process. A request whose job fails later in a worker was decided on by then, so
outside the share that trace has the job's spans and not the submission's; the job's record and log lines have its trace id.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from app.telemetry.sending import OnSpans

_LOW_64_BITS = (1 << 64) - 1
MOST_WAITING = 10_000  # traces; the oldest are decided on what is known of them
MOST_SPANS = 1_000  # of one trace
MOST_REMEMBERED = 10_000  # traces that were kept


@dataclass(slots=True)
class _Waiting:
    """A trace of which something still runs here. ``roots``: how many requests or jobs of it do."""

    roots: int = 0
    failed: bool = False
    spans: list[ReadableSpan] = field(default_factory=list)


class KeepErrors(SpanProcessor):
    """Passes on to another processor the spans of the traces that are kept."""

    def __init__(self, following: SpanProcessor, *, share: float, on_spans: OnSpans) -> None:
        """``share`` from 0 to 1. ``on_spans`` gets the number of ``sampled_out`` spans."""
        self._following = following
        self._most = round(share * (1 << 64))
        self._on_spans = on_spans
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Note that a request or job of a trace began here."""
        if _is_root(span) and not self._of_the_share(span):
            with self._lock:
                self._of(span).roots += 1
                oldest = self._waiting.popitem(last=False)[1] if len(self._waiting) > MOST_WAITING else None
            if oldest:
                self._decide(oldest)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass it on if its trace is one of the share; else keep it until its trace has ended, here."""
        if self._of_the_share(span):
            self._following.on_end(span)
            return
        with self._lock:
            waiting = self._of(span)
            waiting.spans.append(span)
            if span.status.status_code is StatusCode.ERROR:
                self._keep(waiting, _trace_of(span))
            waiting.roots -= _is_root(span)
            if waiting.roots > 0 and len(waiting.spans) < MOST_SPANS:
                return
            if waiting.roots <= 0:
                self._waiting.pop(_trace_of(span), None)
            ended = _Waiting(failed=waiting.failed, spans=waiting.spans)
            waiting.spans = []
        self._decide(ended)

    def shutdown(self) -> None:
        """Decide on what waits, and stop."""
        with self._lock:
            left, self._waiting = list(self._waiting.values()), OrderedDict()
        for waiting in left:
            self._decide(waiting)
        self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is decided."""
        return self._following.force_flush(timeout_millis)

    def _of(self, span: ReadableSpan) -> _Waiting:
        """The decision on its trace. A span of a kept trace is kept too: a late span, a later attempt at a job."""
        trace = _trace_of(span)
        return self._waiting.setdefault(trace, _Waiting(failed=trace in self._kept))

    def _keep(self, waiting: _Waiting, trace: int) -> None:
        waiting.failed = True
        self._kept[trace] = None
        if len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)

    def _decide(self, ended: _Waiting) -> None:
        if not ended.failed:
            self._on_spans("sampled_out", len(ended.spans))
            return
        for span in ended.spans:
            self._following.on_end(span)

    def _of_the_share(self, span: ReadableSpan) -> bool:
        return (_trace_of(span) & _LOW_64_BITS) < self._most


def _is_root(span: ReadableSpan) -> bool:
    """Return whether it is the first of its trace in this process."""
    return span.parent is None or span.parent.is_remote


def _trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None, "a span that was started has a context"  # noqa: S101 - for the type only
    return context.trace_id
