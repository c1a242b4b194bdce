"""The catalogue as objects to count on. Works across worker processes through PROMETHEUS_MULTIPROC_DIR."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.domain.calls import Attempt
from app.domain.money import MICROS_PER_DOLLAR
from app.telemetry.catalogue import CATALOGUE, Declared


class Undeclared(Exception):  # noqa: N818 - it is a programming mistake, named by what is wrong
    """A metric or label that the catalogue does not have."""


class Instrument:
    """One declared metric. Children are kept by label values, as looking them up costs more than counting."""

    def __init__(self, declared: Declared, registry: CollectorRegistry) -> None:
        self._declared = declared
        self._metric = _build(declared, registry)
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Count up. Raises Undeclared for a label the catalogue does not have."""
        child = self._child(labels)
        if isinstance(child, Histogram):
            raise Undeclared(f"{self._declared.name} is a histogram: observe() it")
        child.inc(amount)

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        child = self._child(labels)
        if not isinstance(child, Gauge):
            raise Undeclared(f"{self._declared.name} is not a gauge")
        child.set(value)

    def observe(self, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        child = self._child(labels)
        if not isinstance(child, Histogram):
            raise Undeclared(f"{self._declared.name} is not a histogram")
        child.observe(value)

    def _child(self, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        if labels.keys() != set(self._declared.labels):
            wanted = ", ".join(self._declared.labels) or "none"
            raise Undeclared(f"{self._declared.name} takes the labels: {wanted}; got {', '.join(labels) or 'none'}")
        key = tuple(labels[name] for name in self._declared.labels)
        child = self._children.get(key)
        if child is None:
            child = self._metric.labels(*key) if key else self._metric
            self._children[key] = child
        return child


class Metrics:
    """All instruments of the catalogue, by their attribute names."""

    def __init__(self) -> None:
        """Each `Metrics` has a registry of its own, so two applications may live in one process."""
        self.registry = CollectorRegistry()
        self._instruments = {d.attribute: Instrument(d, self.registry) for d in CATALOGUE}

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


def _build(declared: Declared, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if declared.kind == "counter":
        return Counter(declared.name, declared.help, declared.labels, registry=registry)
    if declared.kind == "gauge":
        return Gauge(declared.name, declared.help, declared.labels, registry=registry, multiprocess_mode=declared.over_workers)
    return Histogram(declared.name, declared.help, declared.labels, registry=registry, buckets=declared.buckets)
