"""The pinned numbers, runs as files, and the gate beside them."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from unit.evals.tiny import METRIC, THRESHOLDS, case, result

from evals import runs
from evals.baseline import Baseline, accept, beside, file_shares, load_baseline, pinned_shares, write
from evals.cases import InvalidSuite
from evals.client import Trail
from evals.gate import BELOW, BROKEN, PASS, Limits, Threshold, Thresholds, judge
from evals.harness import Result
from evals.scoring import Finding

TODAY = date(2026, 11, 24)
CASES = [case(f"c{n}", "wrong_tool" if n < 20 else "pii_leak") for n in range(40)]


def run_of(results: list[Result], path: Path, label: str = "simulator") -> runs.RunFile:
    write_one = runs.writer(path, runs.Head(label=label), "tiny")
    for one in results:
        write_one(one)
    return runs.read(path)


def pinned(path: Path) -> Baseline:
    return accept(Baseline(cases={}), CASES, run_of([result(c) for c in CASES], path), TODAY)


def test_a_run_goes_through_its_file_unchanged(tmp_path: Path) -> None:
    run = run_of([result(CASES[0]), result(CASES[1], passed=False)], tmp_path / "run.jsonl")
    assert run.trials() == {"c0": (1, 1), "c1": (0, 1)}
    again = runs.resumed(tmp_path / "run.jsonl", "tiny", CASES, run.head)
    assert again == {("c0", 0): result(CASES[0]), ("c1", 0): result(CASES[1], passed=False)}


def test_a_run_that_was_killed_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    head = run_of([result(CASES[0])], path).head
    with path.open("a") as file:
        file.write('{"suite": "tiny", "id": "c1", "failure_mode": "wro')
    assert set(runs.resumed(path, "tiny", CASES, head)) == {("c0", 0)}
    runs.writer(path, head, "tiny")(result(CASES[1]))
    assert runs.read(path).trials() == {"c0": (1, 1), "c1": (1, 1)}


@pytest.mark.parametrize(
    "torn", [b'{"suite": "tiny", "measures": {}', '{"words": "é'.encode()[:-1]], ids=["a brace", "half a letter"]
)
def test_a_run_is_read_however_its_last_line_is_torn(tmp_path: Path, torn: bytes) -> None:
    run_of([result(CASES[0])], tmp_path / "run.jsonl")
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(torn)
    assert runs.read(tmp_path / "run.jsonl").trials() == {"c0": (1, 1)}


def test_a_run_with_a_torn_line_between_others_is_refused(tmp_path: Path) -> None:
    """Its case would be missed by no one."""
    path = tmp_path / "run.jsonl"
    run_of([result(CASES[0], passed=False), result(CASES[1])], path)
    head, first, second, _ = path.read_text().split("\n")
    path.write_text("\n".join([head, first[:60], second]))
    with pytest.raises(InvalidSuite, match=r"run\.jsonl:2: "):
        runs.read(path)


@pytest.mark.parametrize("words", ["a\u2028b", "a\x85b", "a}\u2029b", "a\x0cb", "a\x00b"])
def test_a_models_words_part_no_line_of_a_run(tmp_path: Path, words: str) -> None:
    said = replace(result(CASES[0]), findings=(Finding("facts", words),))
    run = run_of([said, result(CASES[1])], tmp_path / "run.jsonl")
    assert [found.words for line in run.lines for found in line.findings] == [words]
    assert run.trials() == {"c0": (0, 1), "c1": (1, 1)}


def test_a_case_that_broke_and_was_run_again_counts_once(tmp_path: Path) -> None:
    """A resumed run could not be pinned: the trial that broke stood in its file."""
    run = run_of([result(CASES[0], broken="HTTP 503"), result(CASES[0])], tmp_path / "run.jsonl")
    assert run.trials() == {"c0": (1, 1)}
    assert not [line for line in run.lines if line.broken]


def test_a_file_of_two_suites_keeps_their_results_apart(tmp_path: Path) -> None:
    """Two suites may have a case of the same name."""
    path = tmp_path / "run.jsonl"
    head = run_of([result(CASES[0])], path).head
    runs.writer(path, head, "other")(result(CASES[0], passed=False))
    done = runs.read(path)
    assert (done.suites, done.of("tiny").trials(), done.of("other").trials()) == (
        ("tiny", "other"),
        {"c0": (1, 1)},
        {"c0": (0, 1)},
    )
    assert runs.resumed(path, "other", CASES, head)["c0", 0].passed is False


def test_a_case_that_changed_or_broke_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    head = run_of([result(CASES[0]), result(CASES[1], broken="HTTP 503"), result(CASES[2])], path).head
    changed = [CASES[0], CASES[1], case("c2", question="Another?")]
    assert set(runs.resumed(path, "tiny", changed, head)) == {("c0", 0)}


def test_a_run_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    run_of([result(CASES[0])], tmp_path / "run.jsonl")
    with pytest.raises(InvalidSuite, match="is a run of simulator, not of another"):
        runs.resumed(tmp_path / "run.jsonl", "tiny", CASES, runs.Head(label="another"))


@pytest.mark.parametrize(
    "content", ["", "{}", '{"label": ""}', '{"label": "x"}\n{"id": "c0"}', '{"label": "x", "extra": 1}'], ids=range(5)
)
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    """E3."""
    (tmp_path / "run.jsonl").write_text(content)
    with pytest.raises(InvalidSuite, match=r"run\.jsonl"):
        runs.read(tmp_path / "run.jsonl")


def test_a_run_is_pinned_whole_and_read_back(tmp_path: Path) -> None:
    """E4."""
    write(pinned(tmp_path / "run.jsonl"), tmp_path / "baseline.json")
    again = load_baseline(tmp_path / "baseline.json")
    assert again.runs["simulator"].release == "r1"
    assert len(again.runs["simulator"].cases) == 40
    assert again.cases["pii_leak"][0] == "c20"


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ([result(c) for c in CASES[:-1]], "c39: not run"),
        ([*(result(c) for c in CASES[:-1]), result(CASES[-1], broken="HTTP 503")], "c39: HTTP 503"),
        ([*(result(c) for c in CASES[:-1]), result(case("c39", "pii_leak", "Changed?"))], "c39: changed since the run"),
        ([*(result(c) for c in CASES), result(case("other"))], "other: no such case"),
    ],
)
def test_only_a_whole_run_of_the_suite_as_it_is_can_be_pinned(results: list[Result], problem: str, tmp_path: Path) -> None:
    """E3, E4."""
    with pytest.raises(InvalidSuite, match=problem):
        accept(Baseline(cases={}), CASES, run_of(results, tmp_path / "run.jsonl"), TODAY)


def test_a_run_like_the_pinned_one_passes(tmp_path: Path) -> None:
    judged = judge(CASES, [result(c) for c in CASES], THRESHOLDS, pinned(tmp_path / "r").runs["simulator"])
    assert (judged.code, judged.reasons) == (PASS, ())
    assert judged.comparison is not None
    assert judged.comparison.overall.verdict == "not shown worse"


def test_a_worse_run_fails_with_its_failure_mode_however_low_the_threshold(tmp_path: Path) -> None:
    """E5."""
    results = [result(c, passed=c.failure_mode == "pii_leak") for c in CASES]
    judged = judge(CASES, results, THRESHOLDS, pinned(tmp_path / "r").runs["simulator"])
    assert judged.code == BELOW
    worse = [reason for reason in judged.reasons if "worse than the pinned run" in reason]
    assert [reason.split(":")[0] for reason in worse] == ["overall", "wrong_tool"]
    assert "100.0% then, 0.0% now" in worse[1]
    assert judged.comparison is not None
    assert judged.comparison.lost == tuple(sorted(c.id for c in CASES if c.failure_mode == "wrong_tool"))


def test_two_lost_cases_are_not_shown_worse(tmp_path: Path) -> None:
    results = [result(c, passed=c.id not in {"c3", "c30"}) for c in CASES]
    judged = judge(CASES, results, THRESHOLDS, pinned(tmp_path / "r").runs["simulator"])
    assert judged.code == PASS
    assert judged.comparison is not None
    assert judged.comparison.lost == ("c3", "c30")


def test_new_and_changed_cases_are_named_and_not_compared(tmp_path: Path) -> None:
    cases = [*CASES[1:], case("c0", question="Changed?"), case("fresh")]
    judged = judge(cases, [result(c) for c in cases], THRESHOLDS, pinned(tmp_path / "r").runs["simulator"])
    assert judged.comparison is not None
    assert (judged.comparison.new, judged.comparison.changed, judged.comparison.overall.cases) == (("fresh",), ("c0",), 39)


def test_two_files_are_compared_by_case(tmp_path: Path) -> None:
    before = run_of([result(c) for c in CASES], tmp_path / "a")
    after = run_of([result(c, passed=c.id != "c1") for c in CASES], tmp_path / "b")
    comparison = beside({i: (digest, share) for i, (_, digest, share) in file_shares(before).items()}, file_shares(after))
    assert (comparison.lost, comparison.won, comparison.overall.cases) == (("c1",), (), 40)
    assert pinned_shares(pinned(tmp_path / "r").runs["simulator"])["c1"][1] == 1.0


def test_a_repeated_case_counts_once_and_as_the_share_that_passed() -> None:
    """E5: the runs of one case are not independent, so two trials do not make two cases."""
    results = [result(c, passed=bool(trial), trial=trial) for c in CASES for trial in (0, 1)]
    judged = judge(CASES, results, THRESHOLDS)
    assert (judged.overall.passed, judged.overall.total) == (20, 40)


def test_a_case_that_was_repeated_less_often_than_the_others_breaks_the_run() -> None:
    """E3."""
    results = [result(c, trial=trial) for c in CASES for trial in (0, 1)][:-1]
    assert judge(CASES, results, THRESHOLDS).reasons == ("c39: run 1 of 2 times",)


def test_a_measure_below_its_threshold_fails_and_an_impossible_one_breaks() -> None:
    """E2, E3."""
    wanted = THRESHOLDS.model_copy(update={"measures": {"private": Threshold(least=0.9, goal=1.0, metric=METRIC)}})
    first = [Result(c, (), None, Trail(), 0, {"private": 0.5}) for c in CASES]
    assert judge(CASES, first, wanted).reasons == (f"private: 50.0% passed, at least 90% must. {METRIC}",)
    second = [Result(c, (), None, Trail(), 0, {"private": float("nan")}) for c in CASES]
    assert judge(CASES, second, wanted).code == BROKEN


def test_answers_that_cost_too_much_or_come_too_late_fail() -> None:
    """E2."""
    limits = Limits(usd_per_case=0.0005, p95_seconds=0.05, metric=METRIC)
    judged = judge(CASES, [result(c) for c in CASES], THRESHOLDS.model_copy(update={"limits": limits}))
    assert [reason.split(":")[0] for reason in judged.reasons] == ["cost", "latency"]


def test_the_simulators_floors_are_the_simulators_alone() -> None:
    high = Threshold(least=0.9, goal=1.0, metric=METRIC)
    wanted = Thresholds(overall=high, modes={"wrong_tool": high}, floors={"simulator": {"wrong_tool": 0.2}})
    assert (wanted.of("simulator").modes["wrong_tool"].least, wanted.of("simulator").overall.least) == (0.2, 0.9)
    assert wanted.of("gpt-6-sol").modes["wrong_tool"].least == 0.9
    with pytest.raises(ValueError, match="floors of what has no threshold: wrong_tol"):
        Thresholds(overall=high, modes={"wrong_tool": high}, floors={"simulator": {"wrong_tol": 0.2}})


def test_the_run_file_holds_no_more_than_it_says(tmp_path: Path) -> None:
    run_of([result(CASES[0])], tmp_path / "run.jsonl")
    row = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[1])
    assert set(row) == {"suite", "id", "failure_mode", "digest", "trial", "passed", "findings", "broken", "measures", "trail"}
