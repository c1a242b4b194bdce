"""Small functions that say what is wrong with an answer. Deterministic; an empty list is a pass."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from evals.cases import Expectation

Answer = dict[str, Any]
Scorer = Callable[[Expectation, Answer], list[str]]


def outcome(expect: Expectation, answer: Answer) -> list[str]:
    """Answered or handed over, as expected."""
    got = answer.get("outcome")
    return [f"outcome is {got}, not {expect.outcome}"] if expect.outcome and got != expect.outcome else []


def citations(expect: Expectation, answer: Answer) -> list[str]:
    """At least one of the articles that hold the answer is cited, with a quote that stands in it."""
    cited = [c["article_id"] for c in answer.get("citations", [])]
    if expect.cites and not set(expect.cites) & set(cited):
        return [f"cites {cited or 'nothing'}, none of {list(expect.cites)}"]
    return [f"cites {c['article_id']} without a quote" for c in answer.get("citations", []) if not c["quote"]]


def facts(expect: Expectation, answer: Answer) -> list[str]:
    """Every fact is stated, in one of its forms."""
    return _missing("the answer", expect.says, str(answer.get("answer", "")))


def forbidden(expect: Expectation, answer: Answer) -> list[str]:
    """Nothing is said that must not be."""
    text = _plain(str(answer.get("answer", "")))
    return [f"says {words!r}" for words in expect.says_not if _plain(words) in text]


def tools(expect: Expectation, answer: Answer) -> list[str]:
    """The right tools were called, and no others that matter."""
    called = {t["name"]: t["outcome"] for t in answer.get("tools", [])}
    missing = [f"did not call {name} ({called.get(name, 'never')})" for name in expect.calls if called.get(name) != "ok"]
    return missing + [f"called {name}" for name in expect.calls_not if name in called]


def ticket(expect: Expectation, answer: Answer) -> list[str]:
    """Every field of the ticket is right."""
    wrong = [
        f"{name} is {answer.get(name)!r}, not {value!r}" for name, value in expect.ticket.items() if answer.get(name) != value
    ]
    return wrong + _missing("the summary", expect.summary_says, str(answer.get("summary", "")))


SCORERS: tuple[Scorer, ...] = (outcome, citations, facts, forbidden, tools, ticket)


def failures(expect: Expectation, answer: Answer) -> list[str]:
    """Everything that is wrong with an answer."""
    return [problem for scorer in SCORERS for problem in scorer(expect, answer)]


def _missing(where: str, wanted: Sequence[str | tuple[str, ...]], text: str) -> list[str]:
    plain = _plain(text)
    missing = []
    for fact in wanted:
        forms = (fact,) if isinstance(fact, str) else fact
        if not any(_plain(form) in plain for form in forms):
            missing.append(f"{where} does not say {' or '.join(forms)!r}")
    return missing


def _plain(text: str) -> str:
    """Lower case, one kind of space and quote: how it is set does not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'").split())
