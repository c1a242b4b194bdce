"""Whether the suite is fit to judge by: nothing missing, nothing without a threshold, nothing that no right answer could pass."""

from collections.abc import Iterator, Sequence

from evals.articles import article
from evals.baseline import Baseline
from evals.cases import AnswerCase, Case, InvalidSuite, Question, by_mode
from evals.gate import Thresholds
from evals.privacy import personal
from evals.wording import states

LONGEST, LONGEST_CONVERSATION = 4_000, 20_000  # characters, as the service takes them; a test holds the two together
DRAFT = "DRAFT"  # criteria that nobody has written yet begin so


def check_suite(cases: Sequence[Case], thresholds: Thresholds, baseline: Baseline) -> None:
    """Raise InvalidSuite, naming every problem."""
    problems = [
        *_missing(cases, baseline),
        *_unpaired(cases, thresholds),
        *_drafts(cases),
        *_impossible(cases),
        *_unsendable(cases),
        *_personal(cases),
    ]
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


def _drafts(cases: Sequence[Case]) -> Iterator[str]:
    yield from (f"{case.id}: is a draft, its criteria are to be written" for case in cases if case.criteria.startswith(DRAFT))


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


def _unsendable(cases: Sequence[Case]) -> Iterator[str]:
    """What the service would refuse before any model sees it; a pasted article that is gone."""
    for case in cases:
        turns = case.input.conversation if isinstance(case.input, Question) else ()
        yield from (f"{case.id}: there is no article {turn.article}" for turn in turns if not turn.said)
        words = [turn.said for turn in turns] + [case.input.question if isinstance(case.input, Question) else case.input.text]
        if max(map(len, words)) > LONGEST or sum(map(len, words[:-1])) > LONGEST_CONVERSATION:
            yield f"{case.id}: longer than the service takes"


def _personal(cases: Sequence[Case]) -> Iterator[str]:
    """Nobody's data: a case is read by everybody who can read the repository (S5)."""
    for case in cases:
        told = f"{case.input.said} {case.criteria} {case.origin} {case.expect.model_dump_json()}"
        yield from (f"{case.id}: holds personal data: {kind}" for kind in personal(told))
