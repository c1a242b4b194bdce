"""The pinned results of the suite (E4), by label.

Only `evals baseline accept` changes them.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import Field, ValidationError

from app.domain.strict import Strict
from evals.cases import Case, InvalidSuite, by_mode
from evals.chaos import MODE
from evals.paired import Delta, Pair, compare
from evals.runs import RunFile


class Pinned(Strict):
    """Result of one case: its form, the trials that passed, and all trials."""

    digest: str
    passed: int = Field(ge=0)
    trials: int = Field(ge=1)

    @property
    def share(self) -> float:
        """Of the trials, those that passed."""
        return self.passed / self.trials


class PinnedRun(Strict):
    """A run as it was accepted, by case."""

    accepted: date
    release: str
    cases: dict[str, Pinned]


class PinnedModel(Strict):
    """Result of one model of a fallback chain on the whole suite (E6).

    ``pins`` stands for the prompts and articles of that run.
    """

    accepted: date
    pins: str
    passed: float
    cases: int = Field(ge=1)


class Baseline(Strict):
    """The baseline of a suite.

    ``cases`` are its ids by failure mode; ``runs`` and ``models`` are results by label.
    """

    cases: dict[str, tuple[str, ...]]
    runs: dict[str, PinnedRun] = Field(default_factory=dict)
    models: dict[str, dict[str, PinnedModel]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside another. ``lost`` and ``won`` are cases that flipped; ``new`` and ``changed`` ones cannot be compared."""

    overall: Delta
    modes: Mapping[str, Delta]
    lost: tuple[str, ...]
    won: tuple[str, ...]
    new: tuple[str, ...]
    changed: tuple[str, ...]


def load_baseline(path: Path) -> Baseline:
    """Read the baseline. Raises InvalidSuite: without one a missing case would go unnoticed."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidSuite(f"{path.name}: {error}") from error


def write_baseline(cases: Sequence[Case], path: Path, *, before: Baseline | None = None) -> None:
    """Accept the suite as it is; results that are pinned stay."""
    ids = {mode: tuple(sorted(case.id for case in found)) for mode, found in sorted(by_mode(cases).items())}
    kept = before or Baseline(cases={})
    write(kept.model_copy(update={"cases": ids}), path)


def write(baseline: Baseline, path: Path) -> None:
    """Write it, in an order that makes changes easy to read."""
    path.write_text(baseline.model_dump_json(indent=1) + "\n", encoding="utf-8")


def accept(baseline: Baseline, cases: Sequence[Case], run: RunFile, today: date) -> Baseline:
    """The baseline with a run pinned, and with the suite as it is.

    Raises InvalidSuite for a run that is not whole: a case that is missing or broke, or was changed since. Chaos cases may be
    missing together: no fault can be injected into a real model.
    """
    trials = run.trials()
    cases, whole = [case for case in cases if not case.chaos or any(c.chaos and c.id in trials for c in cases)], cases
    lines = {line.id: line for line in run.lines}
    problems = [f"{case.id}: not run" for case in cases if case.id not in trials]
    problems += [f"{line.id}: {line.broken}" for line in run.lines if line.broken]
    problems += [f"{c.id}: changed since the run" for c in cases if c.id in lines and lines[c.id].digest != c.digest]
    problems += [f"{identity}: no such case" for identity in trials if identity not in {case.id for case in whole}]
    if problems:
        raise InvalidSuite("not accepted:\n" + "\n".join(problems))
    pinned = {
        case.id: Pinned(digest=case.digest, passed=trials[case.id][0], trials=trials[case.id][1])
        for case in sorted(cases, key=lambda case: case.id)
    }
    releases = sorted({line.trail.release for line in run.lines if line.trail.release})
    accepted = PinnedRun(accepted=today, release=", ".join(releases), cases=pinned)
    ids = {mode: tuple(sorted(case.id for case in found)) for mode, found in sorted(by_mode(whole).items())}
    return baseline.model_copy(update={"cases": ids, "runs": {**baseline.runs, run.head.label: accepted}})


Shares = Mapping[str, tuple[str, str, float]]


def beside(before: Mapping[str, tuple[str, float]], after: Shares) -> Comparison:
    """Compare two runs. Shares by case: form and share before; failure mode, form and share after.

    Chaos cases that flipped are named and in no test: their threshold holds each of them.
    """
    pairs: dict[str, dict[str, Pair]] = {}
    new, changed = [], []
    for identity, (mode, digest, share) in after.items():
        if identity not in before:
            new.append(identity)
        elif before[identity][0] != digest:
            changed.append(identity)
        else:
            pairs.setdefault(mode, {})[identity] = Pair(before[identity][1], share)
    overall, modes = compare({mode: list(found.values()) for mode, found in pairs.items() if mode != MODE})
    flat = {identity: pair.delta for found in pairs.values() for identity, pair in found.items()}
    lost, won = (tuple(sorted(i for i, d in flat.items() if sign * d > 0)) for sign in (-1, 1))
    return Comparison(overall, modes, lost, won, tuple(sorted(new)), tuple(sorted(changed)))


def pinned_at(commit: str, path: Path, label: str) -> PinnedRun | None:
    """The run that is pinned in a git commit.

    None where the file or the label is not there. Raises InvalidSuite.
    """
    if not _git(path, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        raise InvalidSuite(f"there is no commit {commit} in this clone")
    content = _git(path, "show", f"{commit}:./{path.name}")
    try:
        return Baseline.model_validate_json(content).runs.get(label) if content else None
    except ValidationError as error:
        raise InvalidSuite(f"{path.name} of {commit}: {error}") from error


def _git(path: Path, *arguments: str) -> bytes:
    """The output of git in the file's folder; nothing where it fails, or is not installed."""
    command = ["git", "-C", str(path.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False).stdout
    except OSError:
        return b""


def unfit(comparison: Comparison, pinned: PinnedRun, cases: Sequence[Case]) -> Iterator[str]:
    """Differences of a pinned run from the run compared with it."""
    named = (("passed", comparison.lost), ("failed", comparison.won), ("in another form", comparison.changed))
    yield from (f"{identity}: pinned {how}" for how, ids in named for identity in ids)
    yield from (f"{identity}: not pinned" for identity in comparison.new)
    known = {case.id for case in cases}
    yield from (f"{identity}: pinned, and no case" for identity in sorted(set(pinned.cases) - known))


def pinned_shares(run: PinnedRun) -> dict[str, tuple[str, float]]:
    """As `beside` takes them."""
    return {identity: (case.digest, case.share) for identity, case in run.cases.items()}


def file_shares(run: RunFile) -> dict[str, tuple[str, str, float]]:
    """As `beside` takes them; of a run that was read back."""
    trials = run.trials()
    return {line.id: (line.failure_mode, line.digest, trials[line.id][0] / trials[line.id][1]) for line in run.lines}
