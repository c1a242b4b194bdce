"""A judge may gate only if it is right and unbiased (E8)."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from evals.calibration import AFTER, JudgeThresholds, Labelled, accept, calibrate, kappa, load_labelled, markdown, may_gate
from evals.cases import InvalidSuite
from evals.client import Unreachable
from evals.gate import load_thresholds
from evals.judging import Claim
from evals.suite import Judging
from evals.suites.support.articles import article
from evals.suites.support.suite import SUITE, SupportSuite

JUDGING = SupportSuite.judging
PAIRS = load_labelled(JUDGING)
GOOD = {pair.good for pair in PAIRS}
TODAY = date(2026, 11, 24)
WANTED = load_thresholds(SUITE.thresholds_file).judge or pytest.fail("no thresholds")


class Knows:
    """A judge that is right except on the given ids."""

    def __init__(self, *wrong: str) -> None:
        self.wrong = {answer for pair in PAIRS if pair.id in wrong for answer in (pair.good, pair.bad)}

    async def supported(self, claim: Claim) -> bool:
        answer = next(a for pair in PAIRS for a in (pair.good, pair.bad) if a in claim.answer and pair.question == claim.question)
        return (answer in GOOD) != (answer in self.wrong)

    async def prefers_first(self, claim: Claim, other: str) -> bool:
        return claim.answer in GOOD


class SaysYes(Knows):
    async def supported(self, claim: Claim) -> bool:
        return True


class LikesLength(Knows):
    async def supported(self, claim: Claim) -> bool:
        return claim.answer.endswith(AFTER) or await super().supported(claim)


class LikesTheFirst(Knows):
    async def prefers_first(self, claim: Claim, other: str) -> bool:
        return True


class Dead(Knows):
    async def supported(self, claim: Claim) -> bool:
        raise Unreachable("the judge answers HTTP 503")


async def shortfalls(judge: Knows) -> list[str]:
    return [s.split(":")[0] for s in (await calibrate(judge, JUDGING, lambda _: None, TODAY)).shortfalls(WANTED)]


async def test_a_judge_that_is_right_may_gate() -> None:
    assert await shortfalls(Knows()) == []


async def test_one_mistake_on_each_side_is_allowed_and_four_are_not() -> None:
    assert await shortfalls(Knows("viruses")) == []
    assert await shortfalls(Knows("viruses", "batch", "mould", "comfort")) == [
        "kappa",
        "true positive rate",
        "true negative rate",
    ]


async def test_a_judge_that_says_yes_to_everything_agrees_by_chance_alone() -> None:
    assert await shortfalls(SaysYes()) == ["kappa", "true negative rate"]


async def test_a_preference_of_the_judge_for_length_is_reported() -> None:
    """Half of the answers are unfaithful.

    The judge takes each of them for right once it is long.
    """
    assert await shortfalls(LikesLength()) == ["steadiness against length"]


async def test_a_preference_of_the_judge_for_the_first_answer_is_reported() -> None:
    assert await shortfalls(LikesTheFirst()) == ["steadiness against order"]


async def test_a_dead_judge_is_no_agreement() -> None:
    """E3."""
    with pytest.raises(Unreachable):
        await calibrate(Dead(), JUDGING, lambda _: None, TODAY)


@pytest.mark.parametrize(
    ("votes", "value"),
    [
        ([(True, True), (False, False)] * 5, 1.0),
        ([(True, True), (False, True)] * 5, 0.0),
        ([(True, False), (False, True)] * 5, -1.0),
        ([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15, 0.4),
    ],
)
def test_kappa_is_cohens(votes: list[tuple[bool, bool]], value: float) -> None:
    """The last is the textbook's example: 35 of 50, 25 by chance."""
    assert kappa(votes) == pytest.approx(value)


async def test_only_what_was_calibrated_with_this_prompt_and_set_may_gate(tmp_path: Path) -> None:
    """E3, E8."""
    shutil.copy(JUDGING.folder / "labelled.yaml", tmp_path)
    judging = replace(JUDGING, folder=tmp_path)
    assert may_gate("a model", WANTED, judging) == ["the judge behind a model was never calibrated"]
    found = await calibrate(Knows(), judging, lambda _: None, TODAY)
    accept("a model", found, judging)
    assert may_gate("a model", WANTED, judging) == []
    accept("a model", found.model_copy(update={"prompts": "another"}), judging)
    assert may_gate("a model", WANTED, judging) == ["the judge behind a model was calibrated with another prompt or another set"]


def test_the_simulator_may_not_gate_as_a_judge() -> None:
    """The simulator's rules know nothing of faithfulness.

    That is on record, so that its opinion is not taken for a judgement.
    """
    assert may_gate("simulator", WANTED, JUDGING)


async def test_the_report_says_whether_it_may_and_why_not() -> None:
    report = markdown(await calibrate(SaysYes(), JUDGING, lambda _: None, TODAY), WANTED, "simulator")
    assert report.startswith("## Judge may not gate (simulator)")
    assert "Unfaithful answers that are caught: 0 of 24 (0% to 14%)" in report


def test_the_labelled_set_is_about_articles_that_exist_and_balanced() -> None:
    assert len(PAIRS) >= 24
    assert all(article(pair.article) and pair.good != pair.bad for pair in PAIRS)
    assert len({pair.how for pair in PAIRS}) >= 5


@pytest.mark.parametrize(
    "content", ["", "- {id: a}", "- id: a\n  article: none-such\n  question: q\n  good: g\n  bad: b\n  how: h\n"]
)
def test_a_labelled_set_out_of_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "labelled.yaml").write_text(content)
    with pytest.raises(InvalidSuite):
        load_labelled(Judging(JUDGING.prompts, tmp_path, article))


def test_a_judges_thresholds_and_a_pair_are_whole() -> None:
    with pytest.raises(ValueError, match="kappa"):
        JudgeThresholds(kappa=0, rates=0.5, steady=0.5, reason="long enough a reason")
    with pytest.raises(ValueError, match="bad"):
        Labelled.model_validate({"id": "a", "article": "b", "question": "c", "good": "d", "how": "e"})
