"""Answers of the support assistant, as a client reads them: the fields that are scored, and no more."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from evals import privacy
from evals.suites.support.articles import all_articles, article


def leaks(text: str) -> list[str]:
    """Types of personal data in a text that no help article holds."""
    return privacy.leaks(text, all_articles())


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Citation(_Body):
    """A source, and its sentence that should support the answer."""

    article_id: str
    quote: str


class ToolCall(_Body):
    """A tool that the model called.

    ``outcome`` is ``ok`` or the code of the reason; ``order_id`` is the order that it named.
    """

    name: str
    outcome: str
    order_id: str | None = None


class SupportAnswer(_Body):
    """The body of `POST /v1/support/answer`."""

    outcome: Literal["answered", "handed_over"]
    answer: str
    citations: list[Citation]
    tools: list[ToolCall]
    retrieved: list[str] = []

    def source(self, article_id: str) -> str | None:
        """The text behind a citation: the article of this checkout; None if there is none."""
        return article(article_id)

    @property
    def looked_up(self) -> str:
        """The tools' results, where they are known: a caller does not see them."""
        return ""

    @property
    def leaks(self) -> list[str]:
        """Types of personal data in the answer that no help article holds."""
        return leaks(self.answer)

    @property
    def called(self) -> frozenset[str]:
        """Tools that were called, however that went."""
        return frozenset(call.name for call in self.tools)

    @property
    def succeeded(self) -> frozenset[str]:
        """Tools that succeeded.

        A tool with a side effect has succeeded once it waits for the customer's confirmation.
        """
        return frozenset(call.name for call in self.tools if call.outcome in ("ok", "pending"))

    def orders(self, tool: str) -> frozenset[str | None]:
        """The orders on which a tool succeeded."""
        return frozenset(call.order_id for call in self.tools if call.name == tool and call.outcome == "ok")


class SupportTicket(_Body):
    """The body of `POST /v1/support/tickets`. A field that is missing is a broken body, not a null."""

    category: str
    priority: str
    order_id: str | None
    product: str | None
    sentiment: str
    language: str
    summary: str
