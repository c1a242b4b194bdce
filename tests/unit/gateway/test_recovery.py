"""The order in which things are tried, on providers faked at our own port."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from app.budget.budget import Hold
from app.domain.calls import Call, Chunk, Deadline, Done, Identity, Reply, Tenant, TextDelta, Usage
from app.domain.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    InvalidRequest,
    OutputInvalid,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderRateLimited,
    ProviderRejected,
    ProvidersRateLimited,
    ProvidersUnavailable,
    Stopped,
)
from app.domain.messages import Message, OutputSchema, Text
from app.domain.money import MicroUSD
from app.domain.routes import Pin, Price, PriceTable, Route, Target
from app.gateway.passage import Passage
from app.gateway.providers.base import ModelRequest
from app.gateway.recovery.recovery import Recovery
from app.gateway.rendering import render
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing

A, B = Target("a", "model-a"), Target("b", "model-b")
PRICE = (Price(1_000_000, 1_000_000, 1_000_000, 1_000_000),)
TRACING = Tracing("tests", "0", None)

Step = ProviderError | str | float | Sequence[Chunk | ProviderError]


class Scripted:
    """A provider that plays a script: an error to raise, a text to answer, seconds to hang, or chunks to stream."""

    def __init__(self, name: str, *script: Step) -> None:
        self.name = name
        self.script = list(script)
        self.requests: list[ModelRequest] = []

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def complete(self, request: ModelRequest) -> Reply:
        step = self._next(request)
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        return reply(str(step), self.name, request.model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        step = self._next(request)
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
            return
        whole: list[Chunk | ProviderError] = []
        if isinstance(step, str):
            whole = [TextDelta(0, step), Done(reply(step, self.name, request.model))]
        for chunk in whole if isinstance(step, str) else step:
            if isinstance(chunk, ProviderError):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        """Nothing to close."""

    def _next(self, request: ModelRequest) -> Step:
        self.requests.append(request)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class FreeBudget:
    """Counts what is asked for; refuses above its limit."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit

    async def extend(self, hold: Hold, amount: MicroUSD) -> None:
        if hold.amount + amount > self.limit:
            now = datetime.now(UTC)
            raise BudgetExceeded(scope="user-day", limit=self.limit, spent=0, held=hold.amount, needed=amount, resets_at=now)
        hold.amount = MicroUSD(hold.amount + amount)


def reply(text: str, provider: str, model: str) -> Reply:
    return Reply(parts=(Text(text),), stop="end", usage=Usage(input=10, output=5), provider=provider, model=model)


def error(kind: type[ProviderError], **fields: object) -> ProviderError:
    usage = fields.pop("usage", None)
    made = kind("failed", provider="a", model="model-a", usage=usage if isinstance(usage, Usage) else None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def passage(*, seconds: float = 5.0, output: OutputSchema | None = None, budget: FreeBudget | None = None) -> Passage:
    tenant = Tenant("t", "t", MicroUSD(10**9), MicroUSD(10**9))
    call = Call(
        id="req_1", identity=Identity(tenant=tenant, key_id="k", user="u"), feature="chat", target="smart",
        deadline=Deadline.after(seconds), messages=(Message("user", (Text("hello"),)),), output=output,
    )  # fmt: skip
    prices = PriceTable("p", {(t.provider, t.model): PRICE for t in (A, B)})
    pin = Pin(release="r", route=Route(name="smart", targets=(A, B), max_output_tokens=100), prices=prices)
    with TRACING.call("chat", traceparent=None) as span:
        return Passage(
            call=call, call_id="call_1", pin=pin, request=render(call, pin, headers={}), span=span,
            budget=budget or FreeBudget(), metrics=Metrics(), at=datetime.now(UTC), started=time.perf_counter(),  # type: ignore[arg-type]
            hold=Hold("call_1", "t", (), 60),
        )  # fmt: skip


def recovery(*providers: Scripted, stopped: frozenset[str] = frozenset()) -> Recovery:
    return Recovery(providers={p.name: p for p in providers}, stopped=stopped.__contains__, metrics=Metrics())


def outcomes(of: Passage) -> list[tuple[str, str]]:
    return [(a.provider, a.outcome) for a in of.attempts]


async def test_a_retryable_error_is_retried_at_the_same_target() -> None:
    """R2."""
    a, b, way = Scripted("a", error(ProviderFailed), "fine"), Scripted("b", "backup"), passage()
    assert (await recovery(a, b).complete(way)).text == "fine"
    assert outcomes(way) == [("a", "provider_failed"), ("a", "ok")]
    assert b.calls == 0


async def test_after_its_attempts_the_next_target_answers() -> None:
    """R5."""
    a, b, way = Scripted("a", error(ProviderFailed)), Scripted("b", "backup"), passage()
    assert (await recovery(a, b).complete(way)).text == "backup"
    assert outcomes(way) == [("a", "provider_failed")] * 2 + [("b", "ok")]
    assert way.fallbacks == 1


async def test_an_error_that_is_not_retryable_goes_to_the_next_target_at_once() -> None:
    """R2: only errors typed retryable are retried."""
    a, b, way = Scripted("a", error(ProviderDenied)), Scripted("b", "backup"), passage()
    assert (await recovery(a, b).complete(way)).text == "backup"
    assert a.calls == 1


async def test_a_request_at_fault_is_neither_retried_nor_sent_elsewhere() -> None:
    a, b = Scripted("a", error(ProviderRejected)), Scripted("b", "backup")
    with pytest.raises(InvalidRequest):
        await recovery(a, b).complete(passage())
    assert (a.calls, b.calls) == (1, 0)


async def test_a_long_retry_after_is_not_waited_for() -> None:
    """R3: the next provider answers instead."""
    a, b, way = Scripted("a", error(ProviderRateLimited, retry_after=30.0)), Scripted("b", "backup"), passage()
    assert (await recovery(a, b).complete(way)).text == "backup"
    assert a.calls == 1


async def test_a_short_retry_after_is_honoured() -> None:
    """R3."""
    a, way = Scripted("a", error(ProviderRateLimited, retry_after=0.05), "fine"), passage()
    assert (await recovery(a, Scripted("b", "backup")).complete(way)).text == "fine"
    assert 50 <= way.waited_ms < 5000


async def test_when_all_providers_limit_us_the_caller_is_told_to_wait_as_long_as_the_shortest_asked() -> None:
    a, b = Scripted("a", error(ProviderRateLimited, retry_after=30.0)), Scripted("b", error(ProviderRateLimited, retry_after=9.0))
    with pytest.raises(ProvidersRateLimited) as refused:
        await recovery(a, b).complete(passage())
    assert refused.value.retry_after == 9.0


async def test_when_all_fail_the_caller_gets_one_error_that_says_wait() -> None:
    with pytest.raises(ProvidersUnavailable):
        await recovery(Scripted("a", error(ProviderFailed)), Scripted("b", error(ProviderDenied))).complete(passage())


async def test_one_deadline_holds_over_all_attempts() -> None:
    """R1."""
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await recovery(Scripted("a", 30.0), Scripted("b", 30.0)).complete(passage(seconds=0.2))
    assert time.monotonic() - started < 2


async def test_a_stopped_provider_is_passed_over_and_with_all_stopped_the_caller_is_told() -> None:
    """P5."""
    a, b = Scripted("a", "first"), Scripted("b", "backup")
    assert (await recovery(a, b, stopped=frozenset({"a"})).complete(passage())).text == "backup"
    with pytest.raises(Stopped):
        await recovery(a, b, stopped=frozenset({"a", "b"})).complete(passage())
    assert a.calls == 0


SCHEMA = OutputSchema("answer", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


async def test_invalid_output_is_repaired_by_one_call_that_names_what_is_wrong() -> None:
    """R4, C6: both calls are paid for, and the answer says that it was repaired."""
    a, b, way = Scripted("a", '{"n": "secret"}', '{"n": 1}'), Scripted("b", "unused"), passage(output=SCHEMA)
    assert (await recovery(a, b).complete(way)).text == '{"n": 1}'
    assert outcomes(way) == [("a", "output_invalid"), ("a", "ok")]
    assert way.degraded == ["repaired"]
    assert way.hold is not None
    assert way.hold.spent == 30
    assert b.calls == 0
    asked = a.requests[1].messages[-1].parts[0]
    assert isinstance(asked, Text)
    assert '$.n: type "integer"' in asked.text
    assert "secret" not in asked.text


async def test_a_repair_is_held_for_with_what_it_sends_more() -> None:
    """C6: its request is longer than the first."""
    way = passage(output=SCHEMA)
    assert way.hold is not None
    way.hold.amount = way.worst_first_attempt()
    await recovery(Scripted("a", '{"n": "x"}', '{"n": 1}'), Scripted("b", "unused")).complete(way)
    assert way.hold.amount > 15 + way.worst_first_attempt()


async def test_a_model_that_fails_its_repair_is_not_asked_a_third_time() -> None:
    """R4: the next model is."""
    a, b, way = Scripted("a", '{"n": "no"}'), Scripted("b", '{"n": 1}'), passage(output=SCHEMA)
    assert (await recovery(a, b).complete(way)).text == '{"n": 1}'
    assert outcomes(way) == [("a", "output_invalid"), ("a", "output_invalid"), ("b", "ok")]
    assert [attempt.cost for attempt in way.attempts] == [15, 15, 15]
    assert way.degraded == []


async def test_a_repair_that_the_provider_cannot_answer_goes_to_the_next_model() -> None:
    """R4, R5."""
    a = Scripted("a", '{"n": "no"}', error(ProviderDenied))
    b, way = Scripted("b", '{"n": 1}'), passage(output=SCHEMA)
    assert (await recovery(a, b).complete(way)).text == '{"n": 1}'
    assert outcomes(way) == [("a", "output_invalid"), ("a", "provider_denied"), ("b", "ok")]


async def test_with_no_valid_output_the_error_carries_the_violations_and_not_the_value() -> None:
    """R4: never a guess passed on as valid."""
    with pytest.raises(OutputInvalid) as refused:
        await recovery(Scripted("a", '{"n": "secret"}'), Scripted("b", "not json")).complete(passage(output=SCHEMA))
    assert refused.value.violations == ('$.n: type "integer"',)


async def test_a_paid_attempt_leaves_no_room_for_another_that_the_budget_cannot_cover() -> None:
    """C6: the second attempt asks for money first."""
    way = passage(output=SCHEMA, budget=FreeBudget(limit=300))
    b = Scripted("b", '{"n": 1}')
    assert way.worst_first_attempt() > 150
    with pytest.raises(BudgetExceeded):
        await recovery(Scripted("a", error(ProviderFailed, usage=Usage(input=200))), b).complete(way)


async def collect(chunks: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    async with aclosing(chunks):
        return [chunk async for chunk in chunks]


async def test_a_stream_falls_back_until_its_first_chunk() -> None:
    """R6."""
    way = passage()
    chunks = await recovery(Scripted("a", error(ProviderGarbled)), Scripted("b", "backup")).open(way)
    seen = await collect(chunks)
    assert seen[0] == TextDelta(0, "backup")
    assert isinstance(seen[-1], Done)
    assert outcomes(way)[-1] == ("b", "ok")


async def test_a_stream_that_breaks_after_its_first_chunk_ends_in_an_error_and_is_paid_for() -> None:
    """R6: never a clean close; money settles either way."""
    broken: list[Chunk | ProviderError] = [TextDelta(0, "half"), error(ProviderGarbled, usage=Usage(input=10, output=2))]
    way, b = passage(), Scripted("b", "backup")
    chunks = await recovery(Scripted("a", broken), b).open(way)
    assert await anext(chunks) == TextDelta(0, "half")
    with pytest.raises(ProvidersUnavailable):
        await anext(chunks)
    assert b.calls == 0
    assert outcomes(way) == [("a", "provider_garbled")]
    assert way.cost == 12


async def test_a_stream_that_the_client_leaves_is_billed_for_what_was_received() -> None:
    """R7."""
    way = passage()
    chunks = await recovery(Scripted("a", [TextDelta(0, "half"), TextDelta(0, "more")]), Scripted("b", "x")).open(way)
    assert await anext(chunks) == TextDelta(0, "half")
    await chunks.aclose()
    assert outcomes(way) == [("a", "cancelled")]
    assert way.attempts[0].usage == Usage(input=way.input_tokens, output=len("half"), estimated=True)


async def test_an_empty_stream_is_a_failure() -> None:
    way = passage()
    chunks = await recovery(Scripted("a", []), Scripted("b", "backup")).open(way)
    assert isinstance((await collect(chunks))[-1], Done)
    assert ("a", "provider_garbled") in outcomes(way)
