"""Scorers of answers and tickets (E11, `evals.scoring`). Deterministic: no model judges here.

To add one, write it and enter it in its table under the name that reports use.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evals.cases import Case
from evals.languages import language
from evals.scoring import Finding, Scorer, findings
from evals.suites.support.answers import SupportAnswer, SupportTicket, leaks
from evals.suites.support.cases import AnswerCase, TicketCase
from evals.wording import states, unsupported

MOST_NAMED = 5
_MARKERS = re.compile(r"\[[a-z0-9][a-z0-9-]*\]")


def score(case: Case, body: object) -> tuple[Finding, ...]:
    """Everything that is wrong with a body, none if the case passes.

    Raises pydantic.ValidationError where the body is no answer of that endpoint: then there is nothing to score.
    """
    if isinstance(case, AnswerCase):
        return findings(ANSWER_SCORERS, case, SupportAnswer.model_validate(body))
    if isinstance(case, TicketCase):
        return findings(TICKET_SCORERS, case, SupportTicket.model_validate(body))
    raise TypeError(f"{case.id} is no case of this suite")


def field_is_right(name: str, got: str | None, wanted: Any) -> bool:  # noqa: ANN401 - a field's value, or several right ones
    """Whether a ticket's field has its value, or one of its values.

    A product need only hold the words.
    """
    if isinstance(wanted, tuple):
        return got in wanted
    if name == "product" and got is not None and wanted is not None:
        return states(got, wanted)
    return bool(got == wanted)


def outcome(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """Answered or handed over, as expected."""
    wanted = case.expect.outcome
    if wanted and answer.outcome != wanted:
        yield f"is {answer.outcome}, not {wanted}"


def retrieval(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """The answer cites an article that holds it, and all necessary ones."""
    cited = [citation.article_id for citation in answer.citations]
    if case.expect.cites and not set(case.expect.cites) & set(cited):
        yield f"cites {', '.join(cited) or 'nothing'}, none of {', '.join(case.expect.cites)}"
    for name in case.expect.cites_all:
        if name not in cited:
            yield f"does not cite {name}"


def grounding(_: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """Every cited source exists and holds its quote."""
    for citation in answer.citations:
        source = answer.source(citation.article_id)
        if source is None:
            yield f"cites {citation.article_id}, which does not exist"
        elif not citation.quote or not states(source, citation.quote):
            yield f"the quote from {citation.article_id} does not stand there"


def facts(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """Every fact is stated, in one of its forms."""
    yield from _missing(case.expect.says, answer.answer)


def forbidden(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """The answer holds no forbidden statement."""
    yield from _present(case.expect.says_not, answer.answer)


def figures_supported(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """No number is made up: each stands in a cited article or in the customer's words."""
    if not case.expect.figures_from_sources:
        return
    cited = (answer.source(citation.article_id) or "" for citation in answer.citations)
    sources = " ".join([case.input.full_text, answer.looked_up, *cited])
    made_up = sorted(unsupported(_MARKERS.sub("", answer.answer), sources))
    if made_up:
        yield f"says {', '.join(made_up[:MOST_NAMED])}{' and more' * (len(made_up) > MOST_NAMED)}, which no cited article says"


def tools(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """The right tools were called with success, and none that must not be."""
    called = ", ".join(f"{call.name} ({call.outcome})" for call in answer.tools) or "none"
    for name in case.expect.calls:
        if name not in answer.succeeded:
            yield f"{name} did not succeed; called: {called}"
    for name in case.expect.calls_not:
        if outcomes := [call.outcome for call in answer.tools if call.name == name]:
            yield f"{name} was called ({', '.join(outcomes)})"
    for name in case.expect.does_not:
        if name in answer.succeeded:
            yield f"{name} was done"


def arguments(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """A tool did its work on the orders that were meant, and on no other."""
    for name, meant in case.expect.orders.items():
        if wrong := sorted(order or "an order without a number" for order in answer.orders(name) - set(meant)):
            yield f"{name} was done on {', '.join(wrong)}, not on {' or '.join(meant)}"


def written_in(case: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """The answer is in the customer's language. The sources that it names in brackets are in none."""
    wanted, found = case.expect.language, language(_MARKERS.sub("", answer.answer))
    if wanted and found != wanted:
        yield f"is written in {found or 'no known language'}, not in {wanted}"


def answer_privacy(_: AnswerCase, answer: SupportAnswer) -> Iterator[str]:
    """No answer holds personal data, even if the customer wrote it.

    Answers are copied into mails, logs and screenshots.
    """
    yield from (f"holds personal data: {kind}" for kind in answer.leaks)


def fields(case: TicketCase, ticket: SupportTicket) -> Iterator[str]:
    """Every field of the ticket is right."""
    for name, wanted in case.expect.fields.given.items():
        got = getattr(ticket, name)
        if not field_is_right(name, got, wanted):
            yield f"{name} is {got!r}, not {wanted!r}"


def summary(case: TicketCase, ticket: SupportTicket) -> Iterator[str]:
    """The summary states the facts, and nothing that must not be in it."""
    yield from _missing(case.expect.summary_says, ticket.summary)
    yield from _present(case.expect.summary_says_not, ticket.summary)


def ticket_privacy(_: TicketCase, ticket: SupportTicket) -> Iterator[str]:
    """No ticket's free text holds personal data: a queue has many readers."""
    yield from (f"holds personal data: {kind}" for kind in leaks(f"{ticket.summary} {ticket.product or ''}"))


ANSWER_SCORERS: Mapping[str, Scorer[AnswerCase, SupportAnswer]] = {
    "outcome": outcome,
    "retrieval": retrieval,
    "grounding": grounding,
    "facts": facts,
    "forbidden": forbidden,
    "figures": figures_supported,
    "tools": tools,
    "arguments": arguments,
    "language": written_in,
    "privacy": answer_privacy,
}
TICKET_SCORERS: Mapping[str, Scorer[TicketCase, SupportTicket]] = {
    "fields": fields,
    "summary": summary,
    "privacy": ticket_privacy,
}


def _missing(wanted: tuple[str | tuple[str, ...], ...], text: str) -> Iterator[str]:
    for fact in wanted:
        if not states(text, fact):
            yield f"does not say {fact if isinstance(fact, str) else ' or '.join(fact)!r}"


def _present(unwanted: tuple[str, ...], text: str) -> Iterator[str]:
    for words in unwanted:
        if states(text, words):
            yield f"says {words!r}"
