"""The order of attempts, on providers faked at our own port."""

import time
from dataclasses import replace

import pytest
from scripted import A, B, FreeBudget, Scripted, Step, call_state, error, outcomes, recovery

from app.domain.calls import Reply, Usage
from app.domain.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    OutputInvalid,
    ProviderDenied,
    ProviderFailed,
    ProviderRateLimited,
    ProvidersRateLimited,
    ProvidersUnavailable,
    ProviderTimeout,
    Stopped,
    UnsupportedParameter,
)
from app.domain.messages import OutputSchema, Sampling, Text, ToolChoice, ToolResult, ToolSpec, ToolUse
from app.domain.records import steps_in
from app.gateway.call_record import record_of
from app.gateway.recovery.output import CUT_OFF
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.telemetry.metrics import Metrics


async def test_a_retryable_error_is_retried_at_the_same_target() -> None:
    """R2."""
    a, b, state = Scripted("a", error(ProviderFailed), "fine"), Scripted("b", "backup"), call_state()
    assert (await recovery(a, b).complete(state)).text == "fine"
    assert outcomes(state) == [("a", "provider_failed"), ("a", "ok")]
    assert b.calls == 0


async def test_after_its_attempts_the_next_target_answers() -> None:
    """R5."""
    a, b, state = Scripted("a", error(ProviderFailed)), Scripted("b", "backup"), call_state()
    assert (await recovery(a, b).complete(state)).text == "backup"
    assert outcomes(state) == [("a", "provider_failed")] * 2 + [("b", "ok")]
    assert state.fallbacks == 1


@pytest.mark.parametrize(
    ("first", "second", "rests", "stopped", "fallbacks"),
    [
        (1.4, 3600.0, False, False, 0),  # silent for its head start, and still the one that answers
        (1.4, error(ProviderFailed), False, False, 0),
        (3600.0, "backup", False, False, 1),  # overtaken
        (error(ProviderFailed), "backup", False, False, 1),
        ("fine", "backup", True, False, 1),
        ("fine", "backup", False, True, 1),
        ("fine", "backup", False, False, 0),
    ],
)
async def test_only_an_answer_of_another_model_than_the_first_is_a_fallback(
    first: Step, second: Step, rests: bool, stopped: bool, fallbacks: int
) -> None:
    room = recovery(Scripted("a", first), Scripted("b", second), stopped=frozenset({"a"} if stopped else ()))
    if rests:
        room.circuits.open_until(A, room.circuits.clock() + 60, 1, 0.0)
    state = call_state(seconds=2.0 if isinstance(first, float) else 30.0)  # the head start is a part of it
    await room.complete(state)
    assert state.receipt().provider == ("b" if fallbacks else "a")
    assert (state.fallbacks, state.receipt().fallbacks, record_of(state).fallbacks) == (fallbacks,) * 3


async def test_a_record_says_why_a_target_was_passed_over() -> None:
    now = 1000.0
    room = recovery(Scripted("a", "fine"), Scripted("b", "backup"))
    room.circuits.clock = lambda: now
    room.circuits.open_until(A, now + 60, 1, 0.0)
    now += 30.0
    room.circuits.open_until(A, now + 60, 2, 0.0)  # again, twice as long: it is open since the first
    state = call_state()
    await room.complete(state)
    [step] = steps_in(record_of(state).steps)
    assert (step.kind, step.name, step.takes_ms) == ("circuit", "a model-a", 30_000)
    state = call_state()
    await recovery(Scripted("a", "fine"), Scripted("b", "backup"), stopped=frozenset({"a"})).complete(state)
    assert [(step.kind, step.name) for step in steps_in(record_of(state).steps)] == [("stopped", "a model-a")]
    state = call_state()
    await recovery(Scripted("a", "fine"), Scripted("b", "backup")).complete(state)
    assert record_of(state).steps is None


async def test_a_call_without_an_answer_counts_its_moves_as_fallbacks() -> None:
    """Its error names the last model: without the move, the header of the fallbacks would contradict it."""
    state = call_state()
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", error(ProviderFailed)), Scripted("b", error(ProviderFailed))).complete(state)
    assert (record_of(state).fallbacks, state.receipt().fallbacks, state.receipt().provider) == (1, 1, "b")
    state = call_state()
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", error(ProviderFailed)), Scripted("b"), stopped=frozenset({"b"})).complete(state)
    assert state.receipt().fallbacks == 0


async def test_an_error_that_is_not_retryable_goes_to_the_next_target_at_once() -> None:
    """R2: only errors typed retryable are retried."""
    a, b, state = Scripted("a", error(ProviderDenied)), Scripted("b", "backup"), call_state()
    assert (await recovery(a, b).complete(state)).text == "backup"
    assert a.calls == 1


async def test_a_long_retry_after_is_not_waited_for() -> None:
    """R3: the next provider answers instead."""
    a, b, state = Scripted("a", error(ProviderRateLimited, retry_after=30.0)), Scripted("b", "backup"), call_state()
    assert (await recovery(a, b).complete(state)).text == "backup"
    assert a.calls == 1


async def test_a_short_retry_after_is_honoured() -> None:
    """R3."""
    a, state = Scripted("a", error(ProviderRateLimited, retry_after=0.05), "fine"), call_state()
    assert (await recovery(a, Scripted("b", "backup")).complete(state)).text == "fine"
    assert 50 <= state.spending.waited_ms < 5000


async def test_rate_limited_by_all_providers_the_caller_gets_the_shortest_wait() -> None:
    a, b = Scripted("a", error(ProviderRateLimited, retry_after=30.0)), Scripted("b", error(ProviderRateLimited, retry_after=9.0))
    with pytest.raises(ProvidersRateLimited) as refused:
        await recovery(a, b).complete(call_state())
    assert refused.value.retry_after == 9.0


async def test_when_all_fail_the_caller_gets_one_error_that_says_wait() -> None:
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", error(ProviderFailed)), Scripted("b", error(ProviderDenied))).complete(call_state())


async def test_one_deadline_holds_over_all_attempts() -> None:
    """R1."""
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await recovery(Scripted("a", 30.0), Scripted("b", 30.0)).complete(call_state(seconds=0.2))
    assert time.monotonic() - started < 2


async def test_a_stopped_provider_is_passed_over_and_with_all_stopped_the_call_fails() -> None:
    """P5."""
    a, b = Scripted("a", "first"), Scripted("b", "backup")
    assert (await recovery(a, b, stopped=frozenset({"a"})).complete(call_state())).text == "backup"
    with pytest.raises(Stopped):
        await recovery(a, b, stopped=frozenset({"a", "b"})).complete(call_state())
    assert a.calls == 0


SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


async def test_invalid_output_is_repaired_by_one_call_that_names_what_is_wrong() -> None:
    """R4, C6: both calls are paid for, and the answer says that it was repaired."""
    a, b, state = Scripted("a", '{"n": "secret"}', '{"n": 1}'), Scripted("b", "unused"), call_state(output=SCHEMA)
    assert (await recovery(a, b).complete(state)).text == '{"n": 1}'
    assert outcomes(state) == [("a", "output_invalid"), ("a", "ok")]
    assert state.degraded == ["repaired"]
    assert state.spending.hold is not None
    assert state.spending.hold.spent == 30
    assert b.calls == 0
    repair = a.requests[1].messages[-1].parts[0]
    assert isinstance(repair, Text)
    assert '$.n: type "integer"' in repair.text
    assert "secret" not in repair.text


async def test_a_repair_is_held_for_with_what_it_sends_more() -> None:
    """C6: the repair's request is longer than the first."""
    state = call_state(output=SCHEMA)
    assert state.spending.hold is not None
    state.spending.hold.amount = state.worst_first_attempt()
    await recovery(Scripted("a", '{"n": "x"}', '{"n": 1}'), Scripted("b", "unused")).complete(state)
    assert state.spending.hold.amount > 15 + state.worst_first_attempt()


async def test_a_model_that_fails_its_repair_gets_no_third_attempt() -> None:
    """R4: the next model gets one."""
    a, b, state = Scripted("a", '{"n": "no"}'), Scripted("b", '{"n": 1}'), call_state(output=SCHEMA)
    assert (await recovery(a, b).complete(state)).text == '{"n": 1}'
    assert outcomes(state) == [("a", "output_invalid"), ("a", "output_invalid"), ("b", "ok")]
    assert [attempt.cost for attempt in state.spending.attempts] == [15, 15, 15]
    assert state.degraded == []


async def test_a_repair_that_the_provider_cannot_answer_goes_to_the_next_model() -> None:
    """R4, R5."""
    a = Scripted("a", '{"n": "no"}', error(ProviderDenied))
    b, state = Scripted("b", '{"n": 1}'), call_state(output=SCHEMA)
    assert (await recovery(a, b).complete(state)).text == '{"n": 1}'
    assert outcomes(state) == [("a", "output_invalid"), ("a", "provider_denied"), ("b", "ok")]


def cut(text: str) -> Reply:
    return Reply(parts=(Text(text),), stop="max_tokens", usage=Usage(), provider="a", model="model-a")


async def test_a_product_gets_no_document_that_was_cut_off_and_the_record_says_so() -> None:
    """It could not use it, and its caller would get a 502 that no record knows. The same model gets no second try."""
    a, b, state = Scripted("a", cut('{"n": ')), Scripted("b", '{"n": 1}'), call_state(output=SCHEMA)
    assert (await recovery(a, b).complete(state)).text == '{"n": 1}'
    assert outcomes(state) == [("a", "output_invalid"), ("b", "ok")]
    state = call_state(output=SCHEMA)
    with pytest.raises(OutputInvalid) as refused:
        await recovery(Scripted("a", cut('{"n": ')), Scripted("b", cut("{"))).complete(state)
    assert refused.value.violations == (CUT_OFF,)
    assert outcomes(state) == [("a", "output_invalid"), ("b", "output_invalid")]


async def test_a_document_that_is_whole_at_the_limit_is_one_and_a_vendor_s_client_gets_what_was_cut() -> None:
    state = call_state(output=SCHEMA)
    assert (await recovery(Scripted("a", cut('{"n": 1}')), Scripted("b", "unused")).complete(state)).text == '{"n": 1}'
    state = call_state(output=SCHEMA)
    of_a_client = call_state(called=replace(state.call, form="openai"))
    reply = await recovery(Scripted("a", cut('{"n": ')), Scripted("b", "unused")).complete(of_a_client)
    assert (reply.text, reply.stop) == ('{"n": ', "max_tokens")
    assert outcomes(of_a_client) == [("a", "ok")]


async def test_with_no_valid_output_the_error_carries_the_violations_and_not_the_value() -> None:
    """R4: never a guess passed on as valid."""
    with pytest.raises(OutputInvalid) as refused:
        await recovery(Scripted("a", '{"n": "secret"}'), Scripted("b", "not json")).complete(call_state(output=SCHEMA))
    assert refused.value.violations == ('$.n: type "integer"',)


async def test_a_paid_attempt_leaves_no_room_for_another_that_the_budget_cannot_cover() -> None:
    """C6: the second attempt asks for money first."""
    state = call_state(output=SCHEMA, budget=FreeBudget(limit=300))
    b = Scripted("b", '{"n": 1}')
    assert state.worst_first_attempt() > 150
    with pytest.raises(BudgetExceeded):
        await recovery(Scripted("a", error(ProviderFailed, usage=Usage(input=200))), b).complete(state)


TOOL = ToolSpec("order", "", {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}, strict=True)


def calling(arguments: str) -> Reply:
    return Reply(
        parts=(ToolUse("use_1", "order", arguments),), stop="tool_use", usage=Usage(10, 5), provider="a", model="model-a"
    )


async def test_wrong_tool_arguments_are_repaired_by_one_call_that_answers_the_tool_call() -> None:
    """R4, for tools: both vendors want each tool call answered in the next turn."""
    a, state = Scripted("a", calling('{"id": 5}'), calling('{"id": "NW-1"}')), call_state(tools=(TOOL,))
    assert (await recovery(a, Scripted("b", "unused")).complete(state)).tool_uses == (
        ToolUse("use_1", "order", '{"id": "NW-1"}'),
    )
    result = a.requests[1].messages[-1].parts[0]
    assert isinstance(result, ToolResult)
    assert (result.tool_use_id, result.is_error) == ("use_1", True)
    assert state.degraded == ["repaired"]


async def test_a_required_call_that_did_not_come_is_asked_for_once_and_then_elsewhere() -> None:
    """R4: some of Claude's models are only asked in words for a call that the request requires."""
    free = replace(TOOL, strict=False)
    called = call_state(tools=(free,)).call
    state = call_state(called=replace(called, tool_choice=ToolChoice("any")))
    a, b = Scripted("a", "Let me think.", "Still thinking."), Scripted("b", calling("{}"))
    assert (await recovery(a, b).complete(state)).tool_uses == (ToolUse("use_1", "order", "{}"),)
    assert (a.calls, b.calls) == (2, 1)
    assert [m.role for m in a.requests[1].messages] == ["user", "assistant", "user"]
    asked = a.requests[1].messages[-1].parts[0]
    assert isinstance(asked, Text)
    assert "Call the tool now" in asked.text


async def test_output_that_can_be_read_needs_no_second_attempt() -> None:
    """R4: the second call is not paid for."""
    a, state = Scripted("a", 'Sure: {"n": 1,}'), call_state(output=SCHEMA)
    assert (await recovery(a, Scripted("b", "unused")).complete(state)).text == '{"n": 1}'
    assert (outcomes(state), state.degraded) == ([("a", "ok")], ["parsed"])


async def test_a_feature_s_last_resort_answers_when_no_model_does_and_says_so() -> None:
    """R5."""
    state = call_state(last_resort="A colleague will answer.")
    answered = await recovery(Scripted("a", error(ProviderFailed)), Scripted("b", error(ProviderDenied))).complete(state)
    assert answered.text == "A colleague will answer."
    assert (state.degraded, state.outcome) == (["last_resort"], "last_resort")
    receipt = state.receipt()
    assert (receipt.provider, receipt.model, receipt.attempts, receipt.fallbacks) == ("", "last_resort", 3, 0)


async def test_a_circuit_that_opened_passes_its_target_over() -> None:
    """R5: after three failed calls the fourth sends it no request."""
    a, b = Scripted("a", error(ProviderTimeout)), Scripted("b", "backup")
    room = recovery(a, b, breaker=BreakerPolicy(failures=3, rest=60))
    for _ in range(4):
        await room.complete(call_state())
    assert (a.calls, b.calls) == (3, 4)


async def test_with_all_circuits_open_the_call_fails_at_once_with_a_time_to_retry() -> None:
    a, b = Scripted("a", error(ProviderTimeout)), Scripted("b", error(ProviderDenied))
    room = recovery(a, b, breaker=BreakerPolicy(failures=1, rest=30))
    with pytest.raises(ProvidersUnavailable):
        await room.complete(call_state())
    state = call_state()
    with pytest.raises(ProvidersUnavailable) as refused:
        await room.complete(state)
    assert (a.calls, b.calls, state.spending.attempts) == (1, 1, [])
    assert refused.value.retry_after == pytest.approx(30, abs=1)


async def test_open_circuits_whose_newest_failures_are_limits_say_that_we_are_limited() -> None:
    """They were open from an outage before; a caller must read what holds now."""
    now = 1000.0
    limited = error(ProviderRateLimited, retry_after=30.0)
    room = recovery(Scripted("a", error(ProviderFailed), limited), Scripted("b", error(ProviderFailed), limited),
                    breaker=BreakerPolicy(failures=1, rest=10))  # fmt: skip
    room.circuits.clock = lambda: now
    with pytest.raises(ProvidersUnavailable):
        await room.complete(call_state(attempts=1))
    with pytest.raises(ProvidersRateLimited) as refused:  # one more try at each, as no other target is left
        await room.complete(call_state(attempts=1))
    assert refused.value.retry_after == pytest.approx(10, abs=1), "when the first circuit is tried again"
    room.circuits.failed(B, ProviderFailed.code)
    assert not room.circuits.limited((A, B))
    assert not room.circuits.limited(())


async def test_a_probe_that_finds_no_money_lets_the_next_call_probe() -> None:
    """A probe that outlived its call would keep the provider resting without a request."""
    a, b = Scripted("a", error(ProviderFailed), "well again"), Scripted("b", "backup")
    room = recovery(a, b, breaker=BreakerPolicy(failures=1, rest=0.01))
    await room.complete(call_state(attempts=1))
    time.sleep(0.02)  # noqa: ASYNC251 - the rest must be over; nothing else runs
    poor = call_state(budget=FreeBudget(limit=0))
    with pytest.raises(BudgetExceeded):
        await room.complete(poor)
    assert (await room.complete(call_state())).text == "well again"


async def test_an_outage_is_not_multiplied_by_retries() -> None:
    """R2: with a budget of five retries, fifty calls cost 60 requests at most, not 100."""
    a, b = Scripted("a", error(ProviderFailed)), Scripted("b", "backup")
    room = recovery(a, b, retries=RetryPolicy(first=0, most=0, budget_burst=5, budget_ratio=0.1), metrics=Metrics())
    for _ in range(50):
        await room.complete(call_state())
    assert 55 <= a.calls <= 60
    counted = [
        room.metrics.registry.get_sample_value(f"octant_retries{word}_total", {"provider": "a"}) for word in ("", "_refused")
    ]
    assert counted == [a.calls - 50, 100 - a.calls]


async def test_a_caller_with_short_deadlines_opens_no_circuit_for_others() -> None:
    """Its deadlines are below the route's timeout: while others are answered, a missed one says nothing of the target."""
    room = recovery(Scripted("a", "fine", *[error(ProviderTimeout)] * 6, "fine"), Scripted("b", "backup"), breaker=SENSITIVE)
    await room.complete(call_state())
    for _ in range(6):
        await room.complete(call_state(seconds=5.0, attempts=1))
    assert room.circuits.state(A) == "closed"


async def test_short_deadlines_alone_still_open_the_circuit_of_a_hanging_provider() -> None:
    """If all calls time out, the target does hang; deadlines too short for any answer do not count."""
    room = recovery(Scripted("a", error(ProviderTimeout)), Scripted("b", "backup"), breaker=SENSITIVE)
    for _ in range(6):
        await room.complete(call_state(seconds=0.5, attempts=1))
    assert room.circuits.state(A) == "closed"
    for _ in range(2):
        await room.complete(call_state(seconds=5.0, attempts=1))
    assert room.circuits.state(A) == "open"


SENSITIVE = BreakerPolicy(failures=2, ratio=0.1, rest=60)


async def test_a_target_that_cannot_do_what_the_caller_asks_is_left_out_up_front() -> None:
    """G1: never dropped in silence, and no money is held for it."""
    a, b = Scripted("a", "first"), Scripted("b", "second")
    a.cannot = frozenset({"seed"})
    state = call_state(sampling=Sampling(seed=7))
    room = recovery(a, b)
    room.choose(state)
    assert (state.targets, state.degraded) == ((B,), ["narrowed"])
    assert (await room.complete(state)).text == "second"
    b.cannot = frozenset({"seed", "top_k"})
    with pytest.raises(UnsupportedParameter) as refused:
        room.choose(call_state(sampling=Sampling(seed=7, top_k=3)))
    assert refused.value.param == "seed"


async def test_a_parameter_that_a_route_ignores_is_dropped_and_reported() -> None:
    a, b = Scripted("a", "first"), Scripted("b", "second")
    a.cannot = frozenset({"temperature"})
    state = call_state(sampling=Sampling(temperature=0.1), ignore=frozenset({"temperature"}))
    room = recovery(a, b)
    room.choose(state)
    assert (await room.complete(state)).text == "first"
    assert state.degraded == ["ignored_temperature"]


def test_a_vendor_s_default_asks_for_nothing() -> None:
    assert call_state(sampling=Sampling(temperature=1.0, top_p=1.0, presence_penalty=0.0)).request.requested == frozenset()
    assert call_state(sampling=Sampling(temperature=0.0)).request.requested == {"temperature"}
