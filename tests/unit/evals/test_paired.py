"""Statistics of the gate: real losses count as worse, noise seldom does (E5)."""

import random
from itertools import pairwise

import pytest

from evals.paired import ALPHA, Pair, bootstrap, compare, holm, mcnemar, p_worse
from evals.rates import pass_all, pass_at

SIZES = (19, 16, 15, 10, 13, 21, 13, 17, 18, 34, 23, 25, 16)  # the suite's failure modes
LOST, WON, KEPT, FAILED = Pair(1, 0), Pair(0, 1), Pair(1, 1), Pair(0, 0)


@pytest.mark.parametrize(
    ("losses", "wins", "p"),
    [(0, 0, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (0, 5, 1.0), (5, 5, 0.623046875), (8, 2, 0.0546875)],
)
def test_mcnemar_is_exact(losses: int, wins: int, p: float) -> None:
    """Values by hand: the upper tail of a fair coin thrown once for each flip."""
    assert mcnemar(losses=losses, wins=wins) == pytest.approx(p)


def test_cases_that_did_not_flip_say_nothing() -> None:
    assert p_worse([KEPT, FAILED] * 50) == 1.0
    assert p_worse([LOST] * 5 + [KEPT] * 200) == pytest.approx(1 / 32)


def test_repeated_cases_are_compared_by_their_shares() -> None:
    """A case that passed three of three and now two of three lost a third; twenty such cases are no accident."""
    assert p_worse([Pair(1, 2 / 3)] * 20) < 0.001
    assert p_worse([Pair(1, 2 / 3), Pair(2 / 3, 1)] * 10) > 0.3
    assert p_worse([Pair(2 / 3, 1)] * 20) > 0.99


def test_holm_takes_the_most_surprising_first_and_stops() -> None:
    assert holm({"a": 0.001, "b": 0.02, "c": 0.04}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.001, "b": 0.03, "c": 0.04}, 0.05) == {"a"}
    assert holm({"a": 0.02, "b": 0.5, "c": 0.5}, 0.05) == frozenset()


def test_the_bootstraps_interval_holds_the_difference_and_narrows_with_more_cases() -> None:
    few, many = [bootstrap(([LOST] * 3 + [KEPT] * 7) * n) for n in (1, 20)]
    assert few[0] < many[0] < -0.3 < many[1] < few[1]
    assert bootstrap([KEPT] * 10) == (0.0, 0.0)


def test_a_failure_mode_that_collapses_is_named_and_the_others_are_not() -> None:
    overall, modes = compare({"wrong_tool": [LOST] * 12 + [KEPT] * 4, "pii_leak": [KEPT] * 13, "multilingual": [FAILED] * 9})
    assert (overall.verdict, modes["wrong_tool"].verdict) == ("worse", "worse")
    assert (modes["pii_leak"].verdict, modes["multilingual"].verdict) == ("not shown worse", "not shown worse")
    assert (modes["wrong_tool"].before, modes["wrong_tool"].after) == (1.0, 0.25)


def test_an_improvement_is_called_better() -> None:
    overall, modes = compare({"wrong_tool": [WON] * 14 + [KEPT] * 2})
    assert (overall.verdict, modes["wrong_tool"].verdict) == ("better", "better")


def test_noise_alone_is_called_worse_at_most_at_the_stated_rate() -> None:
    """E5: 1,500 pairs of runs of one product whose every case passes by chance, each case with a chance of its own."""
    chance, rounds, alarms = random.Random(1), 1500, 0  # noqa: S311 - simulation, not security
    for _ in range(rounds):
        odds = [[chance.betavariate(1.2, 0.8) for _ in range(size)] for size in SIZES]
        runs = [[[chance.random() < p for p in mode] for mode in odds] for _ in range(2)]
        pairs = {str(n): [Pair(a, b) for a, b in zip(*mode, strict=True)] for n, mode in enumerate(zip(*runs, strict=True))}
        overall, modes = compare(pairs, intervals=False)
        alarms += "worse" in {overall.verdict, *(delta.verdict for delta in modes.values())}
    assert alarms / rounds <= ALPHA
    assert alarms  # a test that never alarms would pass this one too


def test_a_real_loss_of_a_quarter_is_seen_almost_always() -> None:
    """The other error: a product fails a quarter of the cases that it passed. 240 cases are enough to show it."""
    chance, rounds, seen = random.Random(2), 200, 0  # noqa: S311 - simulation, not security
    for _ in range(rounds):
        pairs = {str(n): [Pair(1, chance.random() >= 0.25) for _ in range(size)] for n, size in enumerate(SIZES)}
        seen += compare(pairs, intervals=False)[0].verdict == "worse"
    assert seen == rounds


def test_pass_at_k_and_pass_hat_k_are_the_unbiased_estimates() -> None:
    """E5: of 2 passes in 4 tries, two tries both pass with 1/6 and both fail with 1/6."""
    trials = [(2, 4)]
    assert (pass_at(1, trials), pass_all(1, trials)) == (0.5, 0.5)
    assert pass_at(2, trials) == pytest.approx(5 / 6)
    assert pass_all(2, trials) == pytest.approx(1 / 6)
    assert (pass_at(2, [(4, 4), (0, 4)]), pass_all(2, [(4, 4), (0, 4)])) == (0.5, 0.5)
    assert all(later >= earlier for earlier, later in pairwise(pass_at(k, [(1, 5), (3, 5)]) for k in range(1, 6)))
