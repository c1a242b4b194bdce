"""A scenario as a file, written before the game day: hypothesis, steady state, fault, probes, page of the runbook, limits.

``runbook/gamedays/NAME.toml``. Times are seconds, shares per cent.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from app.domain.errors import Misconfigured
from app.domain.strict import Strict

FOLDER = "gamedays"
Measure = Literal[
    "answered",
    "honest",
    "second_attempt",
    "usual_provider",
    "p50_seconds",
    "p95_seconds",
    "first_byte_p95_seconds",
    "slowest_seconds",
    "followed",
]
Phase = Literal["fault", "contained", "recovered"]
Kind = Literal["chat", "stream", "structured"]


class Traffic(Strict):
    """The callers of the whole game day: an open load of these kinds in turn, each with a deadline."""

    rate: float = Field(default=4.0, gt=0, le=100)
    kinds: tuple[Kind, ...] = Field(default=("chat", "stream"), min_length=1)
    deadline: float = Field(default=10.0, gt=0, le=60)


class Steady(Strict):
    """The steady state, checked before the fault: without it nothing is judged."""

    seconds: float = Field(default=5.0, gt=0, le=120)
    answered: float = Field(default=99.9, ge=0, le=100)
    median: float = Field(default=1.0, gt=0)


class Rogue(Strict):
    """A caller who does harm as long as the fault lasts. ``own_key``: with a key of its own, the runbook's KEY.

    ``times``: how often its text stands in each request: a longer one costs more.
    """

    user: str = "mallory"
    text: str = Field(min_length=1, max_length=4000)
    times: int = Field(default=1, ge=1, le=5000)
    rate: float = Field(default=4.0, gt=0, le=100)
    own_key: bool = False


class Fault(Strict):
    """The fault: the simulator's, a store that goes away behind the proxy, a bad release, a rogue caller, or some at once.

    It is held for ``seconds`` at most. ``change``: the values of the route `smart` that differ in the bad release.
    """

    at: Literal["simulator", "valkey", "release"] = "simulator"
    faults: tuple[dict[str, Any], ...] = ({"kind": "refuse"},)
    rogue: Rogue | None = None
    change: dict[str, Any] = Field(default_factory=dict)
    seconds: float = Field(gt=0, le=600)

    @model_validator(mode="after")
    def _breaks_something(self) -> "Fault":
        if self.at == "release" and not self.change:
            raise ValueError("a bad release differs: `change` is empty")
        if self.at != "release" and not self.faults and self.rogue is None:
            raise ValueError("nothing is broken: name faults, or a rogue")
        return self


class Detect(Strict):
    """The sign by which a person sees it: a command whose output matches ``shows``, within so many seconds."""

    command: str
    shows: str
    within: float = Field(default=60.0, gt=0)
    alert: str = Field(default="", description="The alert of the page; empty pages no person.")

    @field_validator("shows")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        re.compile(value)
        return value


class Runbook(Strict):
    """The page and its sections whose commands are followed literally.

    ``contain`` as soon as it is detected, then ``verify``, while the fault lasts; ``recover`` after it.
    """

    page: str
    contain: tuple[str, ...] = ("Contain",)
    verify: tuple[str, ...] = ("Verify",)
    recover: tuple[str, ...] = ()


class Probe(Strict):
    """One limit on the callers of a phase.

    ``honest``: answered, or refused with a code that ``honest_codes`` names. ``usual_provider``: of the answers that name their
    provider, those by the one that answered most in the steady state. ``second_attempt``: whose call made more than one attempt
    at a model; a target that is stopped gets none. ``followed``: of the runbook's commands, those that work.
    ``of``: all callers but the rogue, or the rogue.
    """

    name: str
    phase: Phase
    measure: Measure
    of: Literal["callers", "rogue"] = "callers"
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Probe":
        if self.at_least is None and self.at_most is None:
            raise ValueError("a probe has a limit: at_least, at_most or both")
        return self

    def holds(self, value: float | None) -> bool:
        """Whether a value keeps the limits; none at all does not."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Limits(Strict):
    """How soon callers are served as promised: after the commands, and after the fault; over a window of seconds.

    Not ``containable``: nothing can answer while the fault lasts, so its refusals are judged and none of this is containment.
    """

    containable: bool = True
    window: float = Field(default=3.0, gt=0)
    contained_within: float = Field(default=60.0, gt=0)
    recovered_within: float = Field(default=90.0, gt=0)


class Scenario(Strict):
    """The file. ``hypothesis``: the promise, as one sentence that the probes test."""

    title: str
    hypothesis: str
    traffic: Traffic = Traffic()
    steady: Steady = Steady()
    fault: Fault
    detect: Detect
    runbook: Runbook
    probes: tuple[Probe, ...] = Field(min_length=1)
    honest_codes: tuple[str, ...] = ()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _names_its_phases(self) -> "Scenario":
        missing = {"fault", "contained", "recovered"} - {probe.phase for probe in self.probes}
        if missing:
            raise ValueError(f"no probe of the phase {', '.join(sorted(missing))}")
        return self


def load(runbook: Path, name: str) -> Scenario:
    """Read a scenario. Raises Misconfigured naming the line or field that does not fit."""
    path = runbook / FOLDER / f"{name}.toml"
    if not path.is_file():
        raise Misconfigured(f"There is no {path}. Scenarios: {', '.join(names(runbook)) or 'none'}.")
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise Misconfigured(f"{path} is not usable:\n  " + "\n  ".join(lines)) from None


def names(runbook: Path) -> Sequence[str]:
    """The scenarios of a runbook."""
    return sorted(path.stem for path in (runbook / FOLDER).glob("*.toml"))
