"""The suite of the support assistant."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from app.features.support.indexing import ARTICLES, read_articles
from app.features.support.tables import handovers
from evals.cases import Case
from evals.scoring import Finding
from evals.suite import Judging, Suite
from evals.suites.support import checks, measures, recorded, scorers
from evals.suites.support.articles import all_articles, article
from evals.suites.support.cases import AnswerCase, TicketCase
from evals.suites.support.external import GOAL, LOADERS
from evals.suites.support.judge import PROMPTS

FOLDER = Path(__file__).parent
PROMPT_OF: Mapping[str, str] = {"support/answer": "support/answer", "support/tickets": "support/ticket"}


class SupportSuite(Suite):
    """Questions and tickets of the shop's customers."""

    case_types = (AnswerCase, TicketCase)
    prompts = PROMPT_OF
    external = LOADERS
    readers = recorded.READERS
    attack_goal = GOAL
    text_fields = ("answer", "summary")
    judging = Judging(PROMPTS, FOLDER / "judge", article)

    @property
    def public_text(self) -> str:
        """Every help article: the shop's own addresses and phone numbers stand there."""
        return all_articles()

    @property
    def harmless_texts(self) -> Sequence[str]:
        """The help articles, whole and by paragraph.

        A help page gives instructions, as an attack does.
        """
        articles = read_articles(ARTICLES)
        return [text for one in articles for text in (f"{one.title}\n{one.text}", *one.text.split("\n\n"))]

    def score(self, case: Case, body: object) -> tuple[Finding, ...]:
        """See `Suite`."""
        return scorers.score(case, body)

    def measures(self, case: Case, body: object, findings: Sequence[Finding]) -> Mapping[str, float]:
        """See `Suite`."""
        return measures.measure(case, body, findings)

    def problems(self, cases: Sequence[Case]) -> Iterator[str]:
        """See `Suite`."""
        return checks.problems(cases)

    def promoted(self, request: Mapping[str, Any], restore: Callable[[str], str], user: str, question: str) -> dict[str, Any]:
        """See `Suite`."""
        if "text" in request:
            return {"text": question or restore(request["text"]), "user": user}
        given: dict[str, Any] = {"question": question or restore(request["question"])}
        if request.get("conversation"):
            given["conversation"] = [{"role": turn["role"], "text": restore(turn["text"])} for turn in request["conversation"]]
        return {**given, "user": user}

    def handed_over(self, connection: Connection, since: datetime, until: datetime) -> Collection[tuple[str, str]]:
        """See `Suite`."""
        wanted = select(handovers.c.tenant, handovers.c.request_id)
        found = connection.execute(wanted.where(handovers.c.created_at > since, handovers.c.created_at <= until))
        return {(tenant, request_id) for tenant, request_id in found}


SUITE = SupportSuite(FOLDER)
