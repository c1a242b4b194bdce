"""The pace of today's money, as the first page and `octant status` show it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.budget.standing import Everything
from app.console.health import burn
from app.console.ranges import Range

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOLLAR = 1_000_000


def money(spent: int, cap: int) -> Everything:
    return Everything(spent=spent, held=0, granted=0, cap=cap, resets_at=MIDNIGHT)


def test_the_pace_of_the_range_goes_on_until_the_day_resets() -> None:
    found = burn(money(5 * DOLLAR, 100 * DOLLAR), 3 * DOLLAR, Range(NOON - 2 * HOUR, NOON, "1h"))
    assert found is not None
    assert found.an_hour == 1.5 * DOLLAR
    assert found.by == (5 + 12 * 1.5) * DOLLAR
    assert found.reached is None


def test_a_pace_above_the_cap_says_when_it_is_reached() -> None:
    found = burn(money(5 * DOLLAR, 8 * DOLLAR), 3 * DOLLAR, Range(NOON - HOUR, NOON, "1h"))
    assert found is not None
    assert found.reached == NOON + HOUR


@pytest.mark.parametrize(
    ("spent", "cost", "preset"),
    [(5, 0, "1h"), (5, 3, "")],
    ids=["nothing was spent", "a range of the past has no pace"],
)
def test_there_is_no_pace(spent: int, cost: int, preset: str) -> None:
    assert burn(money(spent * DOLLAR, 8 * DOLLAR), cost * DOLLAR, Range(NOON - HOUR, NOON, preset)) is None


def test_a_cap_that_is_used_up_is_not_reached_again() -> None:
    found = burn(money(8 * DOLLAR, 8 * DOLLAR), 3 * DOLLAR, Range(NOON - HOUR, NOON, "1h"))
    assert found is not None
    assert found.reached is None
