"""A call over its cap is degraded before it is refused (C4)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import A, B, call_state

from app.domain.messages import Message, Text, ToolResult, ToolUse
from app.domain.routes import Degrade, Price, PriceTable, Target
from app.gateway.call_state import CallState
from app.gateway.degradation import CHEAPER, NO_DEAR, TRUNCATED, degrade
from app.gateway.rendering import SHORTENED

CHEAP = Target("a", "model-cheap")


def a_call(steps: Degrade, *turns: Message) -> CallState:
    made = call_state()
    cheap = (Price(input=1, output=1, cached_input=1, cache_write=1),)
    prices = PriceTable("p", {**made.pin.prices.prices, (CHEAP.provider, CHEAP.model): cheap})
    made.pin = replace(made.pin, route=replace(made.pin.route, degrade=steps), prices=prices)
    made.spending.prices = prices
    if turns:
        made.change(replace(made.request, messages=turns))
    return made


def all_of(targets: Sequence[Target]) -> tuple[Target, ...]:
    return tuple(targets)


def turn(role: str, text: str) -> Message:
    return Message(role, (Text(text),))  # type: ignore[arg-type]


TALK = (
    turn("user", "first " * 50),
    Message("assistant", (ToolUse("t1", "look", "{}"),)),
    Message("user", (ToolResult("t1", (Text("found " * 50),)),)),
    turn("assistant", "there you are"),
    turn("user", "second"),
    turn("assistant", "yes?"),
    turn("user", "last"),
)


def test_a_route_without_steps_degrades_nothing() -> None:
    made = a_call(Degrade(), *TALK)
    before = made.request
    assert not degrade(made, made.worst_first_attempt() - 1, all_of)
    assert made.request is before
    assert made.degraded == []


def test_the_oldest_turns_go_first_and_a_tools_call_and_result_go_together() -> None:
    made = a_call(Degrade(truncate=True), *TALK)
    assert degrade(made, made.worst_first_attempt() - 1, all_of)
    assert made.request.messages == TALK[4:]
    assert made.degraded == [TRUNCATED]


def test_the_last_turn_and_the_system_prompt_stay_whatever_the_room() -> None:
    made = a_call(Degrade(truncate=True, no_retries=True), *TALK)
    made.change(replace(made.request, system=(Text("be kind"),)))
    assert not degrade(made, 0, all_of)
    assert made.request.messages == TALK
    only_last = replace(made.request, messages=TALK[-1:])
    made.change(only_last)
    room = made.worst_first_attempt()
    made.change(replace(made.request, messages=TALK))
    assert degrade(made, room, all_of)
    assert made.request == only_last


def test_a_prompts_own_message_is_no_turn() -> None:
    made = a_call(Degrade(truncate=True), *TALK)
    made.pin = replace(made.pin, prompt=object())  # type: ignore[arg-type]
    assert not degrade(made, made.worst_first_attempt() - 1, all_of)


def test_output_is_shortened_no_more_than_needed_and_not_below_what_the_route_says() -> None:
    made = a_call(Degrade(shorten_to=10))
    room = made.worst_first_attempt() - 1
    assert degrade(made, room, all_of)
    longest = made.request.sampling.max_output_tokens or 0
    assert 10 <= longest < 100
    made.change(replace(made.request, sampling=replace(made.request.sampling, max_output_tokens=longest + 1)))
    assert made.worst_first_attempt() > room
    assert not degrade(a_call(Degrade(shorten_to=99)), 1, all_of)


def test_cheaper_models_answer_if_they_can_do_what_the_request_needs() -> None:
    made = a_call(Degrade(cheaper=(CHEAP,)))
    assert degrade(made, 2, all_of)
    assert made.targets == (CHEAP,)
    assert made.degraded == [CHEAPER]
    assert not degrade(a_call(Degrade(cheaper=(CHEAP,))), 2, lambda _: ())


def test_the_last_step_asks_once_and_only_models_that_fit() -> None:
    made = a_call(Degrade(no_retries=True))
    dear = (Price(input=10**9, output=10**9, cached_input=1, cache_write=1),)
    made.spending.prices = PriceTable("p", {**made.pin.prices.prices, (A.provider, A.model): dear})
    assert degrade(made, made.worst_case(B), all_of)
    assert (made.targets, made.pin.route.attempts_per_target) == ((B,), 1)


def test_each_step_keeps_those_before_it() -> None:
    made = a_call(Degrade(truncate=True, shorten_to=10, cheaper=(CHEAP,), no_retries=True), *TALK)
    assert degrade(made, 1, all_of)
    assert made.degraded == [TRUNCATED, SHORTENED, CHEAPER]
    assert made.request.messages == TALK[-1:]
    assert made.request.sampling.max_output_tokens == 10


@given(
    room=st.integers(0, 100_000),
    steps=st.builds(
        Degrade,
        truncate=st.booleans(),
        shorten_to=st.none() | st.integers(1, 100),
        cheaper=st.sampled_from([(), (CHEAP,)]),
        no_retries=st.booleans(),
    ),
)
def test_what_fits_fits_and_what_does_not_is_left_as_it_was(room: int, steps: Degrade) -> None:
    made = a_call(steps, *TALK)
    before = (made.request, made.pin, made.targets)
    if degrade(made, room, all_of):
        assert made.worst_first_attempt() <= room
    else:
        assert (made.request, made.pin, made.targets) == before
        assert made.degraded == []


@pytest.mark.parametrize("least", [1, 50])
def test_a_call_that_thinks_keeps_its_length(least: int) -> None:
    made = a_call(Degrade(shorten_to=least))
    made.change(replace(made.request, requested=frozenset({"thinking"})))
    assert not degrade(made, made.worst_first_attempt() - 1, all_of)


@pytest.mark.parametrize("first", [CHEAP, A])
def test_a_fallback_that_does_not_fit_is_left_out_where_the_first_model_fits(first: Target) -> None:
    """Else a dear fallback, needed or not, refuses a call that can be paid. Another model than the first is no such step."""
    made = a_call(Degrade(), *TALK)
    made.targets = (first, B if first == CHEAP else CHEAP)
    room = made.worst_case(CHEAP)
    assert room < made.worst_case(A)
    assert degrade(made, room, all_of) == (first == CHEAP)
    assert made.targets == ((CHEAP,) if first == CHEAP else (A, CHEAP))
    assert made.degraded == ([NO_DEAR] if first == CHEAP else [])
