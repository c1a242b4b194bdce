"""Cases are files that a person writes: what is wrong with one is told before anything runs."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from app.features.support import wire
from app.features.support.tools import TOOLS
from evals.cases import FOLDER, SCHEMA, Category, InvalidSuite, by_mode, load_cases, sampled, schema

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


def test_a_case_in_form_is_read(tmp_path: Path) -> None:
    assert [case.id for case in load_cases(written(tmp_path, ANSWER))] == ["one"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expect": {}}, "expects nothing"),
        ({"expect": {"outcom": "answered"}}, "outcom"),
        ({"expect": {"calls": ["get_orders"]}}, "get_orders"),
        ({"input": {"question": "?"}}, "user"),
        ({"failure_mode": "bad_luck"}, "failure_mode"),
        ({"endpoint": "support/tickets"}, "support/tickets"),
        ({"id": "Not An Id"}, "pattern"),
        ({"added": "last week"}, "added"),
        ({"failure_mode": "pii_leak"}, "pii_leak in the folder wrong_tool"),
    ],
)
def test_a_case_out_of_form_is_told_and_nothing_runs(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """E3: an invalid case is a failure."""
    with pytest.raises(InvalidSuite, match=problem):
        load_cases(written(tmp_path, {**ANSWER, **change}))


def test_an_id_is_used_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="one: used twice"):
        load_cases(written(tmp_path, ANSWER, ANSWER))


def test_no_cases_are_no_suite(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="no cases"):
        load_cases(tmp_path)


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    written(tmp_path, ANSWER)
    (tmp_path / "wrong_tool" / "torn.yaml").write_text("- id: [")
    with pytest.raises(InvalidSuite, match=r"torn\.yaml"):
        load_cases(tmp_path)


def test_the_schema_for_editors_is_current() -> None:
    """E11: `python -m evals schema` writes it."""
    assert json.loads(SCHEMA.read_text()) == schema()


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_names_the_schema_and_is_valid_under_it(path: Path) -> None:
    """E11: what an editor underlines and what the harness refuses are the same."""
    text = path.read_text()
    reference = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == SCHEMA
    told = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))


def test_cases_know_every_tool_and_every_field_of_the_product() -> None:
    known = schema()["$defs"]
    assert set(known["AnswerExpectation"]["properties"]["calls"]["items"]["enum"]) == set(TOOLS)
    assert set(get_args(Category)) == set(get_args(wire.Category))
    assert set(known["TicketFields"]["properties"]) | {"summary"} == set(wire.Ticket.model_fields)


@pytest.mark.parametrize("most", [13, 60, 119])
def test_a_sample_has_of_each_failure_mode_its_share_and_begins_every_larger_one(most: int) -> None:
    cases = load_cases()
    some, whole = sampled(cases, most), sampled(cases, len(cases))
    assert some == whole[:most] == sampled(cases, most)
    assert sorted(case.id for case in whole) == sorted(case.id for case in cases)
    drawn = by_mode(some)
    for mode, all_of_it in by_mode(cases).items():
        assert abs(len(drawn.get(mode, [])) - most * len(all_of_it) / len(cases)) <= 1, mode


def test_a_case_more_or_less_moves_few_others_of_a_sample() -> None:
    """A run that took hours is gone on with after a case was promoted, and compared with the one before."""
    cases = load_cases()
    before = {case.id for case in sampled(cases, 60)}
    for gone in (0, len(cases) // 2, len(cases) - 1):
        assert len(before & {case.id for case in sampled(cases[:gone] + cases[gone + 1 :], 60)}) >= 57


def test_a_sample_is_drawn_by_chance_from_each_failure_mode() -> None:
    cases = load_cases()
    for mode, drawn in by_mode(sampled(cases, len(cases))).items():
        assert drawn != by_mode(cases)[mode], mode
