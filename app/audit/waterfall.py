"""The bars of a trace: edge, retrieval, tools, calls and attempts on one time axis, for the console and for `octant trace`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from app.domain.records import CIRCUIT, STOPPED, steps_in

Kind = Literal["edge", "retrieval", "tool", "call", "attempt"]


@dataclass(frozen=True, slots=True)
class Span:
    """One bar. Milliseconds since the trace began. ``row``: the call's or attempt's record.

    Of a call, as beginning and length: ``own``, the service's own work before its first attempt and after its last one, and
    ``waits``, the gaps between its attempts: a pause before a retry, or the wait for another model's turn.
    """

    label: str
    kind: Kind
    outcome: str
    start: float
    length: float
    row: Mapping[str, Any] | None = None
    own: Sequence[tuple[float, float]] = ()
    waits: Sequence[tuple[float, float]] = ()

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
            for step in steps_in(row["steps"]) if step.kind not in _STATES
        ]  # fmt: skip
        if row["before_ms"] is not None and row["request_id"] not in seen:
            first = start - row["before_ms"]
            spans.append(Span("edge", "edge", "", first, max(0.0, min([start, *(step.start for step in steps)]) - first)))
        seen.add(row["request_id"])
        spans += steps
        passed = [
            Span(f"{step.name}, passed over", "attempt", "", start + max(0.0, step.begins_ms + step.takes_ms), 0.0)
            for step in steps_in(row["steps"]) if step.kind in _STATES
        ]  # fmt: skip
        tried = [
            Span(f"{a['provider']} {a['model']}", "attempt", a["outcome"], start + a["started_ms"], a["latency_ms"], a)
            for a in row["attempts"]
        ]
        call = Span(row["feature"], "call", row["outcome"], start, row["latency_ms"], row)
        own, waits = _uncovered(call, tried)
        spans += [replace(call, own=own, waits=waits), *passed, *tried]
    origin = min(span.start for span in spans)
    return [
        replace(span, start=span.start - origin, own=_moved(span.own, -origin), waits=_moved(span.waits, -origin))
        for span in spans
    ]


def passed_over(call: Mapping[str, Any]) -> list[str]:
    """A sentence for each target that a call was not sent to, with the reason: its circuit, or an operator's stop."""
    found = []
    for step in steps_in(call["steps"]):
        if step.kind == CIRCUIT:
            since = call["at"] + timedelta(milliseconds=step.begins_ms)
            found.append(f"{step.name} was passed over: its circuit was open since {since:%Y-%m-%d %H:%M:%S} UTC.")
        elif step.kind == STOPPED:
            found.append(f"{step.name} was passed over: an operator had stopped it.")
    return found


@dataclass(frozen=True, slots=True)
class Account:
    """Where the time went, in milliseconds: ``took`` is ``waited``, ``own`` and the ``steps``, less ``overlap``.

    ``steps``: edge, retrieval, tools and attempts. ``overlap``: what ran beside another step, such as a hedge.
    ``waited``: between two attempts of a call, while no other step ran. ``own``: the rest, which is the service's own work.
    """

    took: float
    steps: Mapping[Kind, float]
    overlap: float
    waited: float
    own: float

    @property
    def words(self) -> Sequence[tuple[str, float]]:
        """Each part with its name, those that are nothing left out; they add up to ``took``."""
        found = [(_NAMES[kind], self.steps[kind]) for kind in _NAMES if self.steps.get(kind)]
        found += [("overlap", -self.overlap)] if self.overlap else []
        found += [(WAITS, self.waited)] if self.waited else []
        return [*found, (OWN, self.own)]


def account_of(calls: Sequence[Mapping[str, Any]]) -> Account:
    """Add up the time of each request of these calls; the time between two requests is the caller's."""
    by_request: dict[str, list[Mapping[str, Any]]] = {}
    for row in calls:
        by_request.setdefault(row["request_id"], []).append(row)
    took = overlap = waited = own = 0.0
    steps: dict[Kind, float] = {}
    for rows in by_request.values():
        spans = spans_of(rows)
        parts = [span for span in spans if span.kind != "call"]
        covers = [(part.start, part.end) for part in parts]
        waits = [(begin, begin + length) for span in spans for begin, length in span.waits]
        whole, covered = max(span.end for span in spans), _covered(covers)
        known = _covered([*covers, *waits])
        took, waited, own = took + whole, waited + known - covered, own + max(0.0, whole - known)
        overlap += sum(part.length for part in parts) - covered
        for part in parts:
            steps[part.kind] = steps.get(part.kind, 0.0) + part.length
    return Account(took, steps, overlap if overlap > LEAST else 0.0, waited if waited > LEAST else 0.0, own)


Parts = list[tuple[float, float]]


def _uncovered(call: Span, attempts: Sequence[Span]) -> tuple[Parts, Parts]:
    """The parts of a call in which no attempt ran: its own, and the waits between two attempts."""
    own, waits, at = Parts(), Parts(), call.start
    for number, attempt in enumerate(sorted(attempts, key=lambda one: one.start)):
        if attempt.start - at > LEAST:
            (waits if number else own).append((at, attempt.start - at))
        at = max(at, attempt.end)
    if call.end - at > LEAST:
        own.append((at, call.end - at))
    return own, waits


def _moved(parts: Sequence[tuple[float, float]], by: float) -> Parts:
    return [(begin + by, length) for begin, length in parts]


def _covered(parts: Sequence[tuple[float, float]]) -> float:
    """The time in which at least one of these ran."""
    total, at = 0.0, -math.inf
    for begin, end in sorted(parts):
        total += max(0.0, end - max(begin, at))
        at = max(at, end)
    return total


WAITS, OWN = "waits between attempts", "the service itself"
LEAST = 0.001  # milliseconds; less is rounding
_STATES = (CIRCUIT, STOPPED)
_KINDS: Mapping[str, Kind] = {"retrieval": "retrieval", "tool": "tool"}
_NAMES: Mapping[Kind, str] = {"edge": "edge", "retrieval": "retrieval", "tool": "tools", "attempt": "attempts"}
