"""The suite of the small product: are the facts of a message in the form, and no others."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from app.features.extract.endpoints import Facts
from evals.cases import Case, Input, Strict
from evals.scoring import Finding, Scorer, findings
from evals.suite import Suite
from evals.wording import states


class Message(Input):
    """A message as it came in."""

    text: str


class Form(Strict):
    """Fields and their values. A field that is not given is not checked, ``null`` must be null; ``request`` lists words of it."""

    sender: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    request: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are checked."""
        return self.model_dump(exclude_unset=True)


class ExtractCase(Case):
    """A case for `POST /v1/extract`."""

    failure_mode: Literal["missed_fact", "made_up_fact", "prompt_injection", "multilingual"]
    endpoint: Literal["extract"]
    input: Message
    expect: Form


def is_right(name: str, got: str | None, wanted: str | None) -> bool:
    """Whether a field has its value; the request need only have the words."""
    return states(got or "", wanted) if name == "request" and wanted else got == wanted


def fields(case: ExtractCase, facts: Facts) -> Iterator[str]:
    """Every given field is right."""
    for name, wanted in case.expect.given.items():
        if not is_right(name, got := getattr(facts, name), wanted):
            yield f"{name} is {got!r}, not {wanted!r}"


SCORERS: Mapping[str, Scorer[ExtractCase, Facts]] = {"fields": fields}


class ExtractSuite(Suite):
    """Messages and the facts in them."""

    case_types = (ExtractCase,)
    prompts: ClassVar[Mapping[str, str]] = {"extract": "extract/facts"}
    text_fields = ("request",)

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
        given, facts = _own(case).expect.given, Facts.model_validate(body)
        right = sum(is_right(name, getattr(facts, name), wanted) for name, wanted in given.items())
        return {"field_accuracy": right / len(given)}


def _own(case: Case) -> ExtractCase:
    if not isinstance(case, ExtractCase):
        raise TypeError(f"{case.id} is no case of this suite")
    return case


SUITE = ExtractSuite(Path(__file__).parent)
