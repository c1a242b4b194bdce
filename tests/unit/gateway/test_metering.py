"""Usage of an attempt counts as reported if plausible, else at the bound (C2, C6)."""

from dataclasses import replace

import pytest
from scripted import A, B, Scripted, call_state, error, recovery

from app.domain.calls import Usage
from app.domain.errors import OctantError, ProviderTimeout
from app.domain.messages import Image, Message, Text
from app.domain.routes import Price, PriceTable
from app.gateway.metering import FASTEST, Bound, count

BOUND = Bound(input=1000, output=400)


def test_what_a_vendor_reports_is_counted() -> None:
    usage = Usage(input=10, cached_input=5, cache_write=2, output=300, reasoning=100)
    assert count(usage, BOUND, 1200).usage == usage


def test_usage_above_the_bound_counts_as_billed_and_absurd_usage_at_the_bound() -> None:
    """ADR 0015: our bound may be wrong, but a figure of another magnitude is no count."""
    assert count(Usage(input=1100, output=900), BOUND, 0).usage == Usage(input=1100, output=900)
    assert count(Usage(input=10**8, output=10**8), BOUND, 0).usage == Usage(input=1000, output=400, estimated=True)


def test_fewer_tokens_than_the_bytes_need_are_not_believed() -> None:
    assert count(Usage(input=10, output=2), BOUND, 1500).usage == Usage(input=10, output=400, estimated=True)


def test_a_long_limit_counts_only_what_the_fastest_model_can_have_made_by_then() -> None:
    """R7: a caller that stops a stream after a second does not pay for the whole limit of 100,000 tokens."""
    assert replace(BOUND, output=100_000).at(1.0, 50).output == 2 * FASTEST
    assert BOUND.at(1.0, 50) == BOUND


async def test_an_input_that_is_not_known_is_priced_at_the_dearest_way_to_read_it() -> None:
    state = call_state(attempts=1)
    tiers = (Price(1_000_000, 1_000_000, 100_000, 2_000_000),)  # writing to the cache costs twice the input
    state.spending.prices = PriceTable("p", {(t.provider, t.model): tiers for t in state.targets})
    with pytest.raises(OctantError):
        await recovery(Scripted("a", error(ProviderTimeout)), Scripted("b", error(ProviderTimeout))).complete(state)
    assert state.spending.attempts[0].cost == state.worst_case(A) == 2 * state.input_tokens + 100


async def test_an_input_that_may_be_cached_for_an_hour_is_held_and_counted_at_that_price() -> None:
    """C6."""
    state = call_state(attempts=1)
    tiers = (Price(1_000_000, 1_000_000, 100_000, 1_250_000),)
    state.spending.prices = PriceTable("p", {(t.provider, t.model): tiers for t in state.targets})
    state.change(replace(state.request, system=(Text("s", cache="1h"),)))
    with pytest.raises(OctantError):
        await recovery(Scripted("a", error(ProviderTimeout)), Scripted("b", error(ProviderTimeout))).complete(state)
    assert state.spending.attempts[0].cost == state.worst_case(A) == 2 * state.input_tokens + 100


async def test_an_image_is_held_and_counted_as_each_target_counts_it() -> None:
    """C1, C6: a target that counts more of an image than another holds more for it."""
    state = call_state(attempts=1)
    plain = Price(1_000_000, 1_000_000, 100_000, 1_000_000)
    prices = {(t.provider, t.model): (replace(plain, image_tokens=most),) for t, most in ((A, 5_000), (B, 40_000))}
    state.spending.prices = PriceTable("p", prices)
    image = Image(data="aGk=", media_type="image/png")
    state.change(replace(state.request, messages=(Message("user", (image, image)),)))
    text = state.input_tokens + state.most_output
    assert (state.worst_case(A), state.worst_case(B)) == (text + 10_000, text + 80_000)
    assert state.worst_first_attempt() == text + 80_000
    assert state.likely_tokens < 5_000, "the rate limits count likely tokens"
    with pytest.raises(OctantError):
        await recovery(Scripted("a", error(ProviderTimeout)), Scripted("b", error(ProviderTimeout))).complete(state)
    assert [attempt.cost for attempt in state.spending.attempts] == [text + 10_000, text + 80_000]
