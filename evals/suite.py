"""A suite: the harness's view of one product.

The protocol is short: `load` cases, `ask` the product, `score` its answer, take `measures` of it. All else has a default. A
suite is a folder in `evals/suites/` with its cases, thresholds and baseline; its `suite.py` holds `SUITE`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection

from evals.cases import Case, InvalidSuite, load_cases
from evals.client import Client, Reply
from evals.judging import Prompts
from evals.scoring import Finding


@dataclass(frozen=True, slots=True)
class External:
    """Cases of an installed package: ``source`` names it with its version, ``licence`` as its metadata says."""

    source: str
    licence: str
    cases: Sequence[Case]


@dataclass(frozen=True, slots=True)
class Scored:
    """A recorded call: the request's body without its user, the answer, and the findings on it."""

    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    findings: tuple[Finding, ...]


Reader = Callable[[Mapping[str, Any], dict[str, Any], dict[str, Any]], Scored]
"""Scores a recorded call from its row, request and response. Raises `online.recorded.Unreadable`, or what parsing raises."""


@dataclass(frozen=True, slots=True)
class Judging:
    """The judge of this product's answers (E8).

    Its prompts, the labelled set in ``folder``, and the sources by their id.
    """

    prompts: Prompts
    folder: Path
    source: Callable[[str], str | None]


class Suite(ABC):
    """The suite of one product, in a folder named like the product."""

    case_types: ClassVar[Sequence[type[Case]]]
    prompts: ClassVar[Mapping[str, str]]  # the release's prompt behind each endpoint
    external: ClassVar[Mapping[str, Callable[[], External]]] = {}
    readers: ClassVar[Mapping[str, Reader]] = {}  # by the feature's name in records
    attack_goal: ClassVar[str] = ""  # an injected instruction that would do harm; without one no drill attacks the product
    text_fields: ClassVar[Sequence[str]] = ("answer",)  # of an answer; the first that is there is shown to people
    judging: Judging | None = None

    def __init__(self, folder: Path) -> None:
        """``folder`` holds `cases/`, `thresholds.toml`, `baseline.json` and `case.schema.json`."""
        self.name = folder.name
        self.cases_folder = folder / "cases"
        self.schema_file = folder / "case.schema.json"
        self.thresholds_file = folder / "thresholds.toml"
        self.baseline_file = folder / "baseline.json"

    @property
    def public_text(self) -> str:
        """Public text: personal data in it, such as the shop's address, are no leak."""
        return ""

    @property
    def harmless_texts(self) -> Sequence[str]:
        """Texts of the product that the screens must not flag, though they tell people what to do (`evals.injection`)."""
        return ()

    def load(self) -> tuple[Case, ...]:
        """Read the cases. Raises InvalidSuite."""
        return load_cases(self.cases_folder, self.case_types)

    async def ask(self, case: Case, client: Client) -> Reply:
        """Send a case to the product. Raises what `Client.post` raises."""
        return await client.post(f"/v1/{case.endpoint}", case.input.body)

    @abstractmethod
    def score(self, case: Case, body: object) -> tuple[Finding, ...]:
        """Everything that is wrong with an answer's body; nothing is a pass.

        Raises pydantic.ValidationError where the body is no answer of the endpoint: then there is nothing to score.
        """

    def measures(self, case: Case, body: object, findings: Sequence[Finding]) -> Mapping[str, float]:  # noqa: ARG002 - a default
        """Shares of a case that are right, from 0 to 1.

        More is better; their means have thresholds (E2).
        """
        return {}

    def problems(self, cases: Sequence[Case]) -> Iterator[str]:  # noqa: ARG002 - a default
        """Reasons that make cases unfit, such as a missing source.

        The harness's own checks come before.
        """
        yield from ()

    def promoted(
        self,
        request: Mapping[str, Any],  # noqa: ARG002 - a default
        restore: Callable[[str], str],  # noqa: ARG002 - a default
        user: str,  # noqa: ARG002 - a default
        question: str,  # noqa: ARG002 - a default
    ) -> dict[str, Any]:
        """The input of the case that a recorded request becomes (E9). Raises InvalidSuite where the suite makes none.

        ``restore`` puts made-up values in place of redaction's tokens; ``question``, if given, replaces the user's words.
        """
        raise InvalidSuite(f"the suite {self.name} makes no cases of recorded calls")

    def handed_over(self, connection: Connection, since: datetime, until: datetime) -> Collection[tuple[str, str]]:  # noqa: ARG002
        """Tenant and request id of calls that the product handed over to a person in that time."""
        return ()
