"""The eval pages' sums, comparisons and sentences, from files as they are written (E3, E4, E9)."""

import asyncio
import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from conftest import ROOT

from app.audit.quality import Drift, Quality
from app.console.console import templates
from app.console.pages import eval_mended, eval_production, release_diff
from app.console.pages import evals as evals_page
from app.console.pages.evals import card, chart, chosen_release, figures, judged
from app.console.ranges import range_of
from app.releases import eval_example
from app.releases.eval_cases import Written, cases
from app.releases.eval_delta import deltas
from app.releases.eval_example import Example
from app.releases.eval_gate import Limit, Score, below, digest
from app.releases.eval_gate import judged as judged_scores
from app.releases.eval_goals import goals
from app.releases.eval_history import CHAOS, Run, Runs, Trial, filed, pair_of, threshold_count, thresholds
from app.releases.manifest import Places, load
from evals.chaos import MODE
from evals.discovery import names

SUITE = "{% import 'parts/evals.html' as e %}{{ e.suite(card) }}"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RELEASES = ROOT / "releases"


def written(folder: Path, release: str, *, passed: int, failed: list[str], cases: str = "c" * 16, words: int = 4) -> None:
    """A file of one suite with two modes and a measure, signed as the evals sign it."""
    scores = {
        "overall": {"passed": passed, "total": 10, "least": 0.5},
        "wrong_tool": {"passed": passed - 4, "total": 6, "least": 0.5},
        CHAOS: {"passed": 3, "total": 3, "least": 1.0},
        "wrong_words": {"passed": words, "total": 4, "least": 0.5},
        "supported": {"passed": 9, "total": 10, "least": 0.5},
    }
    suite = {
        "suite": "made", "label": "simulator", "simulated": ["openai"], "at": "2026-11-26T10:00:00Z", "scores": scores,
        "limits": {}, "models": [{"prompt": "p", "model": "m", "passed": passed, "total": 10, "least": 0.5}], "cases": cases,
        "failed": failed,
    }  # fmt: skip
    content = {"release": release, "manifest": "0" * 64, "suites": [suite]}
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals" / f"{release}.json").write_text(json.dumps({**content, "sha256": digest(content)}))


def test_the_example_is_the_mode_in_which_a_refused_release_lost_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = {"a": "wrong_tool", "b": "wrong_words", "c": "wrong_words", "d": "wrong_words", "e": "wrong_tool"}
    there = {name: Written("made.yaml", {"failure_mode": mode}) for name, mode in modes.items()}
    monkeypatch.setattr(eval_example, "cases", lambda _: there)
    assert eval_example.example(tmp_path) is None
    written(tmp_path, "1", passed=4, failed=["a", "b", "c", "d"])
    assert eval_example.example(tmp_path) is None, "no later release"
    written(tmp_path, "2", passed=9, failed=["b"])
    assert eval_example.example(tmp_path) == Example("made", "wrong_words", "1", "2", ("b", "c", "d"), ("c", "d"))


def test_a_pair_is_the_newest_answer_that_passes_after_one_that_failed() -> None:
    good = Trial(3, "2", "simulator", NOW, 0, True, [], "", "req_3", "whole")
    bad, bare = replace(good, run=2, release="1", passed=False), replace(good, run=1, release="0", passed=False, answer="")
    assert pair_of([good, bare, bad]) == (bad, good)
    assert pair_of([good, bare]) is None
    assert pair_of([good, replace(bad, release="2")]) is None, "the same release mended nothing"
    assert pair_of([bad, good]) is None, "it fails now"


@pytest.mark.parametrize(
    ("code", "part", "shown"),
    [
        (1, None, ("bad", "below or worse")),
        (0, ["wrong_tool"], ("good", "passed, wrong tool alone")),
        (1, ["wrong_tool", "pii_leak"], ("bad", "below, 2 modes alone")),
        (0, [], ("none", "a part, not judged")),
        (2, [], ("warn", "not judged")),
    ],
)
def test_a_stored_part_of_a_suite_is_no_verdict_on_the_suite(code: int, part: list[str] | None, shown: tuple[str, str]) -> None:
    run = Run(1, "made", "1", "simulator", replay=False, code=code, passed=1, total=2, cost=0, at=NOW, report={"part": part})
    assert evals_page.verdict(run) == shown


def test_the_example_says_what_mended_it_and_what_was_lost() -> None:
    """The cause is a value of a model; the same change lost ten cases."""
    places = Places(directory=RELEASES, prompts=ROOT / "app/features", indexes=ROOT, providers=frozenset({"openai", "anthropic"}))
    whole = load("1-start", places)
    short = replace(whole, routes={**whole.routes, "smart": replace(whole.routes["smart"], max_output_tokens=40)})

    async def find(name: str) -> SimpleNamespace:
        return SimpleNamespace(release=short if name == "2026-11-24" else whole)

    parts = SimpleNamespace(releases=SimpleNamespace(find=find), releases_dir=RELEASES)
    words = asyncio.run(eval_mended.changed(cast(Any, SimpleNamespace(parts=parts)), "support", "2026-11-24", "2026-11-26"))
    assert words.startswith("model smart: max output tokens 40 → 2048; no prompt and no index.")
    assert "68 cases won, 10 lost; worst failure mode: answer that should be refusal, 8 of 19 passed where 18 did" in words


def test_the_faults_mode_is_the_one_of_the_evals() -> None:
    assert CHAOS == MODE


def test_failure_modes_of_every_release_add_up_to_the_overall_score() -> None:
    found, problems = filed(RELEASES)
    assert not problems
    assert found
    for one in found:
        counted = [score for name, score in one.modes.items() if name != CHAOS]
        overall = one.result.scores["overall"]
        assert sum(score.total for score in counted) == overall.total, one.release
        assert sum(score.passed for score in counted) == overall.passed, one.release
        assert one.whole
    sums = figures([card(one, found) for one in found])
    assert sums["total"] == sum(one.result.scores["overall"].total for one in found)
    assert sums["thresholds"] == sum(len(judged_scores(one.result)) + len(one.result.limits) for one in found)


def test_a_score_whose_name_misleads_says_what_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "1", passed=9, failed=["a"])
    monkeypatch.setattr(evals_page, "meanings", lambda _: {"supported": "Only <b>this</b> counts."})
    found, _ = filed(tmp_path)
    text = templates().from_string(SUITE).render(card=card(found[0], found))
    assert text.count('<span class="meaning">Only &lt;b&gt;this&lt;/b&gt; counts.</span>') == 1


def test_every_score_of_a_result_stands_beside_its_goal() -> None:
    """A threshold one case below what is reached says nothing about what the business needs."""
    found, _ = filed(RELEASES)
    newest = [one for one in found if one.release == found[0].release and one.result.suite in names()]
    assert newest
    for one in newest:
        shown = card(one, found)
        known = goals(one.result.suite)
        assert shown.overall.goal == known["overall"] > shown.overall.least, one.result.suite
        assert [line.goal for line in (*shown.modes, *shown.measures)] == [known[name] for name in (*one.modes, *one.measures)]


def test_every_threshold_of_a_release_is_a_row_of_its_page(tmp_path: Path) -> None:
    """A reader counts the thresholds that the sentence names; a limit and a model alone are some of them."""
    written(tmp_path, "1", passed=9, failed=["a"])
    made, _ = filed(tmp_path)
    stored, _ = filed(RELEASES)
    for found in (made, [one for one in stored if one.release == stored[0].release]):
        cards = [card(one, found) for one in found]
        shown = "".join(str(templates().from_string(SUITE).render(card=one)) for one in cards)
        assert shown.count("<tr data-threshold>") == figures(cards)["thresholds"]


def test_scores_that_hold_without_a_change_are_folded(tmp_path: Path) -> None:
    """On a phone they were eleven screens of cards that said 0 points."""
    written(tmp_path, "1", passed=8, failed=["a", "b"], words=4)
    written(tmp_path, "2", passed=8, failed=["a", "b"], words=3)
    found, _ = filed(tmp_path)
    shown, _, folded = str(templates().from_string(SUITE).render(card=card(found[0], found))).partition(
        "without a change</summary>"
    )
    assert ("<td>wrong words" in shown, "<td>wrong tool" in shown) == (True, False)
    assert "<td>wrong tool" in folded


def test_a_simulated_threshold_is_no_pass_unless_the_goal_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "1", passed=8, failed=["a"])
    found, _ = filed(tmp_path)
    monkeypatch.setattr(evals_page, "goals", lambda _: {"overall": 0.95, "wrong_words": 1.0, "m": 0.9})
    shown = {line.name: line.state for line in card(found[0], found).shares}
    assert (shown["overall"], shown["wrong_words"]) == (("none", "holds, simulated"), ("good", "holds"))
    assert shown["m"] == shown["supported"] == ("none", "holds, simulated")
    real = replace(found[0], result=found[0].result.model_copy(update={"simulated": ()}))
    assert {line.state for line in card(real, found).shares} == {("good", "holds")}


def test_the_answer_names_the_newest_release_that_the_gate_refuses(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=4, failed=["a"])  # below overall and one mode
    written(tmp_path, "2", passed=9, failed=["a"])
    found, _ = filed(tmp_path)
    live = [card(one, found) for one in found if one.release == "2"]
    missed = sum(len(one.below) for one in found)
    assert (
        f"The gate refuses release 1: it misses {missed} thresholds, and its share of passed cases is 50.0 points lower than that"
        " of the later release 2." in answer("2", live, None, NOW, found)[1]
    )
    assert "refuses" not in answer("2", live, None, NOW, [one for one in found if one.release == "2"])[1]


def test_the_verdict_says_at_once_in_which_mode_the_release_is_worse_than_another(tmp_path: Path) -> None:
    """Also than one that the gate refused for other cases: the worst news is not the last clause."""
    written(tmp_path, "1", passed=4, failed=["a"], words=4)
    written(tmp_path, "2", passed=9, failed=["a"], words=3)
    found, _ = filed(tmp_path)
    live = [card(one, found) for one in found if one.release == "2"]
    words = answer("2", live, None, NOW, found)[1]
    worse = (
        "It is worse than the refused release 1 in wrong words: 3 of 4 passed where 4 did,"
        " allowed, as its threshold is 50 % on the simulator."
    )
    held = "Release 2 holds every threshold, each at most what the simulator once reached: made 9 of 10 cases passed."
    assert words.startswith(f"Answered by the simulator, release 2 passes the gate. {worse}")
    assert held in words, "measures come after the verdict"
    assert "worse" not in answer("2", live, None, NOW, [one for one in found if one.release == "2"])[1]


def test_a_change_against_a_later_release_says_so(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=4, failed=["a", "b"])
    written(tmp_path, "2", passed=8, failed=["a"])
    found, _ = filed(tmp_path)
    shown = str(templates().from_string(SUITE).render(card=card(found[-1], found)))
    assert "change beside the later " in shown
    assert "Lost beside the later release 2:" in " ".join(shown.replace("\u00a0", " ").split())


def answer(*given: Any) -> tuple[str, str]:  # noqa: ANN401 - of the page
    """The page's answer with all its sentences in one text."""
    kind, words = evals_page.answer(*given)
    return kind, " ".join(words)


FIRST = "It is mended by {}, the first later release that passes it"
MENDED = "A case that 1 fails, mended by {}"


@pytest.mark.parametrize(
    ("failing", "refused", "lived", "heading", "chain"),
    [
        (
            {"1": True, "2": False, "3": False}, True, "", MENDED.format(2),
            f"1, which the gate refuses, was never live; it would lose this case. {FIRST.format(2)}; 3 passes it, too.",
        ),
        (
            {"1": True, "3": False}, True, "is", MENDED.format(3),
            f"1, which the gate refuses, is live and loses this case. {FIRST.format(3)}.",
        ),
        (
            {"0": False, "1": True, "2": True, "3": False}, False, "was", MENDED.format(3),
            f"1 was live and lost this case. {FIRST.format(3)}.",
        ),
        (
            {"00": False, "0": False, "1": True}, True, "was", "A case that fails with one release and passes with another",
            "1, which the gate refuses, was live and lost this case. 0 and 00 pass it.",
        ),
    ],
)  # fmt: skip
def test_the_first_later_release_that_passes_a_case_mended_it_and_an_earlier_one_did_not(
    tmp_path: Path, failing: dict[str, bool], refused: bool, lived: str, heading: str, chain: str
) -> None:
    """And of a release that is live or was, no sentence says that it was not."""
    for release, fails in failing.items():
        written(tmp_path, release, passed=4 if refused and release == "1" else 8, failed=["c"] if fails else ["a"])
    found, _ = filed(tmp_path)
    passing = "3" if "3" in failing else "0"
    bad, good = (
        Trial(1, release, "simulator", NOW, 0, release == passing, [], "", "", "an answer") for release in ("1", passing)
    )
    stands = eval_mended.standing(found, "made", "c", bad.release, good.release)
    one = eval_mended.Mended("made", "c", bad, good, "", "", [], "", *stands, lived)
    assert (one.heading, one.chain) == (heading, chain)


def test_the_page_leads_with_two_sentences_and_has_the_others_below(tmp_path: Path) -> None:
    """On a phone the whole was a screen of text."""
    written(tmp_path, "1", passed=4, failed=["a"])
    written(tmp_path, "2", passed=9, failed=["a"])
    found, _ = filed(tmp_path)
    _, words = evals_page.answer("2", [card(one, found) for one in found if one.release == "2"], scored(None), NOW, found)
    assert len(words) > evals_page.LEAD == 2
    assert [words.count(one) for one in words] == [1] * len(words)
    assert all(one.endswith(".") and ". " not in one for one in words), words


def test_the_answer_counts_shares_below_their_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "1", passed=9, failed=["a"])
    found, _ = filed(tmp_path)
    monkeypatch.setattr(evals_page, "goals", lambda _: {"overall": 0.95, "wrong_tool": 0.8, "supported": 1.0, "m": 1.0})
    assert " 3 shares are below the goal for a vendor's model." in answer("1", [card(found[0], found)], None, NOW)[1]
    monkeypatch.setattr(evals_page, "goals", lambda _: {})
    assert "goal" not in answer("1", [card(found[0], found)], None, NOW)[1]


@pytest.mark.parametrize("suite", ["", "none", "../extract", "extract/../extract"])
def test_a_suite_without_a_file_of_its_own_has_no_goal(suite: str) -> None:
    assert goals(suite) == {}


def test_measures_are_no_part_of_the_sum(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a", "b"])
    [one], _ = filed(tmp_path)
    assert (list(one.modes), list(one.measures)) == (["wrong_tool", CHAOS, "wrong_words"], ["supported"])


def test_a_release_stands_beside_the_one_before_with_its_flips(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a", "b"])
    written(tmp_path, "2", passed=7, failed=["b", "c", "d"])
    found, _ = filed(tmp_path)
    one = card(found[0], found)
    assert (one.before and one.before.release, one.lost, one.won) == ("1", ["c", "d"], ["a"])
    assert one.overall.change == pytest.approx(-0.1)
    kind, words = answer("2", [one], None, NOW)
    assert (kind, "It lost 2 cases and won 1 since the release before." in words) == ("warn", True)
    assert words.startswith("Answered by the simulator, release 2 passes the gate and answers worse than the release before.")
    assert card(found[1], found).before is None
    assert card(found[1], found).overall.change is None


def test_a_release_that_the_gate_refuses_is_no_release_before(tmp_path: Path) -> None:
    """It was never live, so a case that it failed was not won since."""
    written(tmp_path, "1", passed=8, failed=["a", "b"])
    written(tmp_path, "2", passed=4, failed=["a", "b", "c"])
    written(tmp_path, "3", passed=8, failed=["a", "b"])
    found, _ = filed(tmp_path)
    assert [(one.filed.release, one.before and one.before.release) for one in (card(each, found) for each in found)] == [
        ("3", "1"), ("2", "1"), ("1", None),
    ]  # fmt: skip


def test_a_refused_release_with_none_before_it_stands_beside_the_next(tmp_path: Path) -> None:
    """What it would have cost is the delta that a buyer asks for."""
    written(tmp_path, "1", passed=4, failed=["a", "b", "c"])
    written(tmp_path, "2", passed=8, failed=["a"])
    written(tmp_path, "3", passed=9, failed=[])
    found, _ = filed(tmp_path)
    refused = card(found[-1], found)
    assert (refused.before and refused.before.release, refused.lost, refused.won) == ("2", ["b", "c"], [])
    sums = figures([refused])
    assert (sums["change"], sums["beside"]) == (pytest.approx(-0.4), "beside the later release 2")
    assert figures([card(found[0], found)])["beside"] == "since the release before"


def test_a_sentence_that_names_some_thresholds_counts_the_rest(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=4, failed=["a"])
    [one], _ = filed(tmp_path)
    scores = {name: Score(passed=0, total=1, least=1.0) for name in "vwxyz"}
    worse = replace(one, result=one.result.model_copy(update={"scores": one.result.scores | scores}))
    assert (
        "below 8 thresholds (made: overall, made: wrong_tool, made: v and 5 more)" in answer("1", [card(worse, [])], None, NOW)[1]
    )


def test_scores_of_the_simulator_are_no_green_answer(tmp_path: Path) -> None:
    """And the page names the threshold that is closest."""
    written(tmp_path, "1", passed=8, failed=["a", "b"])
    found, _ = filed(tmp_path)
    kind, words = answer("1", [card(found[0], found)], None, NOW)
    assert (kind, "The simulator answered for openai" in words) == ("warn", True)
    sums = figures([card(found[0], found)])
    assert (sums["closest"].name, sums["closest"].margin) == (CHAOS, 0)
    assert thresholds(found[0].result).startswith(f"{sums['thresholds']} thresholds: overall, 4 of")
    real = replace(found[0], result=found[0].result.model_copy(update={"simulated": ()}))
    kind, words = answer("1", [card(real, [real])], None, NOW)
    assert (kind, "simulator" in words) == ("good", False)


@pytest.mark.parametrize(
    ("kept", "words"),
    [([], "A release's file names"), (["a"], "Of these 2 cases 1 have both answers here. A release"), (["a", "b"], "")],
)
def test_cases_with_names_alone_say_why_and_how_to_get_their_answers(kept: list[str], words: str) -> None:
    called = "{% import 'parts/evals.html' as e with context %}{{ e.names_alone(['a', 'b'], 'r1', 'r2', kept) }}"
    said = templates().from_string(called).render(kept=kept)
    assert said.startswith(f'<p class="note">{words}' if words else "")
    assert re.findall(r"release (r\d) ", said) == (["r1", "r2"] if words else [])


def test_other_cases_are_not_compared(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a"])
    written(tmp_path, "2", passed=7, failed=["b"], cases="d" * 16)
    found, _ = filed(tmp_path)
    assert card(found[0], found).before is None
    assert figures([card(found[0], found)])["change"] is None


def test_a_score_below_its_threshold_is_named_first(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=4, failed=["a"])
    found, _ = filed(tmp_path)
    kind, words = answer("1", [card(found[0], found)], None, NOW)
    assert kind == "bad"
    assert "below 3 thresholds (made: overall, made: wrong_tool, made: m), so the gate refuses it" in words
    assert evals_page.command_of("1", [card(found[0], found)]) == "octant release verify 1", "another run would not help"
    assert evals_page.command_of("2", []) == "python -m evals release 2 --accept"


def test_the_pages_count_as_many_missed_thresholds_as_the_gate(tmp_path: Path) -> None:
    """Models alone and limits among them."""
    written(tmp_path, "1", passed=4, failed=["a"])
    [one], _ = filed(tmp_path)
    dear = one.result.model_copy(update={"limits": {"dollars": Limit(value=2, most=1), "seconds": Limit(value=1, most=1)}})
    one = replace(one, result=dear)
    assert one.below == ["overall", "wrong_tool", "m", "dollars"]
    assert len(below(dear)) == len(one.below)
    sums = figures([card(one, [one])])
    assert (sums["held"], sums["thresholds"]) == (4, threshold_count(dear)) == (4, 8)
    assert thresholds(dear) == "8 thresholds: overall, 6 of failure modes and measures, 1 of models alone"


def test_a_file_that_was_changed_is_marked_and_a_broken_one_is_named(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a"])
    path = tmp_path / "evals" / "1.json"
    path.write_text(path.read_text().replace('"failed": ["a"]', '"failed": []'))
    (tmp_path / "evals" / "2.json").write_text("{")
    found, problems = filed(tmp_path)
    assert [one.whole for one in found] == [False]
    assert problems[0].startswith("2.json:")
    shutil.rmtree(tmp_path / "evals")
    assert filed(tmp_path) == ([], [])
    assert answer("", [], None, NOW) == ("none", "No release has eval results here.")


def test_the_live_release_is_shown_unless_another_is_wanted(tmp_path: Path) -> None:
    for release in ("1", "2", "3"):
        written(tmp_path, release, passed=8, failed=[])
    found, _ = filed(tmp_path)
    assert [chosen_release(found, *one) for one in (("", "2"), ("1", "2"), ("9", "2"), ("", "9"))] == ["2", "1", "9", "3"]


def test_the_chart_shows_stored_runs_by_suite_and_model_and_is_left_out_without_any() -> None:
    def stored(suite: str, label: str, passed: float, total: int = 10) -> Run:
        return Run(1, suite, "1", label, False, 0, passed, total, 0, NOW, {})

    drawn = chart(Runs([stored("support", "simulator", 8), stored("support", "sonnet", 9.5), stored("support", "none", 0, 0)], 3))
    assert drawn is not None
    series = {one["label"]: one["values"] for one in drawn["series"]}
    assert series == {"support, simulator": [80.0], "support, sonnet": [95.0]}
    runs = [replace(stored("support", "simulator", n), release=release, at=NOW + n * timedelta(minutes=1))
            for n, release in ((3, "a"), (2, "b"), (1, "b"))]  # fmt: skip
    apart = chart(Runs(runs, 3))
    assert apart is not None
    assert apart["kind"] == "points", "a line would join runs of different releases"
    assert [mark["label"] for mark in apart["marks"]] == ["release b", "release a"]
    assert chart(None) is None
    assert chart(Runs([], 0)) is None


def test_the_chart_has_whole_runs_alone_and_those_that_came_with_the_code(tmp_path: Path) -> None:
    """Fourteen of one mode's 23 cases are not how a suite of 240 did."""
    written(tmp_path, "1", passed=8, failed=[])
    one_mode = Run(
        1, "support", "1", "simulator", replay=False, code=1, passed=14, total=23, cost=0, at=NOW, report={"part": ["x"]}
    )
    assert chart(Runs([one_mode], 1)) is None
    drawn = chart(Runs([one_mode, replace(one_mode, at=NOW + timedelta(hours=1), report={"part": []})], 2), filed(tmp_path)[0])
    assert drawn is not None
    assert [one["values"] for one in drawn["series"]] == [[80.0]]


def scored(drifted_at: datetime | None = None) -> Quality:
    range_ = range_of({"range": "24h"}, now=NOW)
    steps = {(range_.since, "support"): (10, 9), (range_.since + range_.width, "support"): (0, 0), (range_.since, "x"): (2, 1)}
    rows = [
        {"feature": "support", "release": "1", "scored": 10, "passed": 9},
        {"feature": "x", "release": "1", "scored": 2, "passed": 1},
    ]
    return Quality(steps, rows, [Drift("x", 200, 0.1, 3.0, drifted_at)], NOW)


def test_production_is_good_until_a_feature_has_drifted_lately() -> None:
    range_ = range_of({"range": "24h"}, now=NOW)
    kind, words = eval_production.answer(scored(NOW - timedelta(hours=25)), range_, NOW)
    assert (kind, words[:39]) == ("good", "83.3 % of 12 scored answers passed in t")
    kind, words = eval_production.answer(scored(NOW - timedelta(hours=2)), range_, NOW)
    assert kind == "bad"
    assert "more answers of x fail than before" in words
    assert eval_production.answer(None, range_, NOW)[0] == "none"
    assert answer("", [], scored(NOW), NOW)[0] == "bad"


@pytest.mark.parametrize(("seen", "known"), [(99, False), (100, True)])
def test_before_its_first_hundred_scores_nothing_is_said_of_drift(seen: int, *, known: bool) -> None:
    lately = replace(scored(), drifts=[Drift("x", seen, 0.1, 3.0, None)])
    assert judged(lately) is known
    kind, words = eval_production.answer(lately, range_of({"range": "24h"}, now=NOW), NOW)
    assert kind == ("good" if known else "none")
    assert ("no feature has drifted" in words) is known


def test_a_step_without_scores_is_a_gap_and_the_rows_add_up() -> None:
    range_ = range_of({"range": "24h"}, now=NOW)
    drawn = eval_production.chart(scored(), range_)
    assert drawn is not None
    assert drawn["series"][0]["values"][:3] == [90.0, None, None]
    assert (scored().passed, scored().scored) == (10, 12)


def test_a_candidates_question_is_the_last_text() -> None:
    asked = {"endpoint": "/v1/support/questions", "turns": [{"role": "user"}], "text": "first", "more": "last", "user": "ada"}
    assert eval_production.question_of(asked) == "last"
    assert eval_production.question_of({"endpoint": "/x"}) == ""
    assert eval_production.candidates_words({"new": 1, "promoted": 2, "dismissed": 0}) == (
        "1 question of production waits for a decision; 2 became cases, 0 were dismissed."
    )


def test_a_change_is_judged_by_the_suites_of_both_releases(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a", "b"])
    written(tmp_path, "2", passed=4, failed=["b", "c"])
    [one] = deltas(filed(tmp_path)[0], "1", "2")
    assert (one.problem, one.lost, one.won, one.missed) == ("", ["c"], ["a"], 3)
    assert [name for name, *_ in one.scores] == ["overall", "wrong_tool"]
    assert one.line == "made: 8 of 10 -> 4 of 10; lost c; won a; 3 thresholds missed"
    assert release_diff.evals_words([one]) == " Its eval results miss 3 thresholds: the gate refuses it."
    [back] = deltas(filed(tmp_path)[0], "2", "1")
    assert release_diff.evals_words([back]) == " In the evals 1 case is lost and 1 won."
    assert deltas(filed(tmp_path)[0], "3", "4") == []
    assert release_diff.evals_words([]) == ""


def test_results_that_say_nothing_of_a_change_are_not_compared(tmp_path: Path) -> None:
    written(tmp_path, "1", passed=8, failed=["a"])
    written(tmp_path, "2", passed=8, failed=["b"], cases="d" * 16)
    found, _ = filed(tmp_path)
    after, before = found
    real = replace(after, result=after.result.model_copy(update={"label": "sonnet"}))
    problems = {
        "the cases are not the same": [after, before],
        "simulator answered for the first, sonnet for the second": [real, before],
        "the result file of 2 was changed after it was written": [replace(after, whole=False), before],
        "the first release has no result of it": [after],
    }
    for problem, results in problems.items():
        [one] = deltas(results, "1", "2")
        assert one.problem == problem
        assert one.line == f"made: not compared, {problem}"
        assert release_diff.evals_words([one]) == ""


def test_every_failed_case_of_the_releases_has_its_input_and_expectation() -> None:
    """A link from a flipped case leads to them. Cases of suites that were renamed since are not of today's suites."""
    found, _ = filed(RELEASES)
    for one in (one for one in found if one.release == found[0].release and one.result.suite in names()):
        known = cases(one.result.suite)
        for name in one.result.failed:
            assert {"input", "expect", "criteria"} <= known[name].content.keys(), name
    assert cases("../support") == {}
    assert cases("none") == {}
