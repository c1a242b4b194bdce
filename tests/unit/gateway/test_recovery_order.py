"""Invariants of recovery under every script of providers that hypothesis generates."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, Step, call_state, error, recovery

from app.domain.calls import Usage
from app.domain.errors import (
    OctantError,
    ProviderDenied,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from app.domain.messages import OutputSchema
from app.gateway.call_state import CallState
from app.gateway.recovery.output import violations
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy

SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
RETRYABLE = {"provider_timeout", "provider_overloaded", "provider_failed", "provider_unreachable", "provider_garbled"}
AT_ONCE = RetryPolicy(first=0, most=0, budget_burst=100)
VALID, SLOPPY, INVALID = '{"n": 1}', "{n: 1,}", '{"n": "x"}'

steps = st.one_of(
    st.sampled_from([VALID, SLOPPY, INVALID]),
    st.sampled_from([ProviderTimeout, ProviderOverloaded, ProviderFailed, ProviderUnreachable, ProviderGarbled]).map(error),
    st.sampled_from([0.0, 60.0]).map(lambda seconds: error(ProviderRateLimited, retry_after=seconds)),
    st.integers(0, 50).map(lambda tokens: error(ProviderFailed, usage=Usage(input=tokens))),
    st.sampled_from([ProviderDenied, ProviderRejected]).map(error),
)
scripts = st.lists(steps, min_size=1, max_size=6)


def play(
    first: list[Step], second: list[Step], *, attempts: int, breaker: BreakerPolicy | None = None
) -> tuple[CallState, object]:
    """Run one call; return its state and its reply or error."""

    async def run() -> object:
        try:
            return await room.complete(state)
        except OctantError as refused:
            return refused

    a, b = Scripted("a", *first), Scripted("b", *second)
    room = recovery(a, b, retries=AT_ONCE, breaker=breaker)
    state = call_state(output=SCHEMA, attempts=attempts)
    return state, asyncio.run(run())


@given(scripts, scripts, st.integers(1, 4))
@settings(max_examples=400)
def test_the_order_of_attempts(first: list[Step], second: list[Step], attempts: int) -> None:
    """R2, R4, R5, R8."""
    state, came = play(first, second, attempts=attempts)
    tried = [(a.provider, a.outcome) for a in state.spending.attempts]
    providers = [provider for provider, _ in tried]
    assert providers == sorted(providers), "never back to a target that was left"
    for provider in ("a", "b"):
        assert providers.count(provider) <= 2 * attempts, "at most one repair for each attempt"
    for (provider, outcome), (following, _) in pairwise(tried):
        assert outcome != "ok", "nothing is sent after a success"
        if following == provider:
            assert outcome in RETRYABLE | {"provider_rate_limited", "output_invalid"}, (
                "an attempt is repeated only where that may help"
            )
    answered = bool(tried) and tried[-1][1] == "ok"
    assert answered != isinstance(came, OctantError), "an answer or one typed error, never both, never neither"


@given(scripts, scripts, st.integers(1, 4))
@settings(max_examples=200)
def test_every_paid_reply_is_spent_and_no_invalid_one_is_passed_on(first: list[Step], second: list[Step], attempts: int) -> None:
    """C6, R4: the price is one micro-dollar a token, so cost and tokens are the same number."""
    state, came = play(first, second, attempts=attempts)
    assert state.spending.hold is not None
    assert state.spending.hold.spent == state.spending.cost == sum(a.usage.total for a in state.spending.attempts)
    assert state.spending.hold.amount >= state.spending.hold.spent
    if not isinstance(came, OctantError):
        assert violations(state.reply or came, SCHEMA) == ()  # type: ignore[arg-type]  # a Reply, as it is no error


@given(scripts, scripts)
@settings(max_examples=200)
def test_a_target_whose_circuit_opened_gets_no_further_attempt(first: list[Step], second: list[Step]) -> None:
    """R5: at the first failure here, so every failure of a target is its last attempt."""
    state, _ = play(first, second, attempts=4, breaker=BreakerPolicy(failures=1, rest=60))
    for before, after in pairwise(state.spending.attempts):
        if before.provider == after.provider:
            assert before.outcome == "output_invalid"
