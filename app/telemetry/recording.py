"""A span as it is noted while a request is served: a few fields and a dictionary.

The SDK's span costs thirty microseconds, most of them for traces that are never sent. So a span is noted here, and becomes the
SDK's only once its trace is sent; texts are redacted only then, too.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value | None]
SAMPLED, RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
_propagator = TraceContextTextMapPropagator()


Step = tuple[str, str, int, int, bool]  # kind, name, begun and ended in nanoseconds, whether it failed


@dataclass(slots=True)
class Recording:
    """One span. Ids are hexadecimal, times in nanoseconds since the epoch.

    ``parent``: another of this process, or the one that a header named. ``later`` give attributes once the span is to be sent.

    ``steps``: retrieval and tools under it that have ended, and that no record has taken yet.
    """

    name: str
    trace_id: str
    parent: "Recording | SpanContext | None"
    kind: SpanKind
    attributes: dict[str, Value]
    flags: int = SAMPLED | RANDOM
    span_id: str = field(default_factory=lambda: f"{random.getrandbits(64) or 1:016x}")
    started: int = field(default_factory=time.time_ns)
    ended: int = 0
    failed: bool = False
    later: list[Callable[[], Attributes]] = field(default_factory=list)
    steps: list[Step] | None = None

    @property
    def root(self) -> bool:
        """Whether it is the first of its trace in this process."""
        return not isinstance(self.parent, Recording)

    @property
    def traceparent(self) -> str:
        """The W3C header for what is sent on from here."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def context(self) -> SpanContext:
        """The SDK's form of its ids."""
        return SpanContext(int(self.trace_id, 16), int(self.span_id, 16), is_remote=False, trace_flags=TraceFlags(self.flags))

    def note(self, attributes: Attributes) -> None:
        """Set attributes; those without a value are left out, and so are all after the span's end."""
        if not self.ended:
            self.attributes.update({name: value for name, value in attributes.items() if value is not None})

    def end(self) -> None:
        """Note the time."""
        self.ended = self.ended or time.time_ns()

    def readable(self, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
        """The SDK's form, to be sent."""
        attributes = {**self.attributes}
        for more in self.later:
            attributes.update({name: value for name, value in more().items() if value is not None})
        return ReadableSpan(
            name=self.name,
            context=self.context,
            parent=self.parent.context if isinstance(self.parent, Recording) else self.parent,
            resource=resource,
            attributes={name: tuple(v) if isinstance(v, list) else v for name, v in attributes.items()},
            kind=self.kind,
            status=Status(StatusCode.ERROR if self.failed else StatusCode.UNSET),
            start_time=self.started,
            end_time=self.ended,
            instrumentation_scope=scope,
        )


def begin(name: str, parent: Recording | SpanContext | None, kind: SpanKind, attributes: dict[str, Value]) -> Recording:
    """Begin a span: of its parent's trace, or of a new one."""
    if isinstance(parent, Recording):
        return Recording(name, parent.trace_id, parent, kind, attributes, parent.flags)
    if parent:
        flags = SAMPLED | (parent.trace_flags & RANDOM)
        return Recording(name, f"{parent.trace_id:032x}", parent, kind, attributes, flags)
    return Recording(name, f"{random.getrandbits(128) or 1:032x}", None, kind, attributes)


def sent(traceparent: str | None) -> SpanContext | None:
    """The span that a header names; None for a header that is none."""
    if not traceparent:
        return None
    found = get_current_span(_propagator.extract({"traceparent": traceparent})).get_span_context()
    return found if found.is_valid else None
