"""Providers that play a script at our own port.

For tests of the order of attempts.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from app.budget.budget import Hold
from app.budget.scopes import scopes_of
from app.domain.calls import Call, Chunk, Deadline, Done, Identity, Reply, Tenant, TextDelta, Usage
from app.domain.errors import BudgetExceeded, ProviderError
from app.domain.messages import Message, OutputSchema, Sampling, Text, ToolSpec
from app.domain.money import MicroUSD
from app.domain.routes import Pin, Price, PriceTable, Route, Target
from app.gateway.call_state import CallState
from app.gateway.providers.base import ModelRequest
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.gateway.recovery.recovery import Recovery
from app.gateway.rendering import render
from app.gateway.spending import Spending
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing

A, B = Target("a", "model-a"), Target("b", "model-b")
PRICE = (Price(1_000_000, 1_000_000, 1_000_000, 1_000_000),)
TRACING = Tracing("tests", "0", None)
METRICS = Metrics()  # for all that count nothing themselves: a thousand of them were a quarter of the CPU of some tests

Step = ProviderError | str | float | Reply | Sequence[Chunk | ProviderError]


class Scripted:
    """A provider that plays a script.

    Each entry is an error to raise, a text to answer, seconds to hang, or chunks to stream.
    """

    def __init__(self, name: str, *script: Step) -> None:
        self.name = name
        self.script = list(script)
        self.requests: list[ModelRequest] = []
        self.cannot: frozenset[str] = frozenset()

    @property
    def calls(self) -> int:
        return len(self.requests)

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        return request.requested & self.cannot

    async def count_tokens(self, request: ModelRequest) -> int | None:
        return None

    async def complete(self, request: ModelRequest) -> Reply:
        step = self._next(request)
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        if isinstance(step, Reply):
            return step
        return reply(str(step), self.name, request.model)

    async def embed(self, request: ModelRequest) -> Reply:
        return await self.complete(request)

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
        for chunk in whole if isinstance(step, str | Reply) else step:
            if isinstance(chunk, ProviderError):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        """Nothing to close."""

    def _next(self, request: ModelRequest) -> Step:
        self.requests.append(request)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class FreeBudget:
    """Adds amounts to the hold; refuses above its limit."""

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


def call_state(
    *,
    seconds: float = 100.0,
    output: OutputSchema | None = None,
    budget: FreeBudget | None = None,
    tools: tuple[ToolSpec, ...] = (),
    last_resort: str | None = None,
    continue_streams: bool = False,
    attempts: int = 2,
    sampling: Sampling | None = None,
    ignore: frozenset[str] = frozenset(),
    called: Call | None = None,
) -> CallState:
    """A call's state on a route over `A` and `B`; ``called`` replaces the call itself."""
    tenant = Tenant("t", "t", MicroUSD(10**9), MicroUSD(10**9))
    call = called or Call(
        id="req_1", identity=Identity(tenant=tenant, key_id="k", user="u"), feature="chat", target="smart",
        deadline=Deadline.after(seconds), messages=(Message("user", (Text("hello"),)),), output=output,
        tools=tools, last_resort=last_resort, sampling=sampling or Sampling(),
    )  # fmt: skip
    prices = PriceTable("p", {(t.provider, t.model): PRICE for t in (A, B)})
    route = Route(
        name="smart",
        targets=(A, B),
        max_output_tokens=100,
        attempts_per_target=attempts,
        continue_streams=continue_streams,
        ignore=ignore,
    )
    pin = Pin(release="r", route=route, prices=prices)
    started = time.perf_counter()
    with TRACING.call("chat") as span:
        spending = Spending(
            call=call, prices=prices, span=span, metrics=METRICS, started=started, hold=a_hold(call),
            budget=budget or FreeBudget(),  # type: ignore[arg-type]
        )  # fmt: skip
        return CallState(
            call=call, call_id="call_1", pin=pin, request=render(call, pin), span=span,
            metrics=METRICS, at=datetime.now(UTC), started=started, spending=spending,
        )  # fmt: skip


def a_hold(call: Call) -> Hold:
    """An empty hold for a call, as `Budget.hold` makes it."""
    at = datetime.now(UTC)
    scopes = scopes_of(call.identity.tenant, call.identity.user, at, (None, None))
    return Hold(
        lease_id="call_1", identity=call.identity, feature=call.feature, at=at, scopes=scopes, day="2026-01-01", seconds=60
    )


def recovery(
    *providers: Scripted,
    stopped: frozenset[str] = frozenset(),
    retries: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
    metrics: Metrics = METRICS,
) -> Recovery:
    """The room on scripted providers; by default nothing ever rests. A test that reads ``metrics`` brings its own."""
    return Recovery(
        providers={p.name: p for p in providers},
        stopped=lambda target: target.provider in stopped,
        metrics=metrics,
        retries=retries or RetryPolicy(),
        circuits=Circuits(breaker or BreakerPolicy(failures=10**9)),
    )


def outcomes(of: CallState) -> list[tuple[str, str]]:
    return [(a.provider, a.outcome) for a in of.spending.attempts]
