"""Breaking on command (R9): what is broken, for whom, how often and for how long."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# kind -> its parameters and their defaults; units are in the names
KINDS: Mapping[str, Mapping[str, Any]] = {
    "latency": {"milliseconds": 0.0, "median_ms": 0.0, "sigma": 0.0},
    "slow_first_token": {"seconds": 5.0},
    "idle": {"seconds": 5.0, "after_tokens": 3},
    "hang": {},
    "refuse": {},
    "reset": {"after_tokens": 0},
    "rate_limit": {"retry_after": None},
    "status": {"status": 500, "retry_after": None},
    "garbage_json": {},
    "truncated_json": {},
    "wrong_content_type": {},
    "empty": {},
    "schema_violation": {},
    "cut_stream": {"after_tokens": 3},
    "wrong_usage": {"input_tokens": 0, "output_tokens": 0},
}
COMMON = {"kind", "provider", "model", "times", "probability", "for_seconds"}
PROVIDERS = frozenset({"openai", "anthropic", "*"})


class BadFault(Exception):  # noqa: N818 - what the caller sent is bad
    """A fault that cannot be understood; the message says why."""


@dataclass(slots=True)
class Fault:
    """One fault. ``times`` counts down; ``until`` is on the monotonic clock."""

    kind: str
    provider: str = "*"
    model: str = "*"
    times: int | None = None
    probability: float = 1.0
    until: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def alive(self) -> bool:
        """Whether it still applies."""
        return self.times != 0 and (self.until is None or time.monotonic() < self.until)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        left = None if self.until is None else max(0.0, self.until - time.monotonic())
        about = {"kind": self.kind, "provider": self.provider, "model": self.model, "times": self.times}
        return {**about, "probability": self.probability, "seconds_left": left, **self.parameters}


def parse(told: Any) -> Fault:  # noqa: ANN401 - any JSON
    """Read a fault. Raises BadFault."""
    if not isinstance(told, dict):
        raise BadFault("a fault is a JSON object")
    kind = str(told.get("kind"))
    if kind not in KINDS:
        raise BadFault(f"unknown kind {kind!r}; one of: {', '.join(KINDS)}")
    unknown = told.keys() - COMMON - KINDS[kind].keys()
    if unknown:
        raise BadFault(
            f"{kind} does not take: {', '.join(sorted(unknown))}; it takes: {', '.join(sorted(KINDS[kind])) or 'nothing'}"
        )
    if told.get("provider", "*") not in PROVIDERS:
        raise BadFault(f"unknown provider {told['provider']!r}; one of: {', '.join(sorted(PROVIDERS))}")
    seconds = told.get("for_seconds")
    return Fault(
        kind=kind,
        provider=told.get("provider", "*"),
        model=told.get("model", "*"),
        times=told.get("times"),
        probability=float(told.get("probability", 1.0)),
        until=None if seconds is None else time.monotonic() + float(seconds),
        parameters={name: told.get(name, default) for name, default in KINDS[kind].items()},
    )


class Faults:
    """All faults in force. Chance comes from a seeded generator, so a run can be repeated."""

    def __init__(self, seed: int = 0) -> None:
        """No fault at first."""
        self._faults: list[Fault] = []
        self._chance = random.Random(seed)  # noqa: S311 - simulation, not security

    def add(self, faults: list[Fault]) -> None:
        """Put more faults in force."""
        self._faults += faults

    def clear(self) -> None:
        """Behave well."""
        self._faults = []

    def told(self) -> list[dict[str, Any]]:
        """All in force, as JSON."""
        return [f.told() for f in self._faults if f.alive()]

    def refused(self, provider: str) -> bool:
        """Whether connections to a provider are refused now."""
        return any(f.kind == "refuse" and f.provider in (provider, "*") and f.alive() for f in self._faults)

    def strike(self, provider: str, model: str) -> dict[str, dict[str, Any]]:
        """The faults that hit this request: their parameters by kind. Uses up one of their ``times``."""
        self._faults = [f for f in self._faults if f.alive()]
        struck: dict[str, dict[str, Any]] = {}
        for fault in self._faults:
            if fault.kind == "refuse" or fault.provider not in (provider, "*") or fault.model not in (model, "*"):
                continue
            if self._chance.random() < fault.probability:
                struck[fault.kind] = fault.parameters
                if fault.times is not None:
                    fault.times -= 1
        return struck

    def delay(self, parameters: Mapping[str, Any]) -> float:
        """Seconds of a ``latency`` fault: fixed, or log-normal around a median."""
        if parameters["median_ms"]:
            return float(parameters["median_ms"]) / 1000 * self._chance.lognormvariate(0.0, float(parameters["sigma"]))
        return float(parameters["milliseconds"]) / 1000
