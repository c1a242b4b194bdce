"""Checks that a suite is fit to judge by.

No case is missing, each failure mode has a threshold, and no case holds personal data.
"""

from collections.abc import Iterator, Sequence

from evals.baseline import Baseline
from evals.cases import Case, InvalidSuite, by_mode
from evals.chaos import MODE
from evals.gate import Thresholds
from evals.privacy import personal
from evals.suite import Suite

DRAFT = "DRAFT"  # the criteria of a case begin so until a person has written them


def check_suite(suite: Suite, cases: Sequence[Case], thresholds: Thresholds, baseline: Baseline) -> None:
    """Raise InvalidSuite, naming every problem."""
    problems = [
        *_missing(cases, baseline),
        *_unpaired(cases, thresholds),
        *_drafts(cases),
        *_unprompted(suite, cases),
        *_misplaced(cases),
        *suite.problems(cases),
        *_personal(suite, cases),
    ]
    if problems:
        raise InvalidSuite("\n".join(f"{suite.name}: {problem}" for problem in problems))


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


def _drafts(cases: Sequence[Case]) -> Iterator[str]:
    yield from (f"{case.id}: is a draft, its criteria are to be written" for case in cases if case.criteria.startswith(DRAFT))


def _unprompted(suite: Suite, cases: Sequence[Case]) -> Iterator[str]:
    """Check that the suite names the prompt behind each endpoint.

    The models of the prompt's fallback chain are judged by these cases.
    """
    for endpoint in sorted({case.endpoint for case in cases} - set(suite.prompts)):
        yield f"no prompt is named for the endpoint {endpoint}"


def _misplaced(cases: Sequence[Case]) -> Iterator[str]:
    """Chaos cases have a failure mode of their own: they count in no share of answers."""
    for case in cases:
        if (case.failure_mode == MODE) is not (case.chaos is not None):
            yield f"{case.id}: cases with a fault, and no others, belong to {MODE}"


def _personal(suite: Suite, cases: Sequence[Case]) -> Iterator[str]:
    """Everyone who can read the repository reads the cases (S5)."""
    for case in cases:
        text = f"{case.input.full_text} {case.criteria} {case.origin} {case.expect.model_dump_json()}"
        for kind in personal(text, suite.public_text):
            yield f"{case.id}: holds personal data: {kind}. Make it up, and list it in public_text of the suite"
