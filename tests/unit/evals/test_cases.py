"""An error in a case file is reported before the run starts."""

import json
import re
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


def test_an_id_is_used_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="one: used twice"):
        load_cases(written(tmp_path, fields("one"), fields("one")), TINY)


def test_no_cases_are_no_suite(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="no cases"):
        load_cases(tmp_path, TINY)


ONE = """\
- id: one
  failure_mode: wrong_tool
  criteria: Passes if the order is named in it.
  origin: made up
  added: 2026-01-02
  endpoint: tiny
  input: {question: Where is it}
  expect: {outcome: answered}
"""


def in_file(folder: Path, content: str | bytes, name: str = "cases.yaml") -> Path:
    (folder / "wrong_tool").mkdir(exist_ok=True)
    (folder / "wrong_tool" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("- id: [", "wrong_tool/cases.yaml:1: not YAML"),
        ("[" * 20_000, "wrong_tool/cases.yaml:1: not YAML that can be read: it is nested too deep"),
        (ONE.replace("2026-01-02", "2026-13-45"), "wrong_tool/cases.yaml:5: one.added: Input should be a valid date"),
        (ONE.replace("  origin", "\torigin"), "wrong_tool/cases.yaml:4: not YAML"),
        (ONE.replace("made up", "made\x07up"), "wrong_tool/cases.yaml:4: not YAML: the character U+0007"),
        (ONE.replace("made up", "m\xf6de up").encode("latin-1"), "wrong_tool/cases.yaml:4: not UTF-8"),
        (ONE.encode("utf-16"), "wrong_tool/cases.yaml:1: not UTF-8"),
        (ONE + "  expect: {outcome: refused}\n", "wrong_tool/cases.yaml:9: one.expect: stands twice"),
        (ONE.replace("it}", "it, question: Why}"), "wrong_tool/cases.yaml:7: one.input.question: stands twice"),
        ("- &a [x, x]\n- &b [*a, *a]\n- [*b, *b]\n", "wrong_tool/cases.yaml:2: not YAML: an alias; write the value out"),
        (ONE + "---\n" + ONE, "wrong_tool/cases.yaml:9: not YAML"),
        ('{"input": "a", "ideal": "b"}\n{"input": "c"}\n', "wrong_tool/cases.yaml:2: not YAML"),
        ("tests:\n- vars: {n: 1}\n", "wrong_tool/cases.yaml:1: file: Input should be a list"),
        ("false", "wrong_tool/cases.yaml:1: file: Input should be a list"),
        (ONE.replace("id: one", "id: 1"), "wrong_tool/cases.yaml:1: 0.id: Input should be a valid string"),
        (ONE.replace("  endpoint: tiny\n", "") * 30, "wrong_tool/cases.yaml: and 10 more"),
    ],
)
def test_a_problem_of_a_file_is_reported_with_its_line(tmp_path: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(InvalidSuite, match=re.escape(problem)):
        load_cases(in_file(tmp_path, content), TINY)


@pytest.mark.parametrize(
    ("written", "question"),
    [("no", "no"), ("12:30:45", "12:30:45"), ("2026-01-02", "2026-01-02"), ("1e3", "1e3"), ("0o17", "0o17"), ('"1"', "1")],
)
def test_words_that_yaml_reads_otherwise_stay_words(tmp_path: Path, written: str, question: str) -> None:
    (case,) = load_cases(in_file(tmp_path, ONE.replace("Where is it", written)), TINY)
    assert case.input.question == question


@pytest.mark.parametrize("content", [ONE.replace("\n", "\r\n"), "\ufeff" + ONE], ids=["CRLF", "BOM"])
def test_a_file_of_another_editor_is_read(tmp_path: Path, content: str) -> None:
    assert [case.id for case in load_cases(in_file(tmp_path, content), TINY)] == ["one"]


@pytest.mark.parametrize("name", ["more.yml", "more.YAML", "more.json", "more.jsonl", "more.csv"])
def test_a_file_of_cases_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    """Its cases would be missed by no one."""
    in_file(tmp_path, ONE)
    with pytest.raises(InvalidSuite, match=re.escape(f"wrong_tool/{name}: is not read")):
        load_cases(in_file(tmp_path, ONE.replace("one", "two"), name), TINY)


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
