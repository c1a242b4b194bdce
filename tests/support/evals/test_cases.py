"""The case files of the support assistant agree with the product."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from app.features.support import wire
from app.features.support.tools import TOOLS
from evals.cases import InvalidSuite, load_cases, schema
from evals.suites.support.cases import AnswerCase, TicketCase
from evals.suites.support.suite import SUITE

ANSWER: dict[str, Any] = {
    "id": "one",
    "failure_mode": "wrong_tool",
    "endpoint": "support/answer",
    "input": {"question": "Where is it?", "user": "ada"},
    "expect": {"outcome": "answered"},
    "criteria": "Passes if it is answered at all.",
    "origin": "tests",
    "added": "2026-01-01",
}


def written(folder: Path, *cases: dict[str, Any], mode: str = "wrong_tool") -> Path:
    (folder / mode).mkdir()
    (folder / mode / "cases.yaml").write_text(json.dumps(cases))
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expect": {"outcom": "answered"}}, "outcom"),
        ({"expect": {"calls": ["get_orders"]}}, "get_orders"),
        ({"input": {"question": "?"}}, "user"),
        ({"failure_mode": "bad_luck"}, "failure_mode"),
        ({"endpoint": "support/tickets"}, "support/tickets"),
    ],
)
def test_an_invalid_case_is_reported_and_nothing_runs(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """E3: an invalid case is a failure."""
    with pytest.raises(InvalidSuite, match=problem):
        load_cases(written(tmp_path, {**ANSWER, **change}), (AnswerCase, TicketCase))


def test_the_schema_for_editors_is_current() -> None:
    """E11: `python -m evals schema` writes it."""
    assert json.loads(SUITE.schema_file.read_text()) == schema(SUITE.case_types)


@pytest.mark.parametrize("path", sorted(SUITE.cases_folder.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_names_the_schema_and_is_valid_under_it(path: Path) -> None:
    """E11: an editor marks the same faults that the harness refuses."""
    text = path.read_text()
    reference = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == SUITE.schema_file
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(document, json.loads(SUITE.schema_file.read_text()))


def test_cases_know_every_tool_and_every_field_of_the_product() -> None:
    known = schema(SUITE.case_types)["$defs"]
    assert set(known["AnswerExpectation"]["properties"]["calls"]["items"]["enum"]) == set(TOOLS)
    categories = known["TicketFields"]["properties"]["category"]["anyOf"][0]["enum"]
    assert set(categories) == set(get_args(wire.Category))
    assert set(known["TicketFields"]["properties"]) | {"summary"} == set(wire.Ticket.model_fields)
