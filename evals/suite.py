"""Whether the suite is fit to judge by: nothing missing, nothing without a threshold, nothing that no right answer could pass."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.articles import article
from evals.cases import AnswerCase, Case, FailureMode, InvalidSuite, by_mode
from evals.gate import Thresholds
from evals.wording import states

BASELINE = Path(__file__).parent / "baseline.json"


class Baseline(BaseModel):
    """The suite as it was accepted: the ids of its cases by failure mode. Changed by `python -m evals baseline` alone (E4)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cases: dict[FailureMode, tuple[str, ...]]


def load_baseline(path: Path = BASELINE) -> Baseline:
    """Read the baseline. Raises InvalidSuite: without one nobody can tell whether a case went missing."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidSuite(f"{path.name}: {error}") from error


def write_baseline(cases: Sequence[Case], path: Path = BASELINE) -> None:
    """Accept the suite as it is."""
    ids = {mode: sorted(case.id for case in found) for mode, found in sorted(by_mode(cases).items())}
    path.write_text(json.dumps({"cases": ids}, indent=2) + "\n", encoding="utf-8")


def check_suite(cases: Sequence[Case], thresholds: Thresholds, baseline: Baseline) -> None:
    """Raise InvalidSuite, naming every problem."""
    problems = [*_missing(cases, baseline), *_unpaired(cases, thresholds), *_impossible(cases)]
    if problems:
        raise InvalidSuite("\n".join(problems))


def _missing(cases: Sequence[Case], baseline: Baseline) -> Iterator[str]:
    modes = by_mode(cases)
    for mode, expected in baseline.cases.items():
        found = {case.id for case in modes.get(mode, [])}
        if gone := sorted(set(expected) - found):
            yield f"{mode}: {len(found)} cases, the baseline has {len(expected)}; missing: {', '.join(gone)}"


def _unpaired(cases: Sequence[Case], thresholds: Thresholds) -> Iterator[str]:
    modes = by_mode(cases)
    yield from (f"{mode}: no threshold" for mode in modes if mode not in thresholds.modes)
    yield from (f"{mode}: a threshold and no case" for mode in thresholds.modes if mode not in modes)


def _impossible(cases: Sequence[Case]) -> Iterator[str]:
    """Articles change: a case that demands what they no longer say would fail the best of answers."""
    for case in cases:
        if not isinstance(case, AnswerCase) or not case.expect.sources:
            continue
        sources = [article(name) or "" for name in case.expect.sources]
        yield from (f"{case.id}: there is no article {name}" for name in case.expect.sources if article(name) is None)
        for fact in case.expect.says:
            if not any(states(source, fact) for source in sources):
                yield f"{case.id}: {fact!r} stands in none of {', '.join(case.expect.sources)}"
