"""Breaking on command (R9): what is broken, for whom, how often, when and for how long.

A fault strikes each request of its ``provider`` and ``model`` with its ``probability``, ``times`` times at most. Its schedule, in
seconds from when it was put: from ``after_seconds``, for ``for_seconds``, again every ``every_seconds``.
A fault under a lease ends with it: what made the fault renews the lease, so no fault outlives its maker.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.leases import Leases
from app.simulator.obedient import HARMS
from app.simulator.wires import WIRES

# kind -> its parameters and their defaults; units are in the names
KINDS: Mapping[str, Mapping[str, Any]] = {
    "latency": {"milliseconds": 0.0, "median_ms": 0.0, "sigma": 0.0},
    "slow_first_token": {"seconds": 5.0},
    "idle": {"seconds": 5.0, "after_tokens": 3},
    "hang": {"sends": "nothing"},  # or one of WORDS: what comes before the silence, or in it
    "refuse": {},
    "reset": {"after_tokens": 0},
    "rate_limit": {"retry_after": None},
    "status": {"status": 500, "retry_after": None},
    "echo": {"status": 400},
    "garbage_json": {},
    "truncated_json": {"after_tokens": 3},
    "wrong_content_type": {},
    "empty": {},
    "schema_violation": {},
    "sloppy_json": {},
    "wrong_figures": {},  # every number of an answer is one too high
    "cut_stream": {"after_tokens": 3},
    "flood": {"tokens": 100_000},
    "wrong_key": {"accepts": ""},  # every other key is refused, and quoted as the vendors do
    "wrong_usage": {"input_tokens": 0, "output_tokens": 0},
    "obey": {"rounds": 2, "hand_over": 0, "stray": 0, "harm": "all"},
}
WORDS: Mapping[str, tuple[str, ...]] = {"harm": tuple(HARMS), "sends": ("nothing", "headers", "pings")}
COMMON = {"kind", "provider", "model", "times", "probability", "after_seconds", "for_seconds", "every_seconds"}
PROVIDERS = frozenset({*WIRES, "*"})


class BadFault(Exception):  # noqa: N818 - what the caller sent is bad
    """A fault that cannot be read; the message says why."""


@dataclass(slots=True)
class Fault:
    """One fault. ``times`` counts down; ``put_at`` is on the monotonic clock."""

    kind: str
    provider: str = "*"
    model: str = "*"
    times: int | None = None
    probability: float = 1.0
    after_seconds: float = 0.0
    for_seconds: float | None = None
    every_seconds: float | None = None
    put_at: float = field(default_factory=time.monotonic)
    lease: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def alive(self) -> bool:
        """Return whether it may still strike, now or later."""
        over = self.for_seconds is not None and self.every_seconds is None and self._running() >= self.for_seconds
        return self.times != 0 and not over

    def in_force(self) -> bool:
        """Return whether it strikes now."""
        running = self._running()
        if not self.alive() or running < 0:
            return False
        if self.every_seconds is not None:
            running %= self.every_seconds
        return self.for_seconds is None or running < self.for_seconds

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        about = {name: getattr(self, name) for name in sorted(COMMON)}
        return {**about, "in_force": self.in_force(), **self.parameters}

    def _running(self) -> float:
        return time.monotonic() - self.put_at - self.after_seconds


def parse(body: Any) -> Fault:  # noqa: ANN401 - any JSON
    """Read a fault. Raises BadFault."""
    if not isinstance(body, dict):
        raise BadFault("a fault is a JSON object")
    kind = str(body.get("kind"))
    if kind not in KINDS:
        raise BadFault(f"unknown kind {kind!r}; one of: {', '.join(KINDS)}")
    unknown = body.keys() - COMMON - KINDS[kind].keys()
    if unknown:
        raise BadFault(
            f"{kind} does not take: {', '.join(sorted(unknown))}; it takes: {', '.join(sorted(KINDS[kind])) or 'nothing'}"
        )
    if body.get("provider", "*") not in PROVIDERS:
        raise BadFault(f"unknown provider {body['provider']!r}; one of: {', '.join(sorted(PROVIDERS))}")
    for name in body.keys() - {"kind", "provider", "model", "retry_after", "accepts", *WORDS}:
        if body[name] is not None and (isinstance(body[name], bool) or not isinstance(body[name], int | float)):
            raise BadFault(f"{name} is a number")
    _check_words(kind, body)
    if not 0 <= body.get("probability", 1.0) <= 1:
        raise BadFault("probability is from 0 to 1")
    if body.get("every_seconds") is not None and body["every_seconds"] <= 0:
        raise BadFault("every_seconds is above 0")
    common = {name: body[name] for name in COMMON - {"kind"} if body.get(name) is not None}
    return Fault(kind=kind, parameters={name: body.get(name, default) for name, default in KINDS[kind].items()}, **common)


def _check_words(kind: str, body: Mapping[str, Any]) -> None:
    """Check the parameters that are words. Raises BadFault."""
    for name, words in WORDS.items():
        if name in KINDS[kind] and body.get(name, KINDS[kind][name]) not in words:
            raise BadFault(f"unknown {name} {body[name]!r}; one of: {', '.join(words)}")


class Faults:
    """All faults in force. Chance comes from a seeded generator, so a run can be repeated."""

    def __init__(self, seed: int = 0) -> None:
        """No fault at first."""
        self._faults: list[Fault] = []
        self._leases = Leases()
        self._chance = random.Random(seed)  # noqa: S311 - simulation, not security

    def add(self, faults: list[Fault]) -> None:
        """Put more faults in force."""
        self._faults += faults

    def lease(self, name: str, seconds: float, faults: list[Fault]) -> None:
        """Put faults in force until a lease ends; they take the place of those that were under its name."""
        self.end(name)
        self._leases.take(name, seconds)
        for fault in faults:
            fault.lease = name
        self._faults += faults

    def renew(self, name: str, seconds: float) -> bool:
        """Prolong a lease. False where it has ended or its faults were cleared: they are in force no more."""
        self._forget_ended()
        return any(fault.lease == name for fault in self._faults) and self._leases.renew(name, seconds)

    def end(self, name: str) -> None:
        """End a lease and its faults."""
        self._leases.drop(name)
        self._forget_ended()

    def clear(self) -> None:
        """Behave well."""
        self._faults = []

    def as_json(self) -> list[dict[str, Any]]:
        """All in force, as JSON."""
        self._forget_ended()
        return [f.as_json() for f in self._faults]

    def refused(self, provider: str) -> bool:
        """Return whether connections to a provider are refused now."""
        self._forget_ended()
        return any(f.kind == "refuse" and f.provider in (provider, "*") and f.in_force() for f in self._faults)

    def may_refuse(self) -> bool:
        """Return whether a fault refuses connections, now or later."""
        self._forget_ended()
        return any(f.kind == "refuse" for f in self._faults)

    def strike(self, provider: str, model: str) -> dict[str, dict[str, Any]]:
        """The faults that hit this request: their parameters by kind. Uses up one of their ``times``."""
        self._forget_ended()
        struck: dict[str, dict[str, Any]] = {}
        for fault in self._faults:
            if fault.kind == "refuse" or fault.provider not in (provider, "*") or fault.model not in (model, "*"):
                continue
            if fault.in_force() and self._chance.random() < fault.probability:
                struck[fault.kind] = fault.parameters
                if fault.times is not None:
                    fault.times -= 1
        return struck

    def _forget_ended(self) -> None:
        self._faults = [f for f in self._faults if f.alive() and (f.lease is None or self._leases.live(f.lease))]

    def delay(self, parameters: Mapping[str, Any]) -> float:
        """Seconds of a ``latency`` fault: fixed, or log-normal around a median."""
        if parameters["median_ms"]:
            return float(parameters["median_ms"]) / 1000 * self._chance.lognormvariate(0.0, float(parameters["sigma"]))
        return float(parameters["milliseconds"]) / 1000
