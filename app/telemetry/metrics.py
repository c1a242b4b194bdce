"""The catalogue as objects to count on. Works across worker processes through PROMETHEUS_MULTIPROC_DIR."""

import asyncio
import logging
import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import product
from math import prod
from threading import Lock, get_ident
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values

from app.domain.calls import Attempt
from app.domain.money import MICROS_PER_DOLLAR
from app.domain.records import REFUSALS
from app.domain.store_errors import why
from app.telemetry import shared_values
from app.telemetry.catalogue import CATALOGUE, OTHER, Declared, Label

shared_values.install()
_PROCESS = [os.getpid()]
os.register_at_fork(after_in_child=lambda: _PROCESS.__setitem__(0, os.getpid()))
if getattr(values.ValueClass, "_multiprocess", False):  # by itself the library makes a system call for each count
    values.ValueClass = values.MultiProcessValue(lambda: _PROCESS[0])  # type: ignore[no-untyped-call]

T = TypeVar("T")
log = logging.getLogger(__name__)
MADE_AT_ONCE = 12  # children that a metric begins with, at 0: what appears with its first count, no rate() sees


class Undeclared(Exception):  # noqa: N818 - it is a programming mistake, named by what is wrong
    """A metric or label that the catalogue does not have."""


class Later:
    """Counts of the last moment, not yet where `/metrics` reads them: each write there costs ten times a note here.

    Within an event loop they are kept for `SECONDS` at most; elsewhere, in a thread or a command, nothing is kept. One loop at a
    time keeps counts, and only its own thread writes them, so that no thread takes what another is about to change.
    """

    SECONDS = 0.1

    def __init__(self) -> None:
        """Nothing is kept."""
        self.counts: dict[Counter | Gauge, float] = {}
        self.levels: dict[Gauge, float] = {}
        self.observed: dict[Histogram, list[float]] = {}
        self._due: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop that keeps counts, and its thread
        self._thread = 0
        self._lock = Lock()

    def collects(self) -> bool:
        """Whether this may be kept: its end is set then."""
        loop = self._loop
        if loop is None or self._thread != get_ident() or not loop.is_running():  # to get the running loop is a system call
            loop = self._taken_over()
        if loop is None:
            return False
        if self._due is None:
            self._due = loop.call_later(self.SECONDS, self.write)
        return True

    def _taken_over(self) -> asyncio.AbstractEventLoop | None:
        """Have the running loop keep counts from now on. None where none runs, or another one keeps them."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if self._loop:
                self.write()  # where the loop of this thread has ended: what is counted now comes after it
            return None
        with self._lock:
            if not self._may_write():
                return None
            self.write()
            self._loop, self._thread = loop, get_ident()
        return loop

    def write(self) -> None:
        """Write what is kept; in a thread other than the loop's, nothing: the loop does within `SECONDS`."""
        if not self._may_write():
            return
        if self._due:
            self._due.cancel()
        self._due = None
        counts, self.counts = self.counts, {}
        levels, self.levels = self.levels, {}
        observed, self.observed = self.observed, {}
        for gauge, level in levels.items():
            _written(gauge.set, level)
        for child, amount in counts.items():
            _written(child.inc, amount)
        for histogram, found in observed.items():
            _written(partial(_observe, histogram), found)

    def inc(self, child: Counter | Gauge, amount: float) -> None:
        """Keep a count. Raises ValueError for one that a counter does not take, as the library does."""
        if type(child) is Gauge:  # `isinstance` takes ten times as long: the library's classes derive from a protocol
            if child in self.levels:
                self.levels[child] += amount
                return
        elif amount < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        self.counts[child] = self.counts.get(child, 0.0) + amount

    def set(self, gauge: Gauge, level: float) -> None:
        """Keep a level. What was counted before it is over."""
        self.levels[gauge] = float(level)
        self.counts.pop(gauge, None)

    def observe(self, histogram: Histogram, value: float) -> None:
        """Keep an observation."""
        self.observed.setdefault(histogram, []).append(value + 0.0)  # the sum raises TypeError where there is no number

    def _may_write(self) -> bool:
        return self._loop is None or self._thread == get_ident() or self._loop.is_closed()


def _written(write: Callable[[T], None], found: T) -> None:
    """Write to one child. One that cannot be written (a full disk) costs the others nothing."""
    try:
        write(found)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        log.warning("counts lost", extra=why(error))


def _observe(histogram: Histogram, found: Sequence[float]) -> None:
    """As ``histogram.observe`` for each, with one write for each bucket that has any."""
    buckets: dict[int, int] = {}
    for value in found:
        if value != value:  # noqa: PLR0124 - NaN belongs to no bucket
            continue
        place = bisect_left(histogram._upper_bounds, value)  # noqa: SLF001 - the library has no way to add many
        buckets[place] = buckets.get(place, 0) + 1
    histogram._sum.inc(sum(found))  # noqa: SLF001
    for place, number in buckets.items():
        histogram._buckets[place].inc(number)  # noqa: SLF001


class _UpToDate(CollectorRegistry):
    """A registry that is written up before it is read; in another thread than the loop's, up to `Later.SECONDS` ago."""

    def __init__(self, later: Later) -> None:
        super().__init__()
        self._later = later

    def collect(self) -> Iterable[Metric]:
        self._later.write()
        return super().collect()


class Instrument:
    """One declared metric. Children are kept by label values, as looking them up costs more than counting."""

    def __init__(
        self, declared: Declared, registry: CollectorRegistry, later: "Later", on_overflow: Callable[[str], None]
    ) -> None:
        """``on_overflow`` gets the metric's name for each emission with a label that is out of bounds."""
        self._declared = declared
        self._later = later
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
        if self._later.collects():
            self._later.inc(child, amount)  # type: ignore[arg-type] # no histogram
        else:
            child.inc(amount)  # type: ignore[union-attr] # no histogram

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        child = self._as_called.get((*labels, *labels.values())) or self._child(labels)
        if type(child) is not Gauge:
            raise Undeclared(f"{self._declared.name} is not a gauge")
        if self._later.collects():
            self._later.set(child, value)
        else:
            child.set(value)

    def observe(self, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        child = self._as_called.get((*labels, *labels.values())) or self._child(labels)
        if type(child) is not Histogram:
            raise Undeclared(f"{self._declared.name} is not a histogram")
        if self._later.collects():
            self._later.observe(child, value)
        else:
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
        self.later = Later()
        self.registry = _UpToDate(self.later)
        self.__dict__.update({d.attribute: Instrument(d, self.registry, self.later, self._overflowed) for d in CATALOGUE})

    def __getattr__(self, name: str) -> Instrument:
        """Raise Undeclared: every instrument is an attribute, which is found before this is asked."""
        raise Undeclared(f"no metric {name!r} in app/telemetry/catalogue.py")

    def call(self, feature: str, outcome: str, seconds: float, overhead: float, fallbacks: int) -> None:
        """Count one finished call. Times in seconds; what was refused on purpose reached no model, and has none."""
        self.calls.inc(feature=feature, outcome=outcome)
        if outcome in REFUSALS:
            return
        self.call_seconds.observe(seconds, feature=feature)
        self.overhead_seconds.observe(overhead, feature=feature)
        if fallbacks and outcome == "ok":  # of an error they are the targets that were tried before the last one
            self.fallbacks.inc(fallbacks, feature=feature)
            self.calls_fallen_back.inc(feature=feature)

    def degraded(self, feature: str, outcome: str, degradations: Collection[str]) -> None:
        """Count how one call was degraded, if it was: ``degradations`` are the codes of `octant-degraded`.

        One that was refused on purpose is no degraded call: its share would be of calls that it is none of.
        """
        if degradations and outcome not in REFUSALS:
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
