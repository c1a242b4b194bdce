"""The test for drift on simulated scores: false alarms, and delay of real ones (E9)."""

import random
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from evals.online.drift import FIRST, SHOWN, Drift

AT = datetime(2026, 11, 24, tzinfo=UTC)
STEADY = 2_000
CHANGE = 500


def found_after(failing: Callable[[int], float], longest: int, chance: random.Random) -> int | None:
    """Return the number of scores until drift is reported; None if it never is."""
    drift = Drift()
    for n in range(longest):
        drift = drift.after(AT, failed=chance.random() < failing(n))
        if drift.drifted_at:
            return n + 1
    return None


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_product_that_stays_as_it_is_raises_no_alarm(share: float) -> None:
    """At the failures that the objective allows, twice, and less than half of it."""
    chance = random.Random(11)  # noqa: S311 - a simulation
    assert [found_after(lambda _: share, STEADY, chance) for _ in range(40)] == [None] * 40


def test_one_that_fails_often_raises_few() -> None:
    chance = random.Random(12)  # noqa: S311 - a simulation
    alarms = [found_after(lambda _: 0.4, STEADY, chance) for _ in range(40)]
    assert sum(alarm is not None for alarm in alarms) <= 6


@pytest.mark.parametrize(("rise", "soon"), [(0.2, 150), (0.4, 45)])
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_rise_of_failures_is_found_soon(share: float, rise: float, soon: int) -> None:
    chance = random.Random(13)  # noqa: S311 - a simulation
    delays = [found_after(lambda n: share + rise * (n >= CHANGE), CHANGE + 1_000, chance) for _ in range(40)]
    assert all(delay is not None and delay > CHANGE for delay in delays)
    assert median(delay - CHANGE for delay in delays if delay) <= soon


def test_a_product_that_gets_better_raises_no_alarm() -> None:
    chance = random.Random(14)  # noqa: S311 - a simulation
    assert found_after(lambda n: 0.4 - 0.3 * (n >= CHANGE), STEADY, chance) is None


def test_there_is_no_verdict_before_enough_scores() -> None:
    assert found_after(lambda n: float(n >= 20), FIRST - 1, random.Random(1)) is None  # noqa: S311 - no chance in it
    assert found_after(lambda n: float(n >= 20), FIRST, random.Random(1)) == FIRST  # noqa: S311 - no chance in it


def test_a_finding_is_shown_for_a_day_and_the_test_begins_anew() -> None:
    drift = Drift(seen=FIRST, mean=0.1, sum=10.0, least=0.0).after(AT, failed=True)
    assert drift == Drift(drifted_at=AT)
    assert [drift.shows(AT + age) for age in (timedelta(0), SHOWN - timedelta(seconds=1), SHOWN)] == [True, True, False]
    assert Drift(**asdict(drift.after(AT, failed=False))).drifted_at == AT, "the next score does not take it back"
