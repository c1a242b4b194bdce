"""Which traces are sent: a share of all, and every one in which something failed (O4).

Whether a trace has an error is known when it ends, so its spans wait for that in this process. The share is taken by trace id
(OpenTelemetry's TraceIdRatioBased): services that sample the same share keep the same traces.

What cannot be known here: an error in another process. A request whose job fails later in a worker was decided on by then, so
outside the share that trace has the job's spans and not the submission's; the job's record and log lines have its trace id.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from app.telemetry.recording import Recording
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
    spans: list[Recording] = field(default_factory=list)


class KeepErrors:
    """Passes on to a processor of the SDK the spans of the traces that are kept, in its form."""

    def __init__(
        self, following: SpanProcessor, resource: Resource, scope: InstrumentationScope, *, share: float, on_spans: OnSpans
    ) -> None:
        """``share`` from 0 to 1. ``on_spans`` gets the number of ``sampled_out`` spans."""
        self._following = following
        self._of_service = resource, scope
        self._most = round(share * (1 << 64))
        self._on_spans = on_spans
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def began(self, span: Recording) -> None:
        """Note that a request or job of a trace began here."""
        if not self._of_the_share(span):
            with self._lock:
                self._of(span).roots += 1
                oldest = self._waiting.popitem(last=False)[1] if len(self._waiting) > MOST_WAITING else None
            if oldest:
                self._decide(oldest)

    def ended(self, span: Recording) -> None:
        """Pass it on if its trace is one of the share; else keep it until its trace has ended, here."""
        if self._of_the_share(span):
            self._pass_on(span)
            return
        with self._lock:
            waiting = self._of(span)
            waiting.spans.append(span)
            if span.failed:
                self._keep(waiting, span.trace_id)
            waiting.roots -= span.root
            if waiting.roots > 0 and len(waiting.spans) < MOST_SPANS:
                return
            if waiting.roots <= 0:
                self._waiting.pop(span.trace_id, None)
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

    def _of(self, span: Recording) -> _Waiting:
        """The decision on its trace. A span of a kept trace is kept too: a late span, a later attempt at a job."""
        return self._waiting.setdefault(span.trace_id, _Waiting(failed=span.trace_id in self._kept))

    def _keep(self, waiting: _Waiting, trace: str) -> None:
        waiting.failed = True
        self._kept[trace] = None
        if len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)

    def _decide(self, ended: _Waiting) -> None:
        if not ended.failed:
            self._on_spans("sampled_out", len(ended.spans))
            return
        for span in ended.spans:
            self._pass_on(span)

    def _pass_on(self, span: Recording) -> None:
        self._following.on_end(span.readable(*self._of_service))

    def _of_the_share(self, span: Recording) -> bool:
        return (int(span.trace_id, 16) & _LOW_64_BITS) < self._most
