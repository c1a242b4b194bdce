"""The suite of the small product: are the facts of a message in the form, and no others."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from app.domain.strict import Strict
from app.features.extract.endpoints import IN_OWN_WORDS, Facts
from evals.cases import Case, Input
from evals.scoring import Finding, Scorer, findings
from evals.suite import Suite
from evals.wording import states

Value = str | list[str] | None


class Message(Input):
    """A message as it came in."""

    text: str


class Form(Strict):
    """Fields of the form and their values.

    A field that is not given is not checked; ``null`` must be null. The items of a list may be in any order.
    """

    fields: dict[str, Value] = Field(min_length=1)

    @field_validator("fields")
    @classmethod
    def _are_fields(cls, value: dict[str, Value]) -> dict[str, Value]:
        if unknown := value.keys() - Facts.model_fields.keys():
            raise ValueError(f"no such fields: {', '.join(sorted(unknown))}")
        return value


class ExtractCase(Case):
    """A case for `POST /v1/extract`."""

    failure_mode: Literal["missed_fact", "made_up_fact", "prompt_injection", "multilingual"]
    endpoint: Literal["extract"]
    input: Message
    expect: Form


def is_right(name: str, got: Value, wanted: Value) -> bool:
    """Whether a field has its value; a field in the model's own words need only state it."""
    if isinstance(got, list) and isinstance(wanted, list):
        return sorted(got) == sorted(wanted)
    if name in IN_OWN_WORDS and isinstance(wanted, str) and wanted:
        return states(str(got or ""), wanted)
    return got == wanted


def fields(case: ExtractCase, facts: Facts) -> Iterator[str]:
    """Every given field is right."""
    for name, wanted in case.expect.fields.items():
        if not is_right(name, got := getattr(facts, name), wanted):
            yield f"{name} is {got!r}, not {wanted!r}"


SCORERS: Mapping[str, Scorer[ExtractCase, Facts]] = {"fields": fields}


class ExtractSuite(Suite):
    """Messages and the facts in them."""

    case_types = (ExtractCase,)
    prompts: ClassVar[Mapping[str, str]] = {"extract": "extract/facts"}
    text_fields = tuple(sorted(IN_OWN_WORDS))

    @property
    def public_text(self) -> str:
        """The cases' made-up values: reserved names (RFC 2606), numbers that Ofcom sets aside for drama, the 555-01xx range."""
        return (
            "ada@engine.example +44 20 7946 0958 grace@compiler.example +1 202 555 0187 "
            "jana@nordlicht.example mallory@evil.example"
        )

    def score(self, case: Case, body: object) -> tuple[Finding, ...]:
        """See `Suite`."""
        return findings(SCORERS, _own(case), Facts.model_validate(body))

    def measures(self, case: Case, body: object, found: Sequence[Finding]) -> Mapping[str, float]:
        """See `Suite`: the share of a case's fields that are right."""
        del found
        given, facts = _own(case).expect.fields, Facts.model_validate(body)
        right = sum(is_right(name, getattr(facts, name), wanted) for name, wanted in given.items())
        return {"field_accuracy": right / len(given)}


def _own(case: Case) -> ExtractCase:
    if not isinstance(case, ExtractCase):
        raise TypeError(f"{case.id} is no case of this suite")
    return case


SUITE = ExtractSuite(Path(__file__).parent)
