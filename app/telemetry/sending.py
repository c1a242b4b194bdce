"""Spans on their way to a receiver: in the background, bounded, each of them counted once (O4).

The SDK's batch processor drops without a word what its queue has no room for, and at the end waits for its receiver for half a
minute. Here no more is under way than there is room for, and spans that are not sent soon enough at the end are dropped.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUEUE, BATCH, SEND_EVERY_MS = 20_000, 1_000, 1_000  # a burst of some seconds at 500 calls a second
LAST_SECONDS = 3.0  # for what waits at the end: records and money are still to be written then
OnSpans = Callable[[str, int], None]

log = logging.getLogger(__name__)


class Sending(SpanProcessor):
    """Sends spans and reports the fate of each to ``on_spans``.

    ``sent``; ``failed``, the receiver did not take it; ``dropped``, there was no room, or no time at the end.
    """

    def __init__(
        self, exporter: SpanExporter, on_spans: OnSpans, *, most: int = QUEUE, last_seconds: float = LAST_SECONDS
    ) -> None:
        """``most``: spans that may wait or be on their way. ``last_seconds``: how long `shutdown` takes at most."""
        self._on_spans = on_spans
        self._most = most
        self._last_seconds = last_seconds
        self._under_way = 0
        self._closed = False
        self._lock = threading.Lock()
        self._exporter = _Reporting(exporter, self._settled)
        self._batches = BatchSpanProcessor(
            self._exporter,
            max_queue_size=most,
            max_export_batch_size=min(BATCH, most),
            schedule_delay_millis=SEND_EVERY_MS,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take it over, if there is room. Never waits."""
        with self._lock:
            room = not self._closed and self._under_way < self._most
            self._under_way += room
        if room:
            self._batches.on_end(span)
        else:
            self._on_spans("dropped", 1)

    def shutdown(self) -> None:
        """Send what waits, for some seconds at most. The receiver may hang: that is waited for elsewhere."""
        ending = threading.Thread(target=self._batches.shutdown, daemon=True, name="last spans")
        ending.start()
        ending.join(self._last_seconds)
        if ending.is_alive():
            self._exporter.shutdown()  # ends its pause before another try
        with self._lock:
            left, self._under_way, self._closed = self._under_way, 0, True
        if left:
            log.warning("spans not sent before the end", extra={"spans": left})
            self._on_spans("dropped", left)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._batches.force_flush(timeout_millis)

    def _settled(self, outcome: str, number: int) -> None:
        with self._lock:
            if self._closed:
                return  # counted as dropped by `shutdown`
            self._under_way -= number
        self._on_spans(outcome, number)


class _Reporting(SpanExporter):
    """An exporter that reports how each batch ended."""

    def __init__(self, exporter: SpanExporter, settled: OnSpans) -> None:
        self._exporter = exporter
        self._settled = settled
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            failed = min(len(spans), getattr(self._exporter, "rejected", 0)) if result is SpanExportResult.SUCCESS else len(spans)
            for outcome, number in (("sent", len(spans) - failed), ("failed", failed)):
                if number:
                    self._settled(outcome, number)
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
