"""A hanging provider: the callers' answers and costs, and when it rests (R5a)."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from scripted import A, B, FreeBudget, Scripted, call_state, error, outcomes, recovery, reply

from app.domain.calls import Chunk, TextDelta
from app.domain.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    ProviderError,
    ProviderFailed,
    ProvidersUnavailable,
    ProviderTimeout,
)
from app.domain.messages import OutputSchema, Sampling
from app.gateway.call_record import record_of
from app.gateway.call_state import CallState
from app.gateway.providers.base import ModelRequest
from app.gateway.recovery import patience
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.patience import COLD, ENOUGH, REMEMBERED, Patience
from app.gateway.recovery.policy import BreakerPolicy
from app.gateway.recovery.recovery import Recovery
from app.telemetry.metrics import Metrics

HANGS = 3600.0
LEAST = 0.3  # seconds, for a second of real life
WORST = 137  # micro-dollars of one attempt of `state`: 37 tokens in, 100 out
MODES = ["whole", "stream"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LEAST", LEAST)


async def both_run(state: CallState) -> None:
    while len(state.spending.running) < 2:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.01)


def a_call(mode: str, *, seconds: float = 100.0) -> CallState:
    state = call_state(seconds=seconds)
    return replace(state, call=replace(state.call, stream=mode == "stream"))


async def answer(room: Recovery, state: CallState) -> str:
    if not state.call.stream:
        return (await room.complete(state)).text
    async with contextlib.aclosing(await room.open(state)) as chunks:
        return "".join([c.text async for c in chunks if isinstance(c, TextDelta)])


def well_known(room: Recovery, seconds: float = 0.01) -> None:
    """Let the first target have answered often enough to know how long it takes."""
    for stream in (False, True):
        for _ in range(ENOUGH):
            room.patience.note(A, seconds, stream=stream)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seconds", [1.5, 3.0])
async def test_a_target_that_hangs_leaves_time_for_the_next(mode: str, seconds: float) -> None:
    room, state = recovery(Scripted("a", HANGS), Scripted("b", "backup")), a_call(mode, seconds=seconds)
    assert await answer(room, state) == "backup"
    assert outcomes(state) == [("a", "provider_timeout"), ("b", "ok")]
    assert state.receipt().provider == "b"


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_deadline_a_caller_waits_for_a_head_start_not_for_the_timeout(mode: str) -> None:
    room, state = recovery(Scripted("a", HANGS), Scripted("b", "backup")), a_call(mode)
    well_known(room)
    began = time.monotonic()
    assert await answer(room, state) == "backup"
    assert LEAST <= time.monotonic() - began < state.request.timeouts.first_token


@pytest.mark.parametrize("mode", MODES)
async def test_an_overtaken_attempt_is_counted_at_its_worst_and_named_a_timeout(mode: str) -> None:
    """C6, ADR 0016."""
    room = recovery(Scripted("a", HANGS), Scripted("b", "backup"), metrics=Metrics())
    state = a_call(mode, seconds=2.0)
    await answer(room, state)
    first, second = state.spending.attempts
    assert (first.usage.output, first.usage.estimated, first.cost) == (100, True, WORST)
    assert 0 < state.spending.known_cost < state.spending.cost
    assert state.spending.known_cost == state.spending.cost - WORST, "an estimate is no cost of the call"
    assert state.spending.hold is not None
    assert state.spending.hold.spent == state.spending.cost == first.cost + second.cost
    assert [a.number for a in state.spending.attempts] == [1, 2]
    assert room.metrics.registry.get_sample_value("octant_overtaken_total", {"provider": "a", "model": "model-a"}) == 1


async def test_two_attempts_at_once_are_held_for_together() -> None:
    """C1: neither may spend what the other was held for."""
    state = call_state(seconds=2.0)
    room = recovery(Scripted("a", HANGS), Scripted("b", "backup"))
    await room.complete(state)
    assert state.spending.hold is not None
    assert state.spending.hold.amount >= 2 * WORST


async def test_where_the_budget_does_not_cover_a_second_attempt_the_first_goes_on() -> None:
    room, state = recovery(Scripted("a", 1.4), Scripted("b", "backup")), call_state(seconds=2.0, budget=FreeBudget(WORST))
    assert (await room.complete(state)).text == "1.4"
    assert outcomes(state) == [("a", "ok")]
    poor = call_state(seconds=2.0, budget=FreeBudget(WORST))
    with pytest.raises((BudgetExceeded, DeadlineExceeded)):
        await recovery(Scripted("a", HANGS), Scripted("b", "backup")).complete(poor)


async def test_a_slow_target_that_answers_after_all_wins_over_a_slower_one() -> None:
    """Silence is not failure: nothing is cut off before another has answered."""
    room, state = recovery(Scripted("a", 1.4), Scripted("b", HANGS)), call_state(seconds=2.0)
    assert (await room.complete(state)).text == "1.4"
    assert outcomes(state) == [("b", "cancelled"), ("a", "ok")]
    assert (state.receipt().provider, record_of(state).provider) == ("a", "a")
    assert room.circuits.state(A) == room.circuits.state(B) == "closed"


@pytest.mark.parametrize("mode", MODES)
async def test_with_all_hanging_the_error_comes_within_the_deadline(mode: str) -> None:
    room, state = recovery(Scripted("a", HANGS), Scripted("b", HANGS)), a_call(mode, seconds=3.0)
    with pytest.raises(DeadlineExceeded):
        await answer(room, state)
    assert state.call.deadline.remaining() > 0
    assert not state.spending.running


async def test_the_loser_of_a_stream_is_closed() -> None:
    closed = asyncio.Event()

    class Late(Scripted):
        async def stream(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            try:
                await asyncio.sleep(HANGS)
                yield TextDelta(0, "never")
            finally:
                closed.set()

    room, state = recovery(Late("a", "x"), Scripted("b", "backup")), a_call("stream", seconds=2.0)
    assert await answer(room, state) == "backup"
    assert closed.is_set()


async def test_a_caller_that_leaves_leaves_nothing_running() -> None:
    room, state = recovery(Scripted("a", HANGS), Scripted("b", HANGS)), call_state(seconds=2.0)
    task = asyncio.create_task(room.complete(state))
    await both_run(state)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not state.spending.running
    assert {a.outcome for a in state.spending.attempts} == {"cancelled"}
    assert state.spending.hold is not None
    assert state.spending.hold.spent == 2 * WORST


@pytest.mark.parametrize("mode", MODES)
async def test_calls_that_wait_are_sent_on_as_soon_as_others_have_found_out(mode: str) -> None:
    """When the circuit opens, no call waits for the end of its own head start."""
    room = recovery(Scripted("a", HANGS), Scripted("b", "backup"), breaker=BreakerPolicy(failures=2, rest=60))
    waiting = [asyncio.create_task(answer(room, a_call(mode))) for _ in range(5)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    for _ in range(2):
        room.circuits.silent(A, 2.0, usual=None)
    assert await asyncio.gather(*waiting) == ["backup"] * 5
    assert time.monotonic() - began < COLD


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seconds", [2.0, 100.0])
async def test_a_hanging_target_soon_rests_whatever_the_callers_deadline(mode: str, seconds: float) -> None:
    a = Scripted("a", HANGS)
    room = recovery(a, Scripted("b", "backup"), breaker=BreakerPolicy(failures=3, rest=60))
    well_known(room)
    await asyncio.gather(*(answer(room, a_call(mode, seconds=seconds)) for _ in range(3)))
    assert room.circuits.state(A) == "open"
    calls = a.calls
    assert await answer(room, a_call(mode, seconds=seconds)) == "backup"
    assert a.calls == calls


async def test_callers_that_leave_before_any_timeout_find_out_that_a_provider_hangs() -> None:
    room = recovery(Scripted("a", HANGS), Scripted("b", HANGS), breaker=BreakerPolicy(failures=2, rest=60))
    well_known(room, 0.1)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await room.complete(call_state())
    assert room.circuits.state(A) == "open"


async def test_callers_that_leave_at_once_find_out_nothing() -> None:
    room = recovery(Scripted("a", HANGS), Scripted("b", HANGS), breaker=BreakerPolicy(failures=2, rest=60))
    for _ in range(5):
        with pytest.raises((TimeoutError, DeadlineExceeded)):
            async with asyncio.timeout(0.1):
                await room.complete(call_state(seconds=0.1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await room.complete(call_state())
    assert room.circuits.state(A) == "closed"


@pytest.mark.parametrize("mode", MODES)
async def test_a_probe_of_a_target_that_still_hangs_costs_its_caller_a_head_start(mode: str) -> None:
    room = recovery(Scripted("a", HANGS), Scripted("b", "backup"), breaker=BreakerPolicy(failures=1, rest=0.05))
    well_known(room)
    room.circuits.failed(A, "provider_timeout")
    await asyncio.sleep(0.1)
    assert room.circuits.state(A) == "half_open"
    state = a_call(mode)
    assert await answer(room, state) == "backup"
    assert outcomes(state)[0] == ("a", "provider_timeout")
    assert room.circuits.known[A].trips == 2


async def test_a_stream_that_hangs_in_the_middle_counts_against_its_target_and_not_for_it() -> None:
    """A first token is no success yet: else every second failure would be outweighed by itself."""
    script: Sequence[Chunk | ProviderError] = [TextDelta(0, "so far"), error(ProviderTimeout)]
    room = recovery(Scripted("a", script), Scripted("b", "backup"), breaker=BreakerPolicy(failures=3, ratio=0.6, rest=60))
    for _ in range(3):
        with pytest.raises(ProvidersUnavailable):
            await answer(room, a_call("stream"))
    assert room.circuits.state(A) == "open"


async def test_a_probe_stream_closes_the_circuit_or_gives_the_probe_back_if_it_is_left() -> None:
    room = recovery(Scripted("a", "well again"), Scripted("b", "backup"), breaker=BreakerPolicy(failures=1, rest=0.01))
    room.circuits.failed(A, "provider_timeout")
    await asyncio.sleep(0.05)
    chunks = await room.open(a_call("stream"))
    assert isinstance(await anext(chunks), TextDelta)
    assert room.circuits.state(A) == "half_open"
    await chunks.aclose()
    assert await room.circuits.admit(A, 10)
    room.circuits.abandoned(A)
    assert await answer(room, a_call("stream")) == "well again"
    assert room.circuits.state(A) == "closed"


async def test_a_silent_target_is_tried_again_only_where_there_is_no_other() -> None:
    a, b = Scripted("a", error(ProviderTimeout, phase="first_token")), Scripted("b", "backup")
    await recovery(a, b).complete(call_state())
    assert (a.calls, b.calls) == (1, 1)
    alone = Scripted("a", error(ProviderTimeout, phase="first_token"), "at last")
    room = recovery(alone, b, stopped=frozenset({"b"}))
    assert (await room.complete(call_state())).text == "at last"
    assert alone.calls == 2


async def test_only_parameters_that_the_answering_target_ignored_are_reported() -> None:
    wants = Sampling(temperature=0.5)
    b = Scripted("b", HANGS)
    b.cannot = frozenset({"temperature"})
    room, state = recovery(Scripted("a", 1.4), b), call_state(seconds=2.0, sampling=wants, ignore=frozenset({"temperature"}))
    room.choose(state)
    await room.complete(state)
    assert (state.receipt().provider, state.degraded) == ("a", [])


async def test_a_count_of_tokens_does_not_wait_for_a_provider_that_hangs() -> None:
    given: list[float] = []

    class Counts(Scripted):
        async def count_tokens(self, request: ModelRequest) -> int | None:
            given.append(request.timeouts.total)
            raise error(ProviderTimeout)

    state = call_state()
    room = recovery(Counts("a", "x"), Scripted("b", "x"))
    assert await room.count_tokens(state.request, state.pin.route, state.call.deadline) is None
    assert given == [3.0]


async def test_a_failing_second_target_does_not_end_the_first_ones_attempt() -> None:
    room, state = recovery(Scripted("a", 1.4), Scripted("b", error(ProviderFailed))), call_state(seconds=2.0, attempts=1)
    assert (await room.complete(state)).text == "1.4"
    assert outcomes(state) == [("b", "provider_failed"), ("a", "ok")]


async def test_a_repair_is_no_silence() -> None:
    """The head start is counted from the attempt that runs, not from the first."""
    form = OutputSchema("number", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})

    class Slow(Scripted):
        async def complete(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            await asyncio.sleep(0.2)
            return await super().complete(request)

    a, b = Slow("a", '{"m": 1}', '{"n": 1}'), Scripted("b", '{"n": 2}')
    room = recovery(a, b)
    well_known(room)
    assert (await room.complete(call_state(output=form))).text == '{"n": 1}'
    assert (a.calls, b.calls) == (2, 0)


async def test_overhead_counts_no_waiting_twice_and_none_of_it_as_ours() -> None:
    room, state = recovery(Scripted("a", HANGS), Scripted("b", 0.3)), call_state(seconds=2.0)
    await room.complete(state)
    assert state.spending.waited_ms >= 700
    assert state.spending.waited_ms <= (time.perf_counter() - state.started) * 1000


async def test_a_waiting_call_learns_once_of_a_circuit_that_another_worker_opened() -> None:
    circuits = Circuits(BreakerPolicy())
    with circuits.opening(A) as opened:
        circuits.open_until(A, circuits.clock() + 5, 1, 0.0)
        assert opened.done()
    with circuits.opening(A) as opened:  # a probe's own wait is not ended by hearing the same again
        circuits.open_until(A, circuits.clock() + 5, 1, 0.0)
        assert not opened.done()


def test_in_a_row_timeouts_open_a_circuit_however_few_calls_there_are() -> None:
    now = [1000.0]
    circuits = Circuits(BreakerPolicy(failures=3, window=10.0), clock=lambda: now[0])
    for _ in range(3):
        now[0] += 60.0
        circuits.failed(A, "provider_timeout", silent=True)
    assert circuits.state(A) == "open"
    for _ in range(5):
        circuits.failed(B, "provider_timeout", silent=True)
        circuits.succeeded(B)
        now[0] += 60.0
    assert circuits.state(B) == "closed"


def test_a_head_start_is_twice_what_nearly_all_answers_take() -> None:
    known = Patience()
    assert known.head_start(A, stream=True, first_token=15.0) == COLD
    assert known.head_start(A, stream=True, first_token=3.0) == 3.0
    for number in range(REMEMBERED):
        known.note(A, 30.0 if number % 50 == 0 else 2.0, stream=False)
    assert known.head_start(A, stream=False, first_token=15.0) == 4.0
    assert known.head_start(A, stream=True, first_token=15.0) == COLD
    for _ in range(REMEMBERED):
        known.note(A, 0.1, stream=False)
    assert known.head_start(A, stream=False, first_token=15.0) == LEAST


async def test_both_answering_at_the_same_moment_the_routes_first_wins_and_both_are_paid() -> None:
    gate = asyncio.Event()

    class Gated(Scripted):
        async def complete(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            self.requests.append(request)
            await gate.wait()
            return reply("here", self.name, request.model)

    state = call_state(seconds=2.0)
    task = asyncio.create_task(recovery(Gated("a", "x"), Gated("b", "x")).complete(state))
    await both_run(state)
    gate.set()
    assert (await task).provider == "a"
    assert sorted(outcomes(state)) == [("a", "ok"), ("b", "ok")]
    assert state.spending.hold is not None
    assert state.spending.hold.spent == state.spending.cost == 30
    assert record_of(state).provider == "a"
