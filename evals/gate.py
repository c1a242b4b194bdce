"""The verdict on a run, against thresholds in writing. Fails closed (E2, E3)."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evals.cases import Case, FailureMode, InvalidSuite
from evals.harness import Result
from evals.rates import Rate

THRESHOLDS = Path(__file__).parent / "thresholds.toml"
PASS, BELOW, BROKEN = 0, 1, 2


class Threshold(BaseModel):
    """The least share that must pass, the share that is aimed at, and the number of the business that both stand for.

    ``least`` holds what has been reached; raising it when something is mended is part of mending it. ``goal`` is what the
    business needs, and stays where it is while the product does not reach it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: Annotated[float, Field(gt=0, le=1)]
    goal: Annotated[float, Field(gt=0, le=1)]
    metric: str = Field(min_length=10)

    @model_validator(mode="after")
    def _ordered(self) -> "Threshold":
        if self.goal < self.least:
            raise ValueError("the goal is below what is demanded already")
        return self


class Thresholds(BaseModel):
    """Overall, and for each failure mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overall: Threshold
    modes: dict[FailureMode, Threshold]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` is the exit code; ``reasons`` say why it is not 0."""

    code: int
    reasons: tuple[str, ...]
    overall: Rate
    modes: dict[FailureMode, Rate]


def load_thresholds(path: Path = THRESHOLDS) -> Thresholds:
    """Read the thresholds. Raises InvalidSuite."""
    try:
        return Thresholds.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InvalidSuite(f"{path.name}: {error}") from error


def judge(cases: Sequence[Case], results: Sequence[Result], thresholds: Thresholds) -> Verdict:
    """Judge a run of ``cases``. One case that was not run or could not be judged breaks it, whatever the others did."""
    modes = {mode: _rate(results, mode) for mode in dict.fromkeys(case.failure_mode for case in cases)}
    overall = _rate(results)
    run = {result.case.id for result in results}
    broken = [f"{case.id}: not run" for case in cases if case.id not in run]
    broken += [f"{result.case.id}: {result.broken}" for result in results if result.broken]
    broken += [f"{mode}: no threshold" for mode in modes if mode not in thresholds.modes]
    if broken or not results:
        return Verdict(BROKEN, tuple(broken) or ("no case was run",), overall, modes)
    below = [_below("overall", overall, thresholds.overall)]
    below += [_below(mode, rate, thresholds.modes[mode]) for mode, rate in modes.items()]
    reasons = tuple(reason for reason in below if reason)
    return Verdict(BELOW if reasons else PASS, reasons, overall, modes)


def _rate(results: Sequence[Result], mode: FailureMode | None = None) -> Rate:
    counted = [result.passed for result in results if mode is None or result.case.failure_mode == mode]
    return Rate(sum(counted), len(counted))


def _below(name: str, rate: Rate, threshold: Threshold) -> str | None:
    if rate.share >= threshold.least:
        return None
    return f"{name}: {rate.share:.1%} passed, at least {threshold.least:.0%} must. {threshold.metric}"
