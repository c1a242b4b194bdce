"""The gate fails closed."""

import json
from datetime import date
from pathlib import Path

import pytest

from evals.cases import SCHEMA, Case, Expectation, InvalidSuite, load_cases, schema
from evals.gate import BELOW, BROKEN, PASS, Rate, Threshold, Thresholds, check_suite, judge, load_thresholds
from evals.harness import Result
from evals.report import markdown
from evals.scorers import failures

METRIC = "Deflection rate, for instance."


def case(name: str = "one", mode: str = "wrong_tool") -> Case:
    return Case.model_validate(
        {
            "id": name, "failure_mode": mode, "endpoint": "answer", "input": {"question": "?"}, "expect": {"outcome": "answered"},
            "criteria": "Passes if answered.", "origin": "tests", "added": date(2026, 1, 1),
        }
    )  # fmt: skip


def result(*, passed: bool = True, broken: str | None = None, mode: str = "wrong_tool") -> Result:
    return Result(case(mode=mode), () if passed else ("wrong",), broken, 0.1, 0.001, "m")


def thresholds(overall: float = 0.5, mode: float = 0.5) -> Thresholds:
    return Thresholds(overall=Threshold(least=overall, metric=METRIC), modes={"wrong_tool": Threshold(least=mode, metric=METRIC)})


def test_a_run_at_its_thresholds_passes() -> None:
    assert judge([result(), result(passed=False)], thresholds()).code == PASS


def test_a_run_below_a_failure_modes_threshold_fails_and_names_it() -> None:
    """E2, E3."""
    verdict = judge([result(), result(passed=False)], thresholds(mode=0.6))
    assert verdict.code == BELOW
    assert verdict.reasons[0].startswith("wrong_tool: 50.0%")


def test_a_run_below_the_overall_threshold_fails() -> None:
    assert judge([result(), result(passed=False)], thresholds(overall=0.9)).reasons[0].startswith("overall: 50.0%")


def test_one_case_that_could_not_be_judged_breaks_the_run_however_good_the_rest() -> None:
    """E3: fails closed."""
    verdict = judge([result()] * 99 + [result(broken="HTTP 503")], thresholds(0.0, 0.0))
    assert verdict.code == BROKEN
    assert "HTTP 503" in verdict.reasons[0]


def test_no_results_are_not_a_pass() -> None:
    assert judge([], thresholds(0.0, 0.0)).code == BROKEN


def test_fewer_cases_than_the_baseline_are_an_invalid_suite(tmp_path: Path) -> None:
    """E3."""
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"cases": {"wrong_tool": 2}}))
    check_suite([case("a"), case("b")], thresholds(), baseline)
    with pytest.raises(InvalidSuite, match="1 cases, the baseline has 2"):
        check_suite([case("a")], thresholds(), baseline)


def test_a_failure_mode_without_a_threshold_is_an_invalid_suite(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text('{"cases": {}}')
    with pytest.raises(InvalidSuite, match="multilingual: no threshold"):
        check_suite([case(mode="multilingual")], thresholds(), baseline)


@pytest.mark.parametrize(
    ("expect", "answer", "problem"),
    [
        ({"outcome": "answered"}, {"outcome": "handed_over"}, "outcome is"),
        ({"cites": ["a"]}, {"citations": [{"article_id": "b", "quote": "q"}]}, "none of"),
        ({"cites": ["a"]}, {"citations": [{"article_id": "a", "quote": ""}]}, "without a quote"),
        ({"says": ["30 days"]}, {"answer": "soon"}, "does not say"),
        ({"says_not": ["guess"]}, {"answer": "I Guess so"}, "says 'guess'"),
        ({"calls": ["get_order"]}, {"tools": [{"name": "get_order", "outcome": "refused"}]}, "did not call"),
        ({"calls_not": ["cancel_order"]}, {"tools": [{"name": "cancel_order", "outcome": "refused"}]}, "called cancel_order"),
        ({"ticket": {"order_id": None}}, {"order_id": "NW-1"}, "order_id is"),
    ],
)
def test_each_scorer_sees_what_it_is_there_for(expect: dict[str, object], answer: dict[str, object], problem: str) -> None:
    assert any(problem in p for p in failures(Expectation.model_validate(expect), answer))


def test_one_form_of_a_fact_is_enough() -> None:
    expect = Expectation(says=(("3 to 5", "three to five"),))
    assert failures(expect, {"answer": "It takes Three  to five days."}) == []


def test_the_interval_is_wilsons() -> None:
    """E5: 8 of 10 is 49 % to 94 %."""
    low, high = Rate(8, 10).interval
    assert (round(low, 2), round(high, 2)) == (0.49, 0.94)


def test_the_report_says_what_answered_and_which_cases_failed() -> None:
    """E4, E10: the simulator's score is labelled as the simulator's."""
    results = [result(), result(passed=False)]
    told = markdown(results, judge(results, thresholds()), "simulator")
    assert "(simulator)" in told
    assert "`one` (wrong_tool): wrong" in told


def test_the_suite_in_the_repository_is_valid_and_broad() -> None:
    """E1."""
    cases = load_cases()
    check_suite(cases, load_thresholds())
    assert len(cases) >= 30
    assert len({c.failure_mode for c in cases}) >= 6


def test_the_schema_for_editors_is_current() -> None:
    """E11: `python -m evals schema` writes it."""
    assert json.loads(SCHEMA.read_text()) == schema()


def test_a_case_that_expects_nothing_is_refused(tmp_path: Path) -> None:
    told = case().model_dump(mode="json") | {"expect": {}}
    (tmp_path / "bad.yaml").write_text(json.dumps([told]))
    with pytest.raises(InvalidSuite, match="could not fail"):
        load_cases(tmp_path)
