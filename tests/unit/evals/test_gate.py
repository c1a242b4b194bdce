"""The verdict fails closed, and the report says what it rests on."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError
from unit.evals.tiny import METRIC, case

from evals.cases import InvalidSuite
from evals.client import Trail
from evals.gate import BELOW, BROKEN, PASS, GateResult, Threshold, Thresholds, judge, load_thresholds, part_of
from evals.harness import Result
from evals.rates import Rate, percentile
from evals.report import SuiteRun, as_json, markdown, worst
from evals.scoring import Finding

Kind = Literal["passed", "failed", "broken"]


def result(kind: Kind = "passed", *, mode: str = "wrong_tool", name: str = "one") -> Result:
    findings = (Finding("facts", "does not say it"),) if kind == "failed" else ()
    trail = Trail(0.1, 0.001, "anthropic", "claude-sonnet-5-5", "2026-11-22", 0, "req_1")
    broken = "HTTP 503 stopped_by_operator" if kind == "broken" else None
    return Result(case(name, mode), findings, broken, trail)


def thresholds(overall: float = 0.5, mode: float = 0.5) -> Thresholds:
    both = [Threshold(least=least, goal=1.0, metric=METRIC) for least in (overall, mode)]
    return Thresholds(overall=both[0], modes={"wrong_tool": both[1]})


def verdict(results: list[Result], wanted: Thresholds) -> GateResult:
    return judge([r.case for r in results], results, wanted)


def test_a_run_at_its_thresholds_passes() -> None:
    assert verdict([result(), result("failed")], thresholds()).code == PASS


def test_a_run_below_a_failure_modes_threshold_fails_and_names_it_with_its_metric() -> None:
    """E2, E3."""
    judged = verdict([result(), result("failed")], thresholds(mode=0.6))
    assert judged.code == BELOW
    assert judged.reasons == (f"wrong_tool: 50.0% passed, at least 60% must. {METRIC}",)


def test_a_run_below_the_overall_threshold_fails() -> None:
    assert verdict([result(), result("failed")], thresholds(overall=0.9)).reasons[0].startswith("overall: 50.0%")


def test_a_part_of_a_suite_is_judged_by_the_modes_that_were_run_whole() -> None:
    """A few cases reach or miss the other thresholds by their choice."""
    wanted = thresholds(overall=0.9, mode=0.4)
    wanted = wanted.model_copy(update={"modes": {**wanted.modes, "pii_leak": wanted.overall}})
    run = [result(), result("failed", name="two"), result("failed", mode="pii_leak", name="three")]
    cases = [one.case for one in run]
    suite = [*cases, case("four", "pii_leak")]
    assert part_of(cases, suite) == frozenset({"wrong_tool"})
    assert part_of(suite, suite) is None
    assert part_of([case("foreign", "pii_leak")], suite) == frozenset()
    assert judge(cases, run, wanted, part={"wrong_tool"}).code == PASS
    below = judge(cases, run, thresholds(overall=0.1, mode=0.6).model_copy(update={"modes": wanted.modes}), part={"pii_leak"})
    assert [reason.partition(":")[0] for reason in below.reasons] == ["pii_leak"]
    assert judge(cases, run, wanted).code == BELOW
    nothing = judge(cases, run, wanted, part=())
    assert "not judged: no failure mode was run whole" in markdown([SuiteRun("made", run, nothing, wanted, part=())], "x")


def test_one_case_that_could_not_be_judged_breaks_the_run_however_good_the_rest() -> None:
    """E3."""
    judged = verdict([result()] * 99 + [result("broken", name="hundredth")], thresholds(0.01, 0.01))
    assert (judged.code, judged.reasons) == (BROKEN, ("hundredth: HTTP 503 stopped_by_operator",))


def test_a_case_without_a_result_breaks_the_run() -> None:
    """E3: a missing case is a failure."""
    judged = judge([result().case, result(name="lost").case], [result()], thresholds(0.01, 0.01))
    assert (judged.code, judged.reasons) == (BROKEN, ("lost: not run",))


def test_no_results_are_not_a_pass() -> None:
    assert judge([], [], thresholds(0.01, 0.01)).code == BROKEN


def test_a_failure_mode_without_a_threshold_breaks_the_run() -> None:
    assert verdict([result(mode="pii_leak")], thresholds()).reasons == ("pii_leak: no threshold",)


@pytest.mark.parametrize(("least", "goal"), [(0.0, 1.0), (1.1, 1.1), (0.9, 0.8)])
def test_a_threshold_that_demands_nothing_or_contradicts_itself_is_refused(least: float, goal: float) -> None:
    with pytest.raises(ValidationError):
        Threshold(least=least, goal=goal, metric=METRIC)


def test_thresholds_that_cannot_be_read_are_an_invalid_suite(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite):
        load_thresholds(tmp_path / "none.toml")


def test_the_interval_is_wilsons() -> None:
    """E5: 8 of 10 is 49 % to 94 %; all of 7 is not certainty."""
    low, high = Rate(8, 10).interval
    assert (round(low, 2), round(high, 2)) == (0.49, 0.94)
    low, high = Rate(7, 7).interval
    assert (round(low, 2), high) == (0.65, 1.0)
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_percentiles_are_values_that_were_measured() -> None:
    assert (percentile([3.0, 1.0, 2.0], 0.5), percentile([1.0], 0.95), percentile([], 0.5)) == (2.0, 1.0, 0.0)


def test_the_report_names_models_costs_and_failed_cases() -> None:
    """E4, E10: the simulator's score is labelled as the simulator's."""
    results = [result(), result("failed", name="two")]
    report = markdown([SuiteRun("tiny", results, verdict(results, thresholds()), thresholds())], "simulator")
    assert report.startswith("## Evals of tiny passed (simulator)")
    assert "Release 2026-11-22. Answered by anthropic/claude-sonnet-5-5 (2); 0 by a fallback." in report
    assert "2 cases, $0.0020; p50 0.10 s" in report
    assert "- `two` (wrong_tool): facts: does not say it. Passes if it is answered. Request req_1." in report
    assert "9% to 91%" in report


def test_the_json_report_holds_every_case() -> None:
    """E4."""
    results = [result(), result("broken", name="two")]
    report = as_json([SuiteRun("tiny", results, verdict(results, thresholds()), thresholds())], "simulator")
    assert (report["label"], report["code"]) == ("simulator", BROKEN)
    assert [(c["id"], c["passed"], c["model"]) for c in report["suites"]["tiny"]["cases"]] == [
        ("one", True, "claude-sonnet-5-5"),
        ("two", False, "claude-sonnet-5-5"),
    ]
    assert report["suites"]["tiny"]["modes"]["wrong_tool"]["least"] == 0.5


def test_the_worst_suite_decides_and_no_suite_is_no_pass() -> None:
    """E3: one product that is fine does not hide another that is not."""
    runs = [SuiteRun("tiny", [one], verdict([one], thresholds()), thresholds()) for one in (result(), result("failed"))]
    assert [worst(runs), worst(runs[:1]), worst([])] == [BELOW, PASS, BROKEN]
