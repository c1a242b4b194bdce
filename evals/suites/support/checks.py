"""Cases that no right answer could pass, or that the service would not take."""

from collections.abc import Iterator, Sequence

from evals.cases import Case
from evals.suites.support.articles import article
from evals.suites.support.cases import AnswerCase, Message, Question
from evals.wording import states

LONGEST, LONGEST_CONVERSATION = 4_000, 20_000  # characters, as the service takes them; a test holds the two together


def problems(cases: Sequence[Case]) -> Iterator[str]:
    """Every problem, with the case's id."""
    yield from _impossible(cases)
    yield from _unsendable(cases)


def _impossible(cases: Sequence[Case]) -> Iterator[str]:
    """Articles change: the best of answers would fail a case whose facts they no longer state."""
    for case in cases:
        if not isinstance(case, AnswerCase) or not case.expect.sources:
            continue
        sources = [article(name) or "" for name in case.expect.sources]
        yield from (f"{case.id}: there is no article {name}" for name in case.expect.sources if article(name) is None)
        for fact in case.expect.says:
            if not any(states(source, fact) for source in sources):
                yield f"{case.id}: {fact!r} stands in none of {', '.join(case.expect.sources)}"


def _unsendable(cases: Sequence[Case]) -> Iterator[str]:
    """Cases that the service would refuse before a model sees them; a pasted article that is gone."""
    for case in cases:
        turns = case.input.conversation if isinstance(case.input, Question) else ()
        yield from (f"{case.id}: there is no article {turn.article}" for turn in turns if not turn.words)
        last = (
            case.input.question
            if isinstance(case.input, Question)
            else case.input.text
            if isinstance(case.input, Message)
            else ""
        )
        words = [*(turn.words for turn in turns), last]
        if max(map(len, words)) > LONGEST or sum(map(len, words[:-1])) > LONGEST_CONVERSATION:
            yield f"{case.id}: longer than the service takes"
