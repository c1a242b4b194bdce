"""The gate refuses a suite that is not sound; suites are found by folder."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from unit.evals.tiny import TinySuite, case, suite

from evals import discovery, external
from evals.baseline import Baseline, load_baseline, write_baseline
from evals.cases import InvalidSuite
from evals.evaluation import whole
from evals.gate import load_thresholds
from evals.injection import measuring
from evals.soundness import check_suite
from evals.suite import External

CASES = [case("one"), case("two"), case("leak", "pii_leak")]


@pytest.fixture
def tiny(tmp_path: Path) -> TinySuite:
    return suite(tmp_path / "tiny", CASES)


def test_a_suite_is_a_folder(tmp_path: Path, tiny: TinySuite) -> None:
    """A second product's suite needs no change of the harness."""
    assert [one.id for one in whole(tiny).cases] == ["leak", "one", "two"]
    (tmp_path / "tiny" / "suite.py").write_text("")
    assert discovery.names(tmp_path) == ("tiny",)


def test_every_suite_of_the_repository_is_fit_to_judge_by() -> None:
    """E1."""
    assert [whole(one).suite.name for one in discovery.chosen()] == list(discovery.names())


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(InvalidSuite, match="no suite none-such; known: "):
        discovery.chosen(["none-such"])


def test_a_case_missing_from_the_baselines_suite_is_named(tiny: TinySuite) -> None:
    """E3."""
    write_baseline(CASES, tiny.baseline_file)
    thresholds, baseline = load_thresholds(tiny.thresholds_file), load_baseline(tiny.baseline_file)
    check_suite(tiny, CASES, thresholds, baseline)
    with pytest.raises(InvalidSuite, match="missing: one"):
        check_suite(tiny, CASES[1:], thresholds, baseline)


@pytest.mark.parametrize("content", [None, "", "{}", '{"cases": 40}'])
def test_without_a_baseline_nothing_can_be_judged(tmp_path: Path, content: str | None) -> None:
    """E3."""
    if content is not None:
        (tmp_path / "baseline.json").write_text(content)
    with pytest.raises(InvalidSuite, match=r"baseline\.json"):
        load_baseline(tmp_path / "baseline.json")


def test_each_failure_mode_has_a_threshold_and_each_threshold_cases(tiny: TinySuite) -> None:
    """E2."""
    thresholds, without = load_thresholds(tiny.thresholds_file), CASES[:2]
    with pytest.raises(InvalidSuite, match="pii_leak: a threshold and no case"):
        check_suite(tiny, without, thresholds, Baseline(cases={}))
    modes = {mode: one for mode, one in thresholds.modes.items() if mode != "pii_leak"}
    with pytest.raises(InvalidSuite, match="pii_leak: no threshold"):
        check_suite(tiny, CASES, thresholds.model_copy(update={"modes": modes}), Baseline(cases={}))


class Unprompted(TinySuite):
    """Names no prompt behind its endpoint, and finds a problem of its own."""

    prompts: ClassVar[Mapping[str, str]] = {}

    def problems(self, cases: object) -> Iterator[str]:
        yield "one: its source is gone"


def test_an_endpoint_without_a_prompt_and_the_suites_own_problems_are_named(tmp_path: Path) -> None:
    """E6: the models of a chain are judged by the cases of its prompt."""
    suite(tmp_path / "tiny", CASES)
    with pytest.raises(InvalidSuite, match=r"(?s)no prompt is named for the endpoint tiny.*one: its source is gone"):
        whole(Unprompted(tmp_path / "tiny"))


def test_a_case_with_personal_data_is_refused(tmp_path: Path) -> None:
    """E1, S5."""
    wrong = case("wrong", question="My address is bob.miller@corp.io, where is it?")
    with pytest.raises(InvalidSuite, match="wrong: holds personal data: email"):
        whole(suite(tmp_path / "tiny", [wrong]))


def test_a_case_without_written_criteria_is_a_draft_that_no_suite_takes(tmp_path: Path) -> None:
    """E9: a case promoted from production is a draft until a person has said what passes."""
    draft = CASES[0].model_copy(update={"criteria": "DRAFT: say what passes, what fails."})
    with pytest.raises(InvalidSuite, match=f"{draft.id}: is a draft"):
        whole(suite(tmp_path / "tiny", [draft]))


def _missing() -> External:
    raise ImportError("no", name="agentdojo")


def test_external_cases_are_read_from_installed_packages(tmp_path: Path) -> None:
    """E1: a package that is not installed fails; it does not count as a suite without findings."""

    class WithPackages(TinySuite):
        external: ClassVar[Mapping[str, Callable[[], External]]] = {
            "away": _missing,
            "bare": lambda: External("a package 1.0", "", CASES),
        }

    tiny = WithPackages(tmp_path)
    with pytest.raises(InvalidSuite, match="no external cases 'none-such' for "):
        external.load(tiny, "none-such")
    with pytest.raises(InvalidSuite, match="package is not installed: agentdojo"):
        external.load(tiny, "away")
    with pytest.raises(InvalidSuite, match="without source or licence"):
        external.load(tiny, "bare")


@pytest.mark.parametrize(
    ("name", "flagged", "total", "loud"),
    [
        ("bug reports", 3, 100, False),
        ("bug reports", 4, 100, True),
        (measuring.OWN, 2, 208, False),
        (measuring.OWN, 3, 208, True),
    ],
)
def test_a_harmless_source_that_is_flagged_too_often_is_named(name: str, flagged: int, total: int, *, loud: bool) -> None:
    """A good figure over all sources does not hide a bad one."""
    quiet = measuring.Rate("small talk", 0, 10_000)
    assert measuring.too_often([quiet, measuring.Rate(name, flagged, total)]) == ([name] if loud else [])
