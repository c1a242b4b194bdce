"""A cap below the price of one call is named when it is set."""

from dataclasses import replace

import pytest

from app.budget.one_call import one_call, too_small
from app.domain.routes import Degrade, Price, PriceTable, Route, Target

DEAR, CHEAP = Target("anthropic", "dear"), Target("openai", "cheap")
PRICES = PriceTable("p", {
    DEAR: (Price(input=3_000_000, output=15_000_000, cached_input=0, cache_write=3_000_000),),
    CHEAP: (Price(input=100_000, output=1_000_000, cached_input=0, cache_write=100_000),),
})  # fmt: skip
SMART = Route(name="smart", targets=(DEAR, CHEAP), max_output_tokens=2000)
FAST = Route(name="fast", targets=(CHEAP, DEAR), max_output_tokens=1000)
CALLS = one_call((SMART, FAST), PRICES, {})


def test_a_call_holds_its_whole_output_at_its_first_model() -> None:
    """The fallbacks that do not fit are left out before a call is refused; the first model is not."""
    assert CALLS == {"fast": 1_004, "smart": 30_096}


@pytest.mark.parametrize(
    ("degrade", "least"),
    [(Degrade(shorten_to=100), 1_596), (Degrade(cheaper=(CHEAP,)), 2_004), (Degrade(no_retries=True), 2_004)],
)
def test_a_call_that_is_degraded_first_is_counted_as_it_is_then(degrade: Degrade, least: int) -> None:
    assert one_call([replace(SMART, degrade=degrade)], PRICES, {}) == {"smart": least}


def test_a_prompts_calls_are_known_from_what_they_held() -> None:
    """Its articles and tools are more than the answer."""
    held = {"support/answer": 71_430}
    words = too_small({"user_day": 40_000}, (SMART, FAST), PRICES, held)  # type: ignore[dict-item] # a plain number
    assert "no answer of support/answer fits" in words
    assert "$0.001 (fast) to $0.0714 (support/answer)" in words
    words = too_small({"day": 20_000}, (SMART, FAST), PRICES, {**held, "support/ticket": 80_000})  # type: ignore[dict-item]
    assert "no answer of smart, support/answer or support/ticket fits" in words


@pytest.mark.parametrize(
    ("caps", "warning"),
    [
        ({"day": 100_000, "user_day": 30_096, "month": None}, ""),
        ({"day": 100_000, "user_day": 30_000}, "no answer of smart fits into the cap a day of each user, $0.03."),
        ({"request": 1_000, "day": 5_000}, "no answer fits into the cap of one call, $0.001."),
        ({}, ""),
    ],
)
def test_the_smallest_cap_is_warned_of_where_calls_do_not_fit(caps: dict[str, int | None], warning: str) -> None:
    words = too_small(caps, (SMART, FAST), PRICES, {})  # type: ignore[arg-type] # plain numbers
    assert words.startswith(f"Beware: {warning}" if warning else ""), words
    assert bool(words) == bool(warning)
    assert not warning or "(fast) to " in words


def test_without_a_route_nothing_is_said() -> None:
    assert too_small({"day": 1}, (), PRICES, {}) == ""  # type: ignore[dict-item]
