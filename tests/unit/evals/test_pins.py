"""The gate refuses a pinned run that does not fit the code (E4)."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from unit.evals.test_baseline import CASES, TODAY, pinned
from unit.evals.tiny import THRESHOLDS, TinySuite, case, result

from evals.baseline import Baseline, PinnedRun, pinned_at, write
from evals.cases import Case, InvalidSuite
from evals.evaluation import Evaluated, Whole, judged
from evals.gate import BELOW, BROKEN, PASS
from evals.harness import Result
from evals.options import Judgement
from evals.report import SuiteRun, markdown
from evals.runs import Head


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Baseline:
    """All forty cases are pinned as passed. The models of the chain are another test's."""
    monkeypatch.setattr("evals.evaluation._with_chain", lambda wanted, verdict, *_: verdict)
    return pinned(tmp_path / "run.jsonl")


def run_of(baseline: Baseline, results: Sequence[Result], judgement: Judgement, folder: Path = Path("tiny")) -> SuiteRun:
    cases: list[Case] = [one.case for one in results]
    whole = Whole(TinySuite(folder), cases, THRESHOLDS, baseline)
    return judged(whole, Evaluated(Head(label="simulator"), {"tiny": list(results)}, {"tiny": ()}, ""), judgement)


EXACT = Judgement(exact=True)


def test_a_run_that_reproduces_its_pin_passes(baseline: Baseline) -> None:
    assert run_of(baseline, [result(one) for one in CASES], EXACT).verdict.code == PASS


@pytest.mark.parametrize(
    ("results", "how"),
    [
        ([result(one, passed=one.id != "c3") for one in CASES], "c3: pinned passed"),
        ([result(one) for one in [*CASES, case("fresh")]], "fresh: not pinned"),
        ([result(one) for one in [*CASES[:-1], case("c39", "pii_leak", "Changed?")]], "c39: pinned in another form"),
        ([result(one) for one in CASES[:-1]], "c39: pinned, and no case"),
    ],
    ids=["lost", "new", "changed", "gone"],
)
def test_a_pin_that_does_not_fit_is_refused_with_the_way_to_pin_anew(
    baseline: Baseline, results: Sequence[Result], how: str
) -> None:
    """One lost case is not shown worse, so without this it would stay lost for every later change."""
    assert run_of(baseline, results, Judgement()).verdict.code == PASS
    verdict = run_of(baseline, results, EXACT).verdict
    assert (verdict.code, verdict.reasons[1:]) == (BROKEN, (how,))
    assert "python -m evals baseline accept run.jsonl" in verdict.reasons[0]


def test_a_won_case_is_to_be_pinned_too(baseline: Baseline) -> None:
    """An improvement that is not pinned is the next change's to lose."""
    kept = dict(baseline.runs["simulator"].cases)
    kept["c1"] = kept["c1"].model_copy(update={"passed": 0})
    before = baseline.runs["simulator"].model_copy(update={"cases": kept})
    verdict = run_of(baseline.model_copy(update={"runs": {"simulator": before}}), [result(c) for c in CASES], EXACT).verdict
    assert (verdict.code, verdict.reasons[1:]) == (BROKEN, ("c1: pinned failed",))


def test_a_worse_run_stays_worse(baseline: Baseline) -> None:
    """E3: the exit code of a regression does not become that of a run without a verdict."""
    verdict = run_of(baseline, [result(one, passed=one.failure_mode == "pii_leak") for one in CASES], EXACT).verdict
    assert verdict.code == BELOW
    assert any(reason.startswith("overall: worse than the pinned run") for reason in verdict.reasons)


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=tests", "-c", "user.email=tests@octant.example"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, baseline: Baseline) -> TinySuite:
    """A clone in which the run is pinned."""
    suite = TinySuite(tmp_path / "clone" / "tiny")
    suite.baseline_file.parent.mkdir(parents=True)
    write(baseline, suite.baseline_file)
    git(suite.baseline_file.parent, "init", "--quiet")
    git(suite.baseline_file.parent, "add", ".")
    git(suite.baseline_file.parent, "commit", "--quiet", "--message", "pinned")
    return suite


def test_a_change_that_pins_anew_still_shows_its_flips(repository: TinySuite, baseline: Baseline, tmp_path: Path) -> None:
    """Otherwise an accepted loss would be hidden from the reviewer of the change."""
    results = [result(one, passed=one.id not in {"c3", "c4"}) for one in CASES]
    kept = baseline.runs["simulator"]
    lost = {i: p.model_copy(update={"passed": 0}) if i in {"c3", "c4"} else p for i, p in kept.cases.items()}
    anew = baseline.model_copy(update={"runs": {"simulator": PinnedRun(accepted=TODAY, release="r2", cases=lost)}})
    done = run_of(anew, results, Judgement(exact=True, base="HEAD"), repository.baseline_file.parent)
    assert done.verdict.code == PASS
    assert done.since is not None
    assert done.since.lost == ("c3", "c4")
    assert "### Beside the base, whose pinned run this change replaces" in markdown([done], "simulator")
    assert "### Beside the base" not in markdown([replace(done, since=None)], "simulator")


def test_the_base_is_shown_only_where_its_pin_was_another(repository: TinySuite, baseline: Baseline) -> None:
    done = run_of(baseline, [result(one) for one in CASES], Judgement(base="HEAD"), repository.baseline_file.parent)
    assert done.since is None


def test_a_base_without_the_suite_or_the_label_has_no_pin(repository: TinySuite) -> None:
    assert pinned_at("HEAD", repository.baseline_file, "another") is None
    assert pinned_at("HEAD", repository.baseline_file.with_name("none.json"), "simulator") is None


def test_a_base_that_is_not_in_the_clone_is_refused(repository: TinySuite) -> None:
    """E3: a shallow clone without it is no clone without changes."""
    with pytest.raises(InvalidSuite, match="there is no commit HEAD~7 in this clone"):
        pinned_at("HEAD~7", repository.baseline_file, "simulator")
