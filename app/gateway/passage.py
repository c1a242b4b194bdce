"""One call's way through the gateway: what is known of it so far, what it spent, and what will be recorded.

Mutable, owned by the one task that serves the call.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from app.budget import pricing
from app.budget.budget import Budget, Hold
from app.domain.calls import Attempt, Call, Receipt, Reply, Usage
from app.domain.errors import OctantError, ProviderError
from app.domain.messages import Message
from app.domain.money import ZERO, MicroUSD
from app.domain.records import CallRecord
from app.domain.routes import Pin, Target
from app.gateway.providers.base import ModelRequest
from app.gateway.rendering import within
from app.gateway.tracing import describe_attempt
from app.gateway.transcript import reply_text, request_text
from app.telemetry.metrics import Metrics
from app.telemetry.spans import CallSpan

BYTES_PER_TOKEN = 4  # of English text; the difference to what was used flows back
LAST_RESORT = "last_resort"  # outcome, model and word in octant-degraded of a static answer


@dataclass(slots=True)
class AttemptInProgress:
    """One request to one provider while it runs. ``received`` counts the bytes of output seen so far."""

    started: float
    input_tokens: int
    ttft_ms: float | None = None
    received: int = 0
    reply: Reply | None = None

    def chunk(self, size: int) -> None:
        """Note that output arrived; the first time, how long it took."""
        if self.ttft_ms is None:
            self.ttft_ms = _ms_since(self.started)
        self.received += size


@dataclass(slots=True, kw_only=True)
class Passage:
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
    _running: Target | None = None
    _running_since: float = 0.0
    _traceparent: str = ""
    _input_tokens: int | None = None

    def __post_init__(self) -> None:
        """All of the route's targets may answer, unless `Recovery.choose` says less."""
        self.targets = self.targets or self.pin.route.targets

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
        timeouts = within(self.request.timeouts, self.call.deadline.remaining())
        messages = (*self.request.messages, *further)
        headers = {"traceparent": self._traceparent}
        return replace(self.request, model=target.model, messages=messages, timeouts=timeouts, headers=headers)

    def longest_attempt(self) -> float:
        """Seconds that one attempt can take now."""
        return min(self.request.timeouts.total, self.call.deadline.remaining())

    @asynccontextmanager
    async def attempt(self, target: Target, further: tuple[Message, ...] = ()) -> AsyncGenerator[AttemptInProgress, None]:
        """Run one attempt: money is there before it starts, and whatever it used is spent when it ends, however it ends."""
        dropped = (f"ignored_{name}" for name in sorted(self.ignored.get(target, ())))
        self.degraded += [word for word in dropped if word not in self.degraded]
        more = pricing.most_input_tokens((), further, (), None) if further else 0
        await self._afford(self.worst_case(target, more))
        progress = AttemptInProgress(started=time.perf_counter(), input_tokens=self.input_tokens + more)
        self._running, self._running_since = target, progress.started
        outcome, error_text, usage, unknown = "cancelled", None, None, True
        with self.span.attempt(target.provider, target.model, stream=self.call.stream) as span:
            self._traceparent = span.traceparent
            try:
                yield progress
                outcome = "ok"
            except ProviderError as error:
                outcome, error_text, usage = error.code, error.message, error.usage
                unknown = error.perhaps_paid
                span.fail(error.code)
                raise
            except OctantError as error:  # not the provider's doing: what it sent cannot be checked
                outcome, error_text = error.code, error.message
                raise
            finally:
                self._running = None
                usage = self._usage(progress, usage, unknown=unknown)
                self._spend(target, progress, outcome, error_text, usage)
                describe_attempt(span, self.attempts[-1], progress.reply, tenant=self.call.identity.tenant.id)

    async def _afford(self, worst: MicroUSD) -> None:
        """Hold more where an earlier attempt was paid for and the rest no longer covers this one."""
        if self.hold is None:
            return
        lacking = worst - self.hold.room
        if lacking > 0:
            await self.budget.extend(self.hold, MicroUSD(lacking))

    def _usage(self, progress: AttemptInProgress, reported: Usage | None, *, unknown: bool) -> Usage:
        """What to count: as reported; else the most it can have been, where the model may have worked; else nothing (ADR 0016).

        Of a stream that was seen to run, what was seen of it; of anything else that nobody saw, all the output it was allowed.
        """
        if progress.reply:
            return _plausible(progress.reply, progress.input_tokens)
        if reported:
            return reported
        if progress.received:
            return Usage(input=progress.input_tokens, output=progress.received, estimated=True)
        if unknown:
            most = self.request.sampling.max_output_tokens or 0
            return Usage(input=progress.input_tokens, output=most, estimated=True)
        return Usage()

    def _spend(self, target: Target, progress: AttemptInProgress, outcome: str, error: str | None, usage: Usage) -> None:
        cost = pricing.cost(usage, pricing.tiers_of(self.pin.prices, target.provider, target.model))
        if usage.total and cost > self.worst_case(target, progress.input_tokens - self.input_tokens):
            self.metrics.over_bound.inc(provider=target.provider, model=target.model)
        latency_ms = _ms_since(progress.started)
        self.waited_ms += latency_ms
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
                error=error,
                provider_request_id=progress.reply.provider_request_id if progress.reply else None,
            )
        )
        self.metrics.attempt(self.call.feature, self.attempts[-1])

    @property
    def cost(self) -> MicroUSD:
        """What all attempts cost so far."""
        return MicroUSD(sum((a.cost for a in self.attempts), ZERO))

    @property
    def tried(self) -> list[Target]:
        """The target of each attempt, one that still runs (a stream's) included."""
        ended = [Target(a.provider, a.model) for a in self.attempts]
        return [*ended, self._running] if self._running else ended

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
        running = _ms_since(self._running_since) if self._running else 0.0
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
            attempts=tuple(self.attempts),
        )


def _plausible(reply: Reply, most_input: int) -> Usage:
    """The usage as the provider told it, unless it told that something cost nothing: then our upper bound for that."""
    usage = reply.usage
    sent = usage.input + usage.cached_input + usage.cache_write
    received = sum(pricing.part_tokens(part) for part in reply.parts)
    if sent and (usage.output or not received):
        return usage
    return replace(usage, input=usage.input if sent else most_input, output=usage.output or received, estimated=True)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
