"""A suite of two failure modes, for tests of the harness: no product has it."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from app.domain.strict import Strict
from evals.cases import Case, Input
from evals.client import Trail
from evals.gate import Threshold, Thresholds
from evals.harness import Result
from evals.scoring import Finding
from evals.suite import Suite

METRIC = "Deflection rate, for instance."
LOW = Threshold(least=0.01, goal=1.0, metric=METRIC)
THRESHOLDS = Thresholds(overall=LOW, modes={"wrong_tool": LOW, "pii_leak": LOW})


class Answer(Strict):
    """The body of an answer."""

    outcome: Literal["answered", "refused"]


class Question(Input):
    """A question and its user."""

    question: str
    user: str = "ada"


class Expectation(Strict):
    """The outcome that is right."""

    outcome: Literal["answered", "refused"] | None = None


class TinyCase(Case):
    """A case for `POST /v1/tiny`."""

    endpoint: Literal["tiny"]
    input: Question
    expect: Expectation


class TinySuite(Suite):
    """Right is the expected outcome."""

    case_types = (TinyCase,)
    prompts: ClassVar[Mapping[str, str]] = {"tiny": "tiny/answer"}

    def score(self, case: Case, body: object) -> tuple[Finding, ...]:
        assert isinstance(case, TinyCase)
        answer = Answer.model_validate(body)
        return () if answer.outcome == case.expect.outcome else (Finding("outcome", f"is {answer.outcome}"),)

    def measures(self, case: Case, body: object, findings: Sequence[Finding]) -> Mapping[str, float]:
        return {"right": float(not findings)}


def fields(name: str, mode: str = "wrong_tool", question: str = "?") -> dict[str, Any]:
    """A case as it stands in a file."""
    return {
        "id": name, "failure_mode": mode, "endpoint": "tiny", "input": {"question": question, "user": "ada"},
        "expect": {"outcome": "answered"}, "criteria": "Passes if it is answered.", "origin": "tests", "added": "2026-01-01",
    }  # fmt: skip


def case(name: str, mode: str = "wrong_tool", question: str = "?") -> TinyCase:
    """A case that passes if it is answered."""
    return TinyCase.model_validate(fields(name, mode, question))


def result(of: Case, *, passed: bool = True, trial: int = 0, broken: str | None = None) -> Result:
    """A result of a case."""
    findings = () if passed or broken else (Finding("facts", "does not say it"),)
    trail = Trail(0.1, 0.001, "anthropic", "claude-sonnet-5-5", "r1", 0, "req_1")
    return Result(of, findings, broken, trail, trial, {"private": 1.0})


def suite(folder: Path, cases: Sequence[TinyCase] = ()) -> TinySuite:
    """A suite in a folder, whole: cases, thresholds and a baseline of them."""
    made = TinySuite(folder)
    for one in cases:
        path = made.cases_folder / one.failure_mode / f"{one.id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([one.model_dump(mode="json")]), encoding="utf-8")
    bar = f'least = 0.5\ngoal = 0.9\nmetric = "{METRIC}"\n'
    modes = sorted({one.failure_mode for one in cases})
    text = "\n".join(f"[{name}]\n{bar}" for name in ("overall", *(f"modes.{mode}" for mode in modes)))
    tomllib.loads(text)
    made.thresholds_file.write_text(text, encoding="utf-8")
    ids = {mode: sorted(one.id for one in cases if one.failure_mode == mode) for mode in modes}
    made.baseline_file.write_text(json.dumps({"cases": ids}), encoding="utf-8")
    return made
