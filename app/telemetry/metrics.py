"""The catalogue as objects to count on. Works across worker processes through PROMETHEUS_MULTIPROC_DIR."""

import os
from collections.abc import Callable, Collection
from itertools import product
from math import prod
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from app.domain.calls import Attempt
from app.domain.money import MICROS_PER_DOLLAR
from app.telemetry.catalogue import CATALOGUE, OTHER, Declared, Label

_PROCESS = [os.getpid()]
os.register_at_fork(after_in_child=lambda: _PROCESS.__setitem__(0, os.getpid()))
if getattr(values.ValueClass, "_multiprocess", False):  # by itself the library makes a system call for each count
    values.ValueClass = values.MultiProcessValue(lambda: _PROCESS[0])  # type: ignore[no-untyped-call]

MADE_AT_ONCE = 12  # children that a metric begins with, at 0: what appears with its first count, no rate() sees


class Undeclared(Exception):  # noqa: N818 - it is a programming mistake, named by what is wrong
    """A metric or label that the catalogue does not have."""


class Instrument:
    """One declared metric. Children are kept by label values, as looking them up costs more than counting."""

    def __init__(self, declared: Declared, registry: CollectorRegistry, on_overflow: Callable[[str], None]) -> None:
        """``on_overflow`` gets the metric's name for each emission with a label that is out of bounds."""
        self._declared = declared
        self._names = frozenset(declared.labels)
        self._histogram = declared.kind == "histogram"
        self._metric = _build(declared, registry)
        self._on_overflow = on_overflow
        self._bounds = tuple(_Bound(label) for label in declared.bounded)
        self._lock = Lock()
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}
        self._as_called: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}  # by names and values as a caller orders them
        if (
            all(label.values for label in declared.bounded)
            and prod(len(label.values) for label in declared.bounded) <= MADE_AT_ONCE
        ):
            for key in product(*(sorted(label.values) for label in declared.bounded)):
                self._bounded_child(key)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Count up. Raises Undeclared for a label the catalogue does not have."""
        child = self._as_called.get((*labels, *labels.values())) or self._child(labels)
        if self._histogram:
            raise Undeclared(f"{self._declared.name} is a histogram: observe() it")
        child.inc(amount)  # type: ignore[union-attr] # no histogram

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        child = self._as_called.get((*labels, *labels.values())) or self._child(labels)
        if not isinstance(child, Gauge):
            raise Undeclared(f"{self._declared.name} is not a gauge")
        child.set(value)

    def observe(self, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        child = self._as_called.get((*labels, *labels.values())) or self._child(labels)
        if not isinstance(child, Histogram):
            raise Undeclared(f"{self._declared.name} is not a histogram")
        child.observe(value)

    def _child(self, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        if labels.keys() != self._names:
            wanted = ", ".join(self._declared.labels) or "none"
            raise Undeclared(f"{self._declared.name} takes the labels: {wanted}; got {', '.join(labels) or 'none'}")
        key = tuple(labels[name] for name in self._declared.labels)
        child = self._children.get(key) or self._bounded_child(key)
        if key in self._children:  # else it is one of too many, which share a child and are not remembered
            self._as_called[*labels, *labels.values()] = child
        return child

    def _bounded_child(self, wanted: tuple[str, ...]) -> Counter | Gauge | Histogram:
        """The child for these values, as far as there is room for them. Spans are counted by a thread, hence the lock."""
        with self._lock:
            key = tuple(bound.within(value) for bound, value in zip(self._bounds, wanted, strict=True))
            child = self._children.get(key)
            if child is None:
                child = self._children[key] = self._metric.labels(*key) if key else self._metric
        if key != wanted:
            self._on_overflow(self._declared.name)
        return child


class _Bound:
    """The values of one label that this process distinguishes."""

    def __init__(self, label: Label) -> None:
        self._known = set(label.values)
        self._most = label.most

    def within(self, value: str) -> str:
        """The value itself, or `OTHER`."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


class Metrics:
    """All instruments of the catalogue, by their attribute names."""

    def __init__(self) -> None:
        """Each `Metrics` has a registry of its own, so two applications may live in one process."""
        self.registry = CollectorRegistry()
        self._instruments = {d.attribute: Instrument(d, self.registry, self._overflowed) for d in CATALOGUE}

    def __getattr__(self, name: str) -> Instrument:
        """Look an instrument up. Raises Undeclared."""
        try:
            return self._instruments[name]
        except KeyError:
            raise Undeclared(f"no metric {name!r} in app/telemetry/catalogue.py") from None

    def call(self, feature: str, outcome: str, seconds: float, overhead: float, fallbacks: int) -> None:
        """Count one finished call. Times in seconds."""
        self.calls.inc(feature=feature, outcome=outcome)
        self.call_seconds.observe(seconds, feature=feature)
        self.overhead_seconds.observe(overhead, feature=feature)
        if fallbacks:
            self.fallbacks.inc(fallbacks, feature=feature)
            self.calls_fallen_back.inc(feature=feature)

    def degraded(self, feature: str, degradations: Collection[str]) -> None:
        """Count how one call was degraded, if it was: ``degradations`` are the codes of `octant-degraded`."""
        if degradations:
            self.calls_degraded.inc(feature=feature)
        for degradation in degradations:
            self.degradations.inc(degradation=degradation)

    def attempt(self, feature: str, attempt: Attempt) -> None:
        """Count one finished attempt: outcome, tokens, money, time to first token."""
        where = {"provider": attempt.provider, "model": attempt.model}
        self.attempts.inc(1, outcome=attempt.outcome, **where)
        if attempt.ttft_ms is not None:
            self.ttft_seconds.observe(attempt.ttft_ms / 1000, **where)
        for kind in ("input", "output", "cached_input", "cache_write"):
            count = getattr(attempt.usage, kind)
            if count:
                self.tokens.inc(count, kind=kind, **where)
        if attempt.cost:
            self.cost_dollars.inc(attempt.cost / MICROS_PER_DOLLAR, feature=feature, **where)

    def _overflowed(self, metric: str) -> None:
        if metric != "octant_label_overflows_total":
            self.label_overflows.inc(metric=metric)


def _build(declared: Declared, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if declared.kind == "counter":
        return Counter(declared.name, declared.help, declared.labels, registry=registry)
    if declared.kind == "gauge":
        return Gauge(declared.name, declared.help, declared.labels, registry=registry, multiprocess_mode=declared.over_workers)
    return Histogram(declared.name, declared.help, declared.labels, registry=registry, buckets=declared.buckets)
