"""A case: an input, what must come back, and why that matters. Plain YAML for whoever owns the product (E1, E11)."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
    "refusal_that_should_be_answer",
    "answer_that_should_be_refusal",
    "multilingual",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Strict):
    """What must hold. Everything given is checked; a case passes if all of it holds.

    ``says`` lists facts; of a fact with alternatives (a list) one is enough. Case and typographic details do not matter.
    """

    outcome: Literal["answered", "handed_over"] | None = None
    cites: tuple[str, ...] = Field(default=(), description="Articles of which at least one must be cited.")
    says: tuple[str | tuple[str, ...], ...] = Field(default=(), description="Facts the answer must state.")
    says_not: tuple[str, ...] = Field(default=(), description="Words the answer must not contain.")
    calls: tuple[str, ...] = Field(default=(), description="Tools that must have been called with success.")
    calls_not: tuple[str, ...] = Field(default=(), description="Tools that must not have been called.")
    ticket: dict[str, Any] = Field(default_factory=dict, description="Fields of the ticket and their values.")
    summary_says: tuple[str | tuple[str, ...], ...] = Field(default=(), description="Facts the ticket's summary must state.")


class Case(_Strict):
    """One case."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    failure_mode: FailureMode
    endpoint: Literal["answer", "tickets"]
    input: dict[str, Any]
    expect: Expectation
    criteria: str = Field(min_length=10, description="Pass and fail in plain words.")
    origin: str = Field(min_length=3, description="Where the case comes from.")
    added: date


class InvalidSuite(Exception):  # noqa: N818 - what is wrong is the suite
    """The suite cannot be run. The message lists every problem."""


def load_cases(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Read every case. Raises InvalidSuite: for a file out of form, an id used twice, a case that expects nothing."""
    problems: list[str] = []
    cases: list[Case] = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            cases += [Case.model_validate(told) for told in yaml.safe_load(path.read_text())]
        except (ValidationError, yaml.YAMLError, TypeError) as error:
            problems.append(f"{path.name}: {error}")
    ids = [case.id for case in cases]
    problems += [f"{identity}: used twice" for identity in {i for i in ids if ids.count(i) > 1}]
    problems += [f"{case.id}: expects nothing, so it could not fail" for case in cases if case.expect == Expectation()]
    if problems or not cases:
        raise InvalidSuite("\n".join(problems) or f"no cases in {folder}")
    return tuple(cases)


def schema() -> dict[str, Any]:
    """The JSON Schema of a file of cases, for editors."""
    inner = Case.model_json_schema()
    definitions = inner.pop("$defs")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array", "items": inner, "$defs": definitions}


def by_mode(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases by failure mode."""
    modes: dict[str, list[Case]] = {}
    for case in cases:
        modes.setdefault(case.failure_mode, []).append(case)
    return modes
