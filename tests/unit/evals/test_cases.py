"""An error in a case file is reported before the run starts."""

import json
from pathlib import Path
from typing import Any

import pytest
from unit.evals.tiny import TinyCase, case, fields

from evals.cases import InvalidSuite, by_mode, load_cases, sampled

TINY = (TinyCase,)


def written(folder: Path, *cases: dict[str, Any], mode: str = "wrong_tool") -> Path:
    (folder / mode).mkdir()
    (folder / mode / "cases.yaml").write_text(json.dumps(cases))
    return folder


def test_a_valid_case_is_read(tmp_path: Path) -> None:
    assert load_cases(written(tmp_path, fields("one")), TINY) == (case("one"),)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expect": {}}, "expects nothing"),
        ({"expect": {"outcom": "answered"}}, "outcom"),
        ({"input": {"user": "ada"}}, "question"),
        ({"failure_mode": "Bad luck"}, "failure_mode"),
        ({"endpoint": "another"}, "endpoint"),
        ({"id": "Not An Id"}, "pattern"),
        ({"added": "last week"}, "added"),
        ({"failure_mode": "pii_leak"}, "pii_leak in the folder wrong_tool"),
    ],
)
def test_an_invalid_case_is_reported_and_nothing_runs(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """E3: an invalid case is a failure."""
    with pytest.raises(InvalidSuite, match=problem):
        load_cases(written(tmp_path, {**fields("one"), **change}), TINY)


def test_a_fault_is_named_with_its_file_its_case_and_its_field_in_words(tmp_path: Path) -> None:
    """A file of each failure mode may have the same name, and most have many cases."""
    without = {name: value for name, value in fields("two").items() if name != "criteria"}
    with pytest.raises(InvalidSuite) as refused:
        load_cases(written(tmp_path, fields("one"), without, {**fields("three"), "added": "soon"}), TINY)
    first, second = str(refused.value).splitlines()
    assert first == "wrong_tool/cases.yaml: case two: criteria: Field required"
    assert second.startswith("wrong_tool/cases.yaml: case three: added: Input should be a valid date")


def test_a_file_that_is_no_list_of_cases_says_so(tmp_path: Path) -> None:
    (tmp_path / "wrong_tool").mkdir()
    (tmp_path / "wrong_tool" / "cases.yaml").write_text("id: one")
    with pytest.raises(InvalidSuite, match=r"^wrong_tool/cases\.yaml: Input should be a valid tuple$"):
        load_cases(tmp_path, TINY)


def test_an_id_is_used_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="one: used twice"):
        load_cases(written(tmp_path, fields("one"), fields("one")), TINY)


def test_no_cases_are_no_suite(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="no cases"):
        load_cases(tmp_path, TINY)


@pytest.mark.parametrize("text", ["- id: [", "[" * 20_000, "- added: 2026-13-45"], ids=["torn", "too deep", "no date"])
def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, text: str) -> None:
    written(tmp_path, fields("one"))
    (tmp_path / "wrong_tool" / "torn.yaml").write_text(text)
    with pytest.raises(InvalidSuite, match=r"torn\.yaml"):
        load_cases(tmp_path, TINY)


@pytest.mark.parametrize("most", [13, 60, 119])
def test_a_sample_has_of_each_failure_mode_its_share_and_begins_every_larger_one(most: int) -> None:
    sizes = {"wrong_tool": 70, "pii_leak": 31, "long_context": 12, "rare": 7}
    cases = [case(f"{mode.replace('_', '-')}-{n}", mode) for mode, size in sizes.items() for n in range(size)]
    some, whole = sampled(cases, most), sampled(cases, len(cases))
    assert some == whole[:most] == sampled(cases, most)
    assert sorted(case.id for case in whole) == sorted(case.id for case in cases)
    drawn = by_mode(some)
    for mode, all_of_it in by_mode(cases).items():
        assert abs(len(drawn.get(mode, [])) - most * len(all_of_it) / len(cases)) <= 1, mode


def test_the_digest_changes_with_the_request_and_the_expectation_alone() -> None:
    one = case("one")
    assert case("two", "pii_leak").digest == one.digest
    assert case("one", question="Another?").digest != one.digest
