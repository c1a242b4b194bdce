"""The verdict on a run: against thresholds in writing, and against the suite's own size. Fails closed (E2, E3)."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evals.cases import Case, InvalidSuite, by_mode
from evals.harness import Result

THRESHOLDS = Path(__file__).parent / "thresholds.toml"
BASELINE = Path(__file__).parent / "baseline.json"
Z95 = 1.959964
PASS, BELOW, BROKEN = 0, 1, 2


class Threshold(BaseModel):
    """The least share that must pass, and what it is worth to the business."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: Annotated[float, Field(ge=0, le=1)]
    metric: str = Field(min_length=10)


class Thresholds(BaseModel):
    """Overall, and for each failure mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overall: Threshold
    modes: dict[str, Threshold]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval (Wilson, 1927)."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        """Passed of total; none of none is none."""
        return self.passed / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the share."""
        if not self.total:
            return (0.0, 1.0)
        n, p, z = self.total, self.share, Z95
        middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return ((middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` is the exit code; ``reasons`` say why it is not 0."""

    code: int
    reasons: tuple[str, ...]
    overall: Rate
    modes: dict[str, Rate]


def load_thresholds(path: Path = THRESHOLDS) -> Thresholds:
    """Read the thresholds."""
    return Thresholds.model_validate(tomllib.loads(path.read_text()))


def check_suite(cases: Sequence[Case], thresholds: Thresholds, baseline: Path = BASELINE) -> None:
    """Raise InvalidSuite if cases went missing since the baseline, or a failure mode has no threshold."""
    expected: dict[str, int] = json.loads(baseline.read_text())["cases"]
    modes = by_mode(cases)
    problems = [
        f"{m}: {len(modes.get(m, []))} cases, the baseline has {n}" for m, n in expected.items() if len(modes.get(m, [])) < n
    ]
    problems += [f"{mode}: no threshold" for mode in modes if mode not in thresholds.modes]
    if problems:
        raise InvalidSuite("\n".join(problems))


def judge(results: Sequence[Result], thresholds: Thresholds) -> Verdict:
    """Judge a run. A case that could not be judged makes the run broken, whatever the others did."""
    rates = {mode: Rate(sum(r.passed for r in found), len(found)) for mode, found in _by_mode(results).items()}
    overall = Rate(sum(r.passed for r in results), len(results))
    broken = [f"{r.case.id}: {r.broken}" for r in results if r.broken]
    if broken or not results:
        return Verdict(BROKEN, tuple(broken) or ("no case was run",), overall, rates)
    below = [f"overall: {overall.share:.1%} passed, at least {thresholds.overall.least:.0%} must"]
    below = below if overall.share < thresholds.overall.least else []
    for mode, rate in rates.items():
        least = thresholds.modes[mode].least
        if rate.share < least:
            below.append(f"{mode}: {rate.share:.1%} passed, at least {least:.0%} must ({thresholds.modes[mode].metric})")
    return Verdict(BELOW if below else PASS, tuple(below), overall, rates)


def _by_mode(results: Sequence[Result]) -> dict[str, list[Result]]:
    modes: dict[str, list[Result]] = {}
    for result in results:
        modes.setdefault(result.case.failure_mode, []).append(result)
    return modes
