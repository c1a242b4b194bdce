"""One call's way through the gateway: what is known of it so far, what it spent, and what will be recorded.

Mutable, owned by the one task that serves the call.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from app.budget import pricing
from app.budget.budget import Budget, Hold
from app.domain.calls import Attempt, Call, Receipt, Reply, Usage
from app.domain.errors import OctantError, ProviderError, ProviderOutputInvalid, ProviderTimeout
from app.domain.messages import Message
from app.domain.money import ZERO, MicroUSD
from app.domain.records import CallRecord
from app.domain.routes import Pin, Target
from app.gateway import metering
from app.gateway.metering import Bound, Counted
from app.gateway.providers.base import ModelRequest
from app.gateway.rendering import within
from app.gateway.tracing import describe_attempt
from app.gateway.transcript import partial_text, reply_text, request_text
from app.telemetry.metrics import Metrics
from app.telemetry.spans import CallSpan

BYTES_PER_TOKEN = 4  # of English text; the difference to what was used flows back
ANSWER_SECONDS, ANSWER_SHARE = 0.25, 0.1  # of the deadline, the smaller: kept for the answer's own way to the caller
LAST_RESORT = "last_resort"  # outcome, model and word in octant-degraded of a static answer


@dataclass(slots=True)
class AttemptInProgress:
    """One request to one provider while it runs. ``received`` counts the bytes of output seen so far; ``most``: its bound.

    ``overtaken``: it was silent, and the next target has answered. ``key``: the fingerprint of our key at the provider.
    ``task`` runs the attempt until its answer, or its first token, is there.
    """

    started: float
    most: Bound
    stream: bool
    overtaken: bool = False
    key: str | None = None
    task: "asyncio.Task[Any] | None" = None
    ttft_ms: float | None = None
    received: int = 0
    reply: Reply | None = None
    counted: Counted | None = None
    pieces: list[str] = field(default_factory=list)

    def chunk(self, text: str) -> None:
        """Note that output arrived; the first time, how long it took."""
        if self.ttft_ms is None:
            self.ttft_ms = _ms_since(self.started)
        if text:
            self.received += len(text.encode(errors="replace"))
            self.pieces.append(text)

    def end(self, reply: Reply) -> Reply:
        """Take the whole reply, and return it with the usage that counts."""
        self.counted = metering.count(reply.usage, self.bound(), metering.received_bytes(reply))
        self.reply = replace(reply, usage=self.counted.usage)
        return self.reply

    def bound(self) -> Bound:
        """The most tokens that this attempt can count by now."""
        return self.most.at(time.perf_counter() - self.started, self.received) if self.stream else self.most


@dataclass(slots=True, kw_only=True)
class CallState:
    """See the module. Times are milliseconds since ``started`` (``perf_counter``)."""

    call: Call
    call_id: str
    pin: Pin
    request: ModelRequest
    span: CallSpan
    budget: Budget
    metrics: Metrics
    at: datetime
    started: float
    targets: tuple[Target, ...] = ()
    ignored: Mapping[Target, frozenset[str]] = field(default_factory=dict)
    hold: Hold | None = None
    reply: Reply | None = None
    outcome: str = "ok"
    error: str | None = None
    degraded: list[str] = field(default_factory=list)
    untold: set[str] = field(default_factory=set)
    attempts: list[Attempt] = field(default_factory=list)
    waited_ms: float = 0.0
    first_token_ms: float | None = None
    running: dict[Target, AttemptInProgress] = field(default_factory=dict)
    _came_back: list[Reply | str] = field(default_factory=list)
    _running_since: float = 0.0
    _reserved: int = 0
    _extending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _traceparent: str = ""
    _input_tokens: int | None = None

    def __post_init__(self) -> None:
        """All of the route's targets may answer, unless `Recovery.choose` says less."""
        self.targets = self.targets or self.pin.route.targets

    def leave(self, provider: str) -> bool:
        """End attempts at ``provider`` that have not answered. Whether the call must end: its stream comes from there."""
        there = [progress for target, progress in self.running.items() if target.provider == provider]
        for progress in there:
            if progress.task:
                progress.task.cancel()
        return any(progress.task is None or progress.task.done() for progress in there)

    @property
    def input_tokens(self) -> int:
        """The most input tokens this call's request can be counted as."""
        if self._input_tokens is None:
            r = self.request
            self._input_tokens = pricing.most_input_tokens(r.system, r.messages, r.tools, r.output)
        return self._input_tokens

    def worst_case(self, target: Target, further_tokens: int = 0) -> MicroUSD:
        """The most one paid attempt at ``target`` can cost; ``further_tokens`` is what it sends beyond the request."""
        tiers = pricing.tiers_of(self.pin.prices, target.provider, target.model)
        most_input = self.input_tokens + further_tokens
        return pricing.worst_case(most_input, self.request.sampling.max_output_tokens or 0, tiers)

    def worst_first_attempt(self) -> MicroUSD:
        """The most the first paid attempt can cost, whichever target answers it."""
        return MicroUSD(max(self.worst_case(target) for target in self.targets))

    def change(self, request: ModelRequest) -> None:
        """Ask for something else: less of it."""
        self.request, self._input_tokens = request, None

    @property
    def likely_tokens(self) -> int:
        """What rate limits count before the answer is there: a token for four bytes of input, and all the output allowed."""
        return self.input_tokens // BYTES_PER_TOKEN + (self.request.sampling.max_output_tokens or 0)

    def request_for(self, target: Target, further: tuple[Message, ...] = ()) -> ModelRequest:
        """The request as sent to ``target`` now: ``further`` turns after its own, timeouts cut to what the deadline leaves.

        Its parent is the attempt, which is what makes the request (W3C Trace Context, 3.2.2.4 parent-id).
        """
        timeouts = within(self.request.timeouts, self.remaining())
        messages = (*self.request.messages, *further)
        headers = {"traceparent": self._traceparent}
        return replace(self.request, model=target.model, messages=messages, timeouts=timeouts, headers=headers)

    def longest_attempt(self) -> float:
        """Seconds that one attempt can take now."""
        return min(self.request.timeouts.total, self.remaining())

    def remaining(self) -> float:
        """Seconds left for providers: an answer, or the error that there is none, has to reach the caller within its deadline."""
        deadline = self.call.deadline
        return max(0.0, deadline.remaining() - min(ANSWER_SECONDS, ANSWER_SHARE * deadline.total))

    def silent_for(self, target: Target) -> float:
        """Seconds since the attempt that runs at ``target`` began; 0 between two."""
        progress = self.running.get(target)
        return time.perf_counter() - progress.started if progress else 0.0

    def answered_by(self, target: Target) -> None:
        """List the attempt that gave the answer last, though one that it overtook has ended later; drop what others ignored."""
        words = {f"ignored_{name}" for name in self.ignored.get(target, ())}
        self.degraded = [word for word in self.degraded if not word.startswith("ignored_") or word in words]
        ended = [at for at, a in enumerate(self.attempts) if Target(a.provider, a.model) == target and a.outcome == "ok"]
        if ended:
            self._came_back.append(self._came_back.pop(ended[-1]))
            self.attempts.append(self.attempts.pop(ended[-1]))
            self.attempts = [replace(attempt, number=number) for number, attempt in enumerate(self.attempts, start=1)]

    @asynccontextmanager
    async def attempt(self, target: Target, further: tuple[Message, ...] = ()) -> AsyncGenerator[AttemptInProgress, None]:
        """Run one attempt: money is there before it starts, and whatever it used is spent when it ends, however it ends."""
        dropped = (f"ignored_{name}" for name in sorted(self.ignored.get(target, ())))
        self.degraded += [word for word in dropped if word not in self.degraded]
        more = pricing.most_input_tokens((), further, (), None) if further else 0
        worst = self.worst_case(target, more)
        await self._afford(worst)
        bound = Bound(self.input_tokens + more, self.request.sampling.max_output_tokens or 0)
        progress = AttemptInProgress(
            started=time.perf_counter(), most=bound, stream=self.call.stream, task=asyncio.current_task()
        )
        self._running_since = self._running_since if self.running else progress.started
        self.running[target] = progress
        failure: OctantError | ProviderError | None = None
        ended = False
        with self.span.attempt(target.provider, target.model, stream=self.call.stream) as span:
            self._traceparent = span.traceparent
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
                if self.running.get(target) is progress:  # else `close` has counted it
                    del self.running[target]
                    if not self.running:  # time that two attempts shared was waited once
                        self.waited_ms += _ms_since(self._running_since)
                    self._reserved -= worst
                    outcome = failure.code if failure else "ok" if ended else "cancelled"
                    self._spend(target, progress, outcome, failure)
                    describe_attempt(span, self.attempts[-1], progress.reply, tenant=self.call.identity.tenant.id)

    def close(self) -> None:
        """Count what still runs at the call's end: after settling nothing is spent, and what is recorded does not grow."""
        late = len(self.running)
        if not late:
            return
        self.waited_ms += _ms_since(self._running_since)
        while self.running:
            target, progress = self.running.popitem()
            self._spend(target, progress, ProviderTimeout.code if progress.overtaken else "cancelled", None)
        self._came_back = self._came_back[-late:] + self._came_back[:-late]  # the attempt that gave the answer stays the last
        self.attempts = self.attempts[-late:] + self.attempts[:-late]
        self.attempts = [replace(attempt, number=number) for number, attempt in enumerate(self.attempts, start=1)]

    async def _afford(self, worst: MicroUSD) -> None:
        """Reserve the worst case of an attempt; hold more where what others were paid for, or may yet cost, leaves too little."""
        async with self._extending:
            lacking = self._reserved + worst - self.hold.room if self.hold else 0
            if self.hold and lacking > 0:
                await self.budget.extend(self.hold, MicroUSD(lacking))
            self._reserved += worst

    @staticmethod
    def _count(progress: AttemptInProgress, failure: OctantError | ProviderError | None) -> Counted:
        """As reported; else the most it can have been, where the model may have worked; else nothing (ADR 0016)."""
        if progress.counted:
            return progress.counted
        refused = failure if isinstance(failure, ProviderError) else None
        reported = refused.usage if refused else None
        if reported or progress.received or refused is None or refused.perhaps_paid:
            return metering.count(reported or Usage(estimated=True), progress.bound(), progress.received)
        return metering.NOTHING

    def _spend(
        self, target: Target, progress: AttemptInProgress, outcome: str, failure: OctantError | ProviderError | None
    ) -> None:
        counted = self._count(progress, failure)
        usage, cost = counted.usage, self._price(target, counted)
        if usage.total and cost > self.worst_case(target, progress.most.input - self.input_tokens):
            self.metrics.over_bound.inc(provider=target.provider, model=target.model)
        latency_ms = _ms_since(progress.started)
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
        self._came_back.append(progress.reply or "".join(progress.pieces))
        self.metrics.attempt(self.call.feature, self.attempts[-1])

    @property
    def cost(self) -> MicroUSD:
        """What all attempts cost so far, one whose reply is whole and whose connection is still open included."""
        ended = sum((a.cost for a in self.attempts), ZERO)
        whole = (self._price(target, progress.counted) for target, progress in self.running.items() if progress.counted)
        return MicroUSD(ended + sum(whole, ZERO))

    def _price(self, target: Target, counted: Counted) -> MicroUSD:
        """The price of what an attempt counts; an input that is not known, at the dearest way to read one."""
        usage, tiers = counted.usage, pricing.tiers_of(self.pin.prices, target.provider, target.model)
        return pricing.cost(usage, tiers) if counted.input_known else pricing.worst_case(usage.input, usage.output, tiers)

    @property
    def tried(self) -> list[Target]:
        """The target of each attempt, one that still runs (a stream's) included."""
        return [*(Target(a.provider, a.model) for a in self.attempts), *self.running]

    @property
    def fallbacks(self) -> int:
        """How many times the call went on to another target."""
        return sum(1 for before, after in pairwise(self.tried) if before != after)

    def notice(self, flags: tuple[str, ...], untold: frozenset[str]) -> None:
        """Note what the guard saw: for the record, and for the caller but for what is ``untold``."""
        self.degraded += [flag for flag in flags if flag not in self.degraded]
        self.untold |= untold

    def give_last_resort(self, error: OctantError) -> None:
        """Note that the feature's static answer stands in for ``error``: no model answered."""
        self.outcome, self.error = LAST_RESORT, error.message
        self.degraded.append(LAST_RESORT)

    def receipt(self) -> Receipt:
        """What the caller is told."""
        tried = self.tried
        answered = Target("", LAST_RESORT) if self.outcome == LAST_RESORT else tried[-1] if tried else Target("", "")
        return Receipt(
            request_id=self.call.id,
            trace_id=self.span.trace_id,
            release=self.pin.release,
            provider=answered.provider,
            model=answered.model,
            attempts=len(tried),
            fallbacks=self.fallbacks,
            degraded=tuple(word for word in self.degraded if word not in self.untold),
            cost=self.cost,
            overhead_ms=self.overhead_ms(),
            rates=self.hold.rates if self.hold else {},
        )

    def overhead_ms(self) -> float:
        """The time that was ours: all of it but waiting for providers and between attempts."""
        running = _ms_since(self._running_since) if self.running else 0.0
        return max(0.0, _ms_since(self.started) - self.waited_ms - running)

    def record(self) -> CallRecord:
        """The durable record of this call."""
        last = self.attempts[-1] if self.attempts else None
        prompt = self.pin.prompt
        return CallRecord(
            id=self.call_id,
            request_id=self.call.id,
            at=self.at,
            trace_id=self.span.trace_id,
            tenant=self.call.identity.tenant.id,
            user=self.call.identity.user,
            key_id=self.call.identity.key_id,
            feature=self.call.feature,
            target=self.call.target,
            release=self.pin.release,
            prompt=prompt.name if prompt else None,
            prompt_version=prompt.version if prompt else None,
            provider=last.provider if last else None,
            model=last.model if last else None,
            model_answered=last.model_answered if last else None,
            stream=self.call.stream,
            outcome=self.outcome,
            error=self.error,
            latency_ms=_ms_since(self.started),
            ttft_ms=self.first_token_ms,
            overhead_ms=self.overhead_ms(),
            usage=sum((a.usage for a in self.attempts), Usage()),
            cost=self.cost,
            held=self.hold.amount if self.hold else ZERO,
            fallbacks=self.fallbacks,
            degraded=tuple(self.degraded),
            request=request_text(self.request),
            response=reply_text(self.reply) if self.reply else "",
            attempts=tuple(map(self._with_response, self.attempts, self._came_back)),
        )

    def _with_response(self, attempt: Attempt, came_back: Reply | str) -> Attempt:
        """The attempt with what came back, unless nothing did or it is the call's own response."""
        if isinstance(came_back, str):
            return replace(attempt, response=partial_text(came_back)) if came_back else attempt
        if self.reply and came_back.parts == self.reply.parts:
            return attempt
        return replace(attempt, response=reply_text(came_back))


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
