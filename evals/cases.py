"""A case: an input, what must come back, and why that matters. Plain YAML for whoever owns the product (E1, E11)."""

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from app.domain.strict import Strict
from evals.articles import article

FOLDER = Path(__file__).parent / "cases"
SCHEMA = Path(__file__).parent / "case.schema.json"

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
]
Words = Annotated[str, Field(min_length=1)]
Fact: TypeAlias = Words | Annotated[tuple[Words, ...], Field(min_length=1)]
# The product's words are repeated here, since the evals know it by its wire alone; a test holds the two together.
Category = Literal[
    "shipping", "returns", "refund", "payment", "account", "product", "warranty", "cancellation", "privacy", "other"
]
Priority = Literal["low", "normal", "high", "urgent"]
Language = Literal["en", "de", "es", "fr", "it", "nl", "pt"]
Tool = Literal["get_order", "list_orders", "cancel_order", "request_refund", "hand_over_to_human"]


class Turn(Strict):
    """An earlier turn of the conversation: words, or a help article that somebody pasted, as it stands in this checkout."""

    role: Literal["customer", "assistant"]
    text: Words | None = None
    article: Words | None = Field(default=None, description="Id of a help article whose text is the turn, for long contexts.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Turn":
        if (self.text is None) == (self.article is None):
            raise ValueError("a turn has a text or an article")
        return self

    @property
    def said(self) -> str:
        """The turn in words. A pasted article that is gone says nothing; `evals check` tells."""
        return self.text or article(self.article or "") or ""


class Question(Strict):
    """What is asked, by which customer of the shop, after which turns."""

    question: Words
    user: Words
    conversation: tuple[Turn, ...] = ()

    @property
    def wire(self) -> dict[str, Any]:
        """The request's body."""
        turns = [{"role": turn.role, "text": turn.said} for turn in self.conversation]
        return {"question": self.question, "user": self.user} | ({"conversation": turns} if turns else {})

    @property
    def said(self) -> str:
        """Everything that was said, for whoever looks whether an answer repeats it."""
        return " ".join([self.question, *(turn.said for turn in self.conversation)])


class Message(Strict):
    """A customer's free text."""

    text: Words
    user: Words

    @property
    def wire(self) -> dict[str, Any]:
        """The request's body."""
        return {"text": self.text, "user": self.user}

    @property
    def said(self) -> str:
        """Everything that was said."""
        return self.text


class AnswerExpectation(Strict):
    """What must hold for an answer. Everything given is checked; a case passes if all of it holds.

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
        default=False, description="Every number in the answer must stand in a cited article or in what the customer said."
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """Articles that hold the answer."""
        return tuple(dict.fromkeys((*self.cites, *self.cites_all)))


class TicketFields(Strict):
    """Fields of a ticket and their values. What is not given is not checked; ``null`` must be null."""

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
        """What is checked."""
        return self.model_dump(exclude_unset=True)


class TicketExpectation(Strict):
    """What must hold for a ticket. Everything given is checked."""

    fields: TicketFields = TicketFields()
    summary_says: tuple[Fact, ...] = Field(default=(), description="Facts the summary must state.")
    summary_says_not: tuple[Words, ...] = Field(default=(), description="Words the summary must not contain.")


class _Case(Strict):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    failure_mode: FailureMode
    criteria: str = Field(min_length=20, description="Pass and fail of this case in plain words.")
    origin: str = Field(min_length=3, description="Where the case comes from.")
    added: date = Field(description="When the case was added, YYYY-MM-DD.")

    @property
    def digest(self) -> str:
        """Changes when what is asked or expected does: results before and after are not of the same case."""
        asked_and_expected = self.model_dump_json(include={"endpoint", "input", "expect"}, exclude_defaults=True)
        return hashlib.sha256(asked_and_expected.encode()).hexdigest()[:12]


class AnswerCase(_Case):
    """A case for `POST /v1/support/answer`."""

    endpoint: Literal["support/answer"]
    input: Question
    expect: AnswerExpectation


class TicketCase(_Case):
    """A case for `POST /v1/support/tickets`."""

    endpoint: Literal["support/tickets"]
    input: Message
    expect: TicketExpectation


Case: TypeAlias = AnswerCase | TicketCase
_FILE: TypeAdapter[tuple[Case, ...]] = TypeAdapter(tuple[Annotated[Case, Field(discriminator="endpoint")], ...])


class InvalidSuite(Exception):  # noqa: N818 - what is wrong is the suite
    """The suite cannot be run. The message lists every problem."""


def load_cases(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Read every case.

    Raises InvalidSuite for a file out of form, a case in another mode's folder, one that expects nothing, an id used twice.
    """
    problems: list[str] = []
    cases: list[Case] = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            found = _FILE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or ())
        except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        mode = path.parent.name
        problems += [f"{case.id}: {case.failure_mode} in the folder {mode}" for case in found if case.failure_mode != mode]
        cases += found
    ids = [case.id for case in cases]
    problems += [f"{case.id}: expects nothing, so it could not fail" for case in cases if not case.expect.model_fields_set]
    problems += [f"{identity}: used twice" for identity in sorted({i for i in ids if ids.count(i) > 1})]
    if problems or not cases:
        raise InvalidSuite("\n".join(problems) or f"no cases in {folder}")
    return tuple(cases)


def schema() -> dict[str, Any]:
    """The JSON Schema of a file of cases, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Eval cases", **_FILE.json_schema()}


def by_mode(cases: Sequence[Case]) -> dict[FailureMode, list[Case]]:
    """Cases by failure mode."""
    modes: dict[FailureMode, list[Case]] = {}
    for case in cases:
        modes.setdefault(case.failure_mode, []).append(case)
    return modes


def sampled(cases: Sequence[Case], most: int) -> list[Case]:
    """A fair sample of at most so many cases: of each failure mode its share, as if by chance, and the same ones each time.

    It is in the order to run it in: each beginning of it is a fair sample too, so that a run that is broken off says something,
    and one of more cases goes on with it. A case more in the suite moves few others.
    """
    places: list[tuple[float, bytes, Case]] = []
    for mode in by_mode(cases).values():
        mixed = sorted(((hashlib.sha256(case.id.encode()).digest(), case) for case in mode), key=lambda one: one[0])
        places += [((place + 0.5) / len(mode), by_chance, case) for place, (by_chance, case) in enumerate(mixed)]
    return [case for *_, case in sorted(places, key=lambda one: one[:2])][:most]
