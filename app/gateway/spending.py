"""The attempts of one call and their money: held before the start, spent at the end (C6)."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from app.budget import pricing
from app.budget.budget import Budget, Hold
from app.domain.calls import Attempt, Call, Reply
from app.domain.errors import OctantError, ProviderError, ProviderOutputInvalid, ProviderTimeout
from app.domain.money import ZERO, MicroUSD
from app.domain.quick import replace
from app.domain.records import CANCELLED
from app.domain.routes import PriceTable, Target
from app.gateway.attempt_in_progress import AttemptInProgress, Failure, ms_since
from app.gateway.metering import Bound, Counted
from app.gateway.tracing import describe_attempt
from app.telemetry.metrics import Metrics
from app.telemetry.spans import CallSpan


@dataclass(slots=True, kw_only=True)
class Spending:
    """See the module. ``waited_ms`` is time spent waiting for providers and between attempts.

    ``responses`` has an entry for each of ``attempts``. ``traceparent`` is that of the newest attempt's span.
    """

    call: Call
    prices: PriceTable
    span: CallSpan
    budget: Budget
    metrics: Metrics
    started: float
    hold: Hold | None = None
    attempts: list[Attempt] = field(default_factory=list)
    responses: list[Reply | str] = field(default_factory=list)
    running: dict[Target, AttemptInProgress] = field(default_factory=dict)
    waited_ms: float = 0.0
    traceparent: str = ""
    _running_since: float = 0.0
    _reserved: int = 0
    _extending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def worst_case(self, target: Target, bound: Bound) -> MicroUSD:
        """The most that one paid attempt of at most ``bound`` tokens can cost at ``target``."""
        tiers, bound = pricing.tiers_of(self.prices, target.provider, target.model), self.at(target, bound)
        return pricing.worst_case(bound.input, bound.output, tiers, hour_cache=bound.hour_cache)

    def at(self, target: Target, bound: Bound) -> Bound:
        """The bound with its images as ``target`` counts them."""
        if not bound.images:
            return bound
        each = pricing.image_tokens(target.model, pricing.tiers_of(self.prices, target.provider, target.model))
        return replace(bound, input=pricing.with_images(bound.input, bound.images, each), images=0)

    @property
    def cost(self) -> MicroUSD:
        """The cost of all attempts so far, including a whole reply on a connection that is still open."""
        ended = sum([a.cost for a in self.attempts], ZERO)
        if not self.running:
            return MicroUSD(ended)
        whole = (self._price(target, progress.counted) for target, progress in self.running.items() if progress.counted)
        return MicroUSD(ended + sum(whole, ZERO))

    @property
    def known_cost(self) -> MicroUSD:
        """The cost of the attempts with final figures. That of others is an estimate, often ten times what is billed."""
        return MicroUSD(sum([a.cost for a in self.attempts if not a.usage.estimated], ZERO))

    @property
    def tried(self) -> list[Target]:
        """The targets of all attempts, including one that still runs (a stream's)."""
        return [*(Target(a.provider, a.model) for a in self.attempts), *self.running]

    def all_waited_ms(self) -> float:
        """Milliseconds waited for providers and between attempts, up to now."""
        return self.waited_ms + (ms_since(self._running_since) if self.running else 0.0)

    async def attempt(self, target: Target, bound: Bound) -> AbstractContextManager[AttemptInProgress]:
        """Hold an attempt's worst case; the attempt is what is done within the result. Raises BudgetExceeded."""
        bound = self.at(target, bound)
        worst = self.worst_case(target, bound)
        await self._afford(worst)
        return self._attempted(target, bound, worst)

    @contextmanager
    def _attempted(self, target: Target, bound: Bound, worst: MicroUSD) -> Iterator[AttemptInProgress]:
        """Run one attempt, and spend what it cost, however it ends."""
        stream = self.call.stream
        progress = AttemptInProgress(time.perf_counter(), bound, worst, stream, task=asyncio.current_task())
        self._running_since = self._running_since if self.running else progress.started
        self.running[target] = progress
        failure: Failure | None = None
        ended = False
        operation: Literal["chat", "embeddings"] = "embeddings" if self.call.embed else "chat"
        with self.span.attempt(target.provider, target.model, stream=stream, operation=operation) as span:
            self.traceparent = span.traceparent
            try:
                yield progress
                ended = True
            except ProviderError as error:
                failure = error
                span.fail(error.code)
                raise
            except asyncio.CancelledError:
                if progress.overtaken:
                    silent = "Silent until another model had answered."
                    failure = ProviderTimeout(silent, provider=target.provider, model=target.model)
                    span.fail(failure.code)
                raise
            except OctantError as error:  # not the provider's doing: what it sent cannot be checked
                failure = error
                raise
            finally:
                progress.task = None  # a stream's task holds it as a part of its result: a cycle, which waits for the collector
                if self.running.get(target) is progress:  # else `close` has counted it
                    del self.running[target]
                    if not self.running:  # time that two attempts shared was waited once
                        self.waited_ms += ms_since(self._running_since)
                    self._reserved -= worst
                    outcome = failure.code if failure else "ok" if ended else CANCELLED
                    self._spend(target, progress, outcome, failure)
                    describe_attempt(span, self.attempts[-1], progress.reply, tenant=self.call.identity.tenant.id)

    def put_last(self, target: Target) -> None:
        """Move the attempt that gave the answer to the end, even if one that it overtook ended later."""
        if len(self.attempts) == 1:
            return
        ended = [at for at, a in enumerate(self.attempts) if Target(a.provider, a.model) == target and a.outcome == "ok"]
        if ended:
            self.responses.append(self.responses.pop(ended[-1]))
            self.attempts.append(self.attempts.pop(ended[-1]))
            self._number()

    def close(self) -> None:
        """Count attempts that still run at the call's end: later they could be neither spent nor recorded."""
        late = len(self.running)
        if not late:
            return
        self.waited_ms += ms_since(self._running_since)
        while self.running:
            target, progress = self.running.popitem()
            self._spend(target, progress, ProviderTimeout.code if progress.overtaken else CANCELLED, None)
        self.responses = self.responses[-late:] + self.responses[:-late]  # the attempt that gave the answer stays the last
        self.attempts = self.attempts[-late:] + self.attempts[:-late]
        self._number()

    def _number(self) -> None:
        self.attempts = [replace(attempt, number=number) for number, attempt in enumerate(self.attempts, start=1)]

    async def _afford(self, worst: MicroUSD) -> None:
        """Reserve an attempt's worst case; hold more where the other attempts leave too little."""
        if not self._extending.locked() and (self.hold is None or self._reserved + worst <= self.hold.room):
            self._reserved += worst
            return
        async with self._extending:
            lacking = self._reserved + worst - self.hold.room if self.hold else 0
            if self.hold and lacking > 0:
                await self.budget.extend(self.hold, MicroUSD(lacking))
            self._reserved += worst

    def _spend(self, target: Target, progress: AttemptInProgress, outcome: str, failure: Failure | None) -> None:
        counted = progress.count(failure)
        usage, cost = counted.usage, self._price(target, counted)
        if usage.total and cost > progress.worst:
            self.metrics.over_bound.inc(provider=target.provider, model=target.model)
        latency_ms = ms_since(progress.started)
        if self.hold:
            self.hold.spend(cost, usage.total)
        self.attempts.append(
            Attempt(
                number=len(self.attempts) + 1,
                provider=target.provider,
                model=target.model,
                outcome=outcome,
                started_ms=(progress.started - self.started) * 1000,
                latency_ms=latency_ms,
                ttft_ms=progress.ttft_ms,
                usage=usage,
                cost=cost,
                model_answered=progress.reply.model if progress.reply else None,
                error=failure.message if failure else None,
                provider_request_id=progress.reply.provider_request_id if progress.reply else None,
                provider_key=progress.key,
                violations=failure.violations if isinstance(failure, ProviderOutputInvalid) else (),
            )
        )
        self.responses.append(progress.response)
        self.metrics.attempt(self.call.feature, self.attempts[-1])

    def _price(self, target: Target, counted: Counted) -> MicroUSD:
        """The price of an attempt's tokens; unknown input at the dearest rate."""
        usage, tiers = counted.usage, pricing.tiers_of(self.prices, target.provider, target.model)
        if counted.input_known:
            return pricing.cost(usage, tiers)
        return pricing.worst_case(usage.input, usage.output, tiers, hour_cache=counted.hour_cache)
