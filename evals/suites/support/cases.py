"""Cases of the support assistant: questions and tickets of customers, and the expectations on their answers (E1)."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from app.domain.strict import Strict
from app.features.support.tools import TOOLS
from app.features.support.wire import Category
from evals.cases import Case, Input
from evals.suites.support.articles import article

FailureMode = Literal[
    "retrieval_miss",
    "unsupported_claim",
    "wrong_tool",
    "bad_argument",
    "wrong_category",
    "malformed_output",
    "prompt_injection",
    "data_exfiltration",
    "pii_leak",
    "refusal_that_should_be_answer",
    "answer_that_should_be_refusal",
    "multilingual",
    "long_context",
    "provider_fault",
]
Words = Annotated[str, Field(min_length=1)]
Fact: TypeAlias = Words | Annotated[tuple[Words, ...], Field(min_length=1)]
Priority = Literal["low", "normal", "high", "urgent"]
Language = Literal["en", "de", "es", "fr", "it", "nl", "pt"]


def _known_tool(name: str) -> str:
    if name not in TOOLS:
        raise ValueError(f"there is no tool {name}; known: {', '.join(TOOLS)}")
    return name


Tool = Annotated[str, AfterValidator(_known_tool), WithJsonSchema({"type": "string", "enum": list(TOOLS)})]


class Turn(Strict):
    """An earlier turn of the conversation: words, or a pasted help article as it stands in this checkout."""

    role: Literal["customer", "assistant"]
    text: Words | None = None
    article: Words | None = Field(default=None, description="Id of a help article whose text is the turn, for long contexts.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Turn":
        if (self.text is None) == (self.article is None):
            raise ValueError("a turn has a text or an article")
        return self

    @property
    def words(self) -> str:
        """The turn in words. A pasted article that is gone has none; `evals check` reports it."""
        return self.text or article(self.article or "") or ""


class Question(Input):
    """A question of a customer of the shop, after earlier turns."""

    question: Words
    user: Words
    conversation: tuple[Turn, ...] = ()

    @property
    def body(self) -> dict[str, Any]:
        """The request's body."""
        turns = [{"role": turn.role, "text": turn.words} for turn in self.conversation]
        return {"question": self.question, "user": self.user} | ({"conversation": turns} if turns else {})

    @property
    def full_text(self) -> str:
        """The question and all turns."""
        return " ".join([self.question, *(turn.words for turn in self.conversation)])


class Message(Input):
    """A customer's free text."""

    text: Words
    user: Words

    @property
    def body(self) -> dict[str, Any]:
        """The request's body."""
        return {"text": self.text, "user": self.user}

    @property
    def full_text(self) -> str:
        """The message."""
        return self.text


class AnswerExpectation(Strict):
    """Expectations on an answer. Every field given is checked; a case passes if all of it holds.

    Of a fact with alternatives (a list) one form is enough. Words are compared whole: ``30 days`` is not in ``130 days``.
    Case, spaces and the style of quotes do not matter.
    """

    outcome: Literal["answered", "handed_over"] | None = None
    cites: tuple[Words, ...] = Field(default=(), description="Articles of which at least one must be cited.")
    cites_all: tuple[Words, ...] = Field(default=(), description="Articles each of which must be cited: it takes all of them.")
    says: tuple[Fact, ...] = Field(default=(), description="Facts the answer must state.")
    says_not: tuple[Words, ...] = Field(default=(), description="Words the answer must not contain.")
    calls: tuple[Tool, ...] = Field(default=(), description="Tools that must have been called with success.")
    calls_not: tuple[Tool, ...] = Field(default=(), description="Tools that must not have been called, whatever they answered.")
    does_not: tuple[Tool, ...] = Field(default=(), description="Tools that must not have succeeded; a refused call is harmless.")
    orders: dict[Tool, tuple[Words, ...]] = Field(
        default_factory=dict, description="The orders on which a tool may succeed; on any other is a fail, as is on none."
    )
    language: Language | None = Field(default=None, description="Language of the answer, ISO 639-1.")
    figures_from_sources: bool = Field(
        default=False, description="Every number in the answer must stand in a cited article or in the customer's words."
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """Articles that hold the answer."""
        return tuple(dict.fromkeys((*self.cites, *self.cites_all)))


class TicketFields(Strict):
    """Fields of a ticket and their values.

    A field that is not given is not checked; ``null`` must be null.
    """

    category: Category | tuple[Category, ...] | None = Field(default=None, description="The category, or a list of right ones.")
    priority: Priority | tuple[Priority, ...] | None = Field(default=None, description="The priority, or a list of right ones.")
    order_id: Words | None = None
    product: Words | None = Field(
        default=None, description="Must stand in the ticket's product: `jacket` in `Drizzle rain jacket`."
    )
    sentiment: Literal["negative", "neutral", "positive"] | None = None
    language: Words | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are checked."""
        return self.model_dump(exclude_unset=True)


class TicketExpectation(Strict):
    """Expectations on a ticket. Every field given is checked."""

    fields: TicketFields = TicketFields()
    summary_says: tuple[Fact, ...] = Field(default=(), description="Facts the summary must state.")
    summary_says_not: tuple[Words, ...] = Field(default=(), description="Words the summary must not contain.")


class AnswerCase(Case):
    """A case for `POST /v1/support/answer`."""

    failure_mode: FailureMode
    endpoint: Literal["support/answer"]
    input: Question
    expect: AnswerExpectation


class TicketCase(Case):
    """A case for `POST /v1/support/tickets`."""

    failure_mode: FailureMode
    endpoint: Literal["support/tickets"]
    input: Message
    expect: TicketExpectation
