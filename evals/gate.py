"""The verdict on a run, against thresholds in writing. Fails closed (E2, E3)."""

import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evals.baseline import Comparison, PinnedRun, beside, pinned_shares
from evals.calibration import JudgeThresholds
from evals.cases import Case, InvalidSuite
from evals.harness import Result
from evals.rates import Rate, percentile

PASS, BELOW, BROKEN = 0, 1, 2


class Threshold(BaseModel):
    """A threshold of shares of passed cases.

    ``least`` must be reached, and holds what has been reached: raising it is part of each mend. ``goal`` is what the business
    needs, and stays where it is while the product does not reach it. ``metric`` names the number of the business behind both.
    ``counts`` says in a sentence when a case counts as passed, where the name alone misleads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: Annotated[float, Field(gt=0, le=1)]
    goal: Annotated[float, Field(gt=0, le=1)]
    metric: str = Field(min_length=10)
    counts: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> "Threshold":
        if self.goal < self.least:
            raise ValueError("the goal is below what is demanded already")
        return self


class Limits(BaseModel):
    """Limits of an answer's time and money. ``metric`` says what they stand for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd_per_case: Annotated[float, Field(gt=0)]
    p95_seconds: Annotated[float, Field(gt=0)]
    metric: str = Field(min_length=10)


class Thresholds(BaseModel):
    """All thresholds of a suite.

    Overall, for each failure mode, for means of measures, for cost, and for each model of a fallback chain (E6).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    overall: Threshold
    modes: dict[str, Threshold]
    measures: dict[str, Threshold] = Field(default_factory=dict)
    limits: Limits | None = None
    models: dict[str, Threshold] = Field(default_factory=dict)
    judge: JudgeThresholds | None = None
    floors: dict[str, dict[str, Annotated[float, Field(gt=0, le=1)]]] = Field(default_factory=dict)
    harms: dict[str, str] = Field(default_factory=dict, description="Of an attack that a case lost, by the scorer that found it.")

    @model_validator(mode="after")
    def _known(self) -> "Thresholds":
        named = {"overall", *self.modes, *self.measures, *self.models}
        if unknown := {name for floors in self.floors.values() for name in floors} - named:
            raise ValueError(f"floors of what has no threshold: {', '.join(sorted(unknown))}")
        return self

    def of(self, label: str) -> "Thresholds":
        """The thresholds for this label.

        Its own thresholds, where it has any, replace ``least``.
        """
        floors = self.floors.get(label, {})

        def lowered(name: str, threshold: Threshold) -> Threshold:
            return threshold.model_copy(update={"least": floors[name]}) if name in floors else threshold

        groups = {g: {n: lowered(n, t) for n, t in getattr(self, g).items()} for g in ("modes", "measures", "models")}
        return self.model_copy(update={"overall": lowered("overall", self.overall), **groups})


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict on a run.

    ``code`` is the exit code; ``reasons`` say why it is not 0. ``comparison`` is with the pinned run, if there is one.
    """

    code: int
    reasons: tuple[str, ...]
    overall: Rate
    modes: dict[str, Rate]
    measures: Mapping[str, Rate] = field(default_factory=dict)
    comparison: Comparison | None = None


def load_thresholds(path: Path) -> Thresholds:
    """Read the thresholds. Raises InvalidSuite."""
    try:
        return Thresholds.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InvalidSuite(f"{path.name}: {error}") from error


def part_of(cases: Sequence[Case], suite: Sequence[Case]) -> frozenset[str] | None:
    """The failure modes of which ``cases`` holds every case of the suite; None where it holds the whole suite."""
    run = {case.id for case in cases}
    if run >= {case.id for case in suite}:
        return None
    lacking = {case.failure_mode for case in suite if case.id not in run}
    known = {case.id for case in suite}
    return frozenset({case.failure_mode for case in cases if case.id in known} - lacking)


def judge(
    cases: Sequence[Case],
    results: Sequence[Result],
    thresholds: Thresholds,
    pinned: PinnedRun | None = None,
    part: Collection[str] | None = None,
) -> GateResult:
    """Judge a run of ``cases``.

    One case that was not run or could not be judged breaks the run, whatever the others did.

    The overall share, the means and the limits are over answers; chaos cases have their threshold and no part in these.

    ``pinned`` is the run that was accepted for what answers here. A run that is worse fails, however far above its thresholds.

    ``part``: where a part of the suite was run, the modes of which every case was. These alone are judged: the other thresholds
    are of the whole suite, and a few of its cases reach or miss them by their choice.
    """
    modes = {mode: _rate(results, mode) for mode in dict.fromkeys(case.failure_mode for case in cases)}
    answers = [result for result in results if not result.case.chaos]
    overall = _rate(answers)
    trials = Counter(identity for identity, _ in {(result.case.id, result.trial) for result in results})
    most = max(trials.values(), default=1)
    broken = [f"{case.id}: not run" for case in cases if not trials[case.id]]
    broken += [f"{case.id}: run {trials[case.id]} of {most} times" for case in cases if 0 < trials[case.id] < most]
    broken += [f"{result.case.id}: {result.broken}" for result in results if result.broken]
    broken += [f"{mode}: no threshold" for mode in modes if mode not in thresholds.modes]
    broken += [f"{result.case.id}: invalid score" for result in results if not all(0 <= v <= 1 for v in result.measures.values())]
    measures = means(answers)
    if broken or not results:
        return GateResult(BROKEN, tuple(broken) or ("no case was run",), overall, modes, measures)
    comparison = beside(pinned_shares(pinned), shares(results)) if pinned else None
    below = [_below(mode, rate, thresholds.modes[mode]) for mode, rate in modes.items() if part is None or mode in part]
    if part is None:
        below = [_below("overall", overall, thresholds.overall), *below] if answers else below
        below += [_below(name, measures[name], wanted) for name, wanted in thresholds.measures.items() if name in measures]
    reasons = [reason for reason in below if reason]
    reasons += _over(answers, thresholds.limits) if part is None and thresholds.limits and answers else []
    reasons += _worse(comparison) if comparison else []
    return GateResult(BELOW if reasons else PASS, tuple(reasons), overall, modes, measures, comparison)


def shares(results: Sequence[Result]) -> dict[str, tuple[str, str, float]]:
    """Failure mode, form, and share of passed trials of each case."""
    passed: dict[str, list[bool]] = {}
    for result in results:
        passed.setdefault(result.case.id, []).append(result.passed)
    known = {result.case.id: result.case for result in results}
    return {i: (known[i].failure_mode, known[i].digest, sum(found) / len(found)) for i, found in passed.items()}


def means(results: Sequence[Result]) -> dict[str, Rate]:
    """The mean of each measure over the cases that have it."""
    values: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for name, value in result.measures.items():
            values.setdefault(name, {}).setdefault(result.case.id, []).append(value)
    return {n: Rate(sum(sum(v) / len(v) for v in cases.values()), len(cases)) for n, cases in sorted(values.items())}


def _rate(results: Sequence[Result], mode: str | None = None) -> Rate:
    found = [share for of, _, share in shares(results).values() if mode is None or of == mode]
    whole = round(sum(found), 9)
    return Rate(int(whole) if whole == int(whole) else whole, len(found))


def _below(name: str, rate: Rate, threshold: Threshold) -> str | None:
    if rate.share >= threshold.least:
        return None
    return f"{name}: {rate.share:.1%} passed, at least {threshold.least:.0%} must. {threshold.metric}"


def _over(results: Sequence[Result], limits: Limits) -> list[str]:
    cost = sum(result.trail.cost_usd for result in results) / len(results)
    slow = percentile([result.trail.seconds for result in results], 0.95)
    over = []
    if cost > limits.usd_per_case:
        over.append(f"cost: ${cost:.4f} an answer, at most ${limits.usd_per_case:.4f} may be. {limits.metric}")
    if slow > limits.p95_seconds:
        over.append(f"latency: p95 {slow:.1f} s, at most {limits.p95_seconds:.0f} s may be. {limits.metric}")
    return over


def _worse(comparison: Comparison) -> list[str]:
    found = [("overall", comparison.overall), *comparison.modes.items()]
    return [
        f"{name}: worse than the pinned run: {delta.before:.1%} then, {delta.after:.1%} now (p = {delta.p_worse:.4f})"
        for name, delta in found
        if delta.verdict == "worse"
    ]
