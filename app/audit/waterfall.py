"""The bars of a trace: edge, retrieval, tools, calls and attempts on one time axis, for the console and for `octant trace`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.domain.records import steps_in

Kind = Literal["edge", "retrieval", "tool", "call", "attempt"]


@dataclass(frozen=True, slots=True)
class Span:
    """One bar. Milliseconds since the trace began. ``row``: the call's or attempt's record."""

    label: str
    kind: Kind
    outcome: str
    start: float
    length: float
    row: Mapping[str, Any] | None = None

    @property
    def end(self) -> float:
        """When it ended."""
        return self.start + self.length


def spans_of(calls: Sequence[Mapping[str, Any]]) -> list[Span]:
    """The bars of these calls, which have their ``attempts``, in the order of time. Empty without calls.

    The edge is known until the first step or call of a request, a later call's time of waiting is its steps' and our own.
    """
    if not calls:
        return []
    began, seen, spans = calls[0]["at"], set(), list[Span]()
    for row in calls:
        start = (row["at"] - began).total_seconds() * 1000
        steps = [
            Span(f"{step.kind} {step.name}", _KINDS.get(step.kind, "tool"), "failed" if step.failed else "ok",
                 start + step.begins_ms, step.takes_ms)
            for step in steps_in(row["steps"])
        ]  # fmt: skip
        if row["before_ms"] is not None and row["request_id"] not in seen:
            first = start - row["before_ms"]
            spans.append(Span("edge", "edge", "", first, max(0.0, min([start, *(step.start for step in steps)]) - first)))
        seen.add(row["request_id"])
        spans += steps
        spans.append(Span(row["feature"], "call", row["outcome"], start, row["latency_ms"], row))
        spans += [
            Span(f"{a['provider']} {a['model']}", "attempt", a["outcome"], start + a["started_ms"], a["latency_ms"], a)
            for a in row["attempts"]
        ]
    origin = min(span.start for span in spans)
    return [Span(s.label, s.kind, s.outcome, s.start - origin, s.length, s.row) for s in spans]


_KINDS: Mapping[str, Kind] = {"retrieval": "retrieval", "tool": "tool"}
