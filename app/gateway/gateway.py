"""Every model call goes through this pipeline. Read `_admit` and `_pipeline` and you have read the product.

A whole answer and a stream differ only in how the reply is sent. `complete` and `stream` raise leaves of `OctantError` and
nothing else. A question without evidence (`record_no_evidence`) is screened and recorded, and reaches no model.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from app.budget.budget import Budget, Hold
from app.domain import in_flight
from app.domain.calls import Answer, Call, Chunk, Done, Identity, Receipt, TextDelta, size_of
from app.domain.errors import BudgetExceeded, ContentRefused, OctantError, Stopped
from app.domain.in_flight import InFlight
from app.domain.money import MICROS_PER_DOLLAR, ZERO, to_dollars
from app.domain.records import CANCELLED, NO_EVIDENCE, TOKENS_COUNTED, CallRecord
from app.domain.routes import Pin
from app.domain.waiting import LARGE, aside
from app.gateway import admission
from app.gateway.call_record import record_of
from app.gateway.call_state import CallState
from app.gateway.degradation import degrade
from app.gateway.ports import Pins, Records
from app.gateway.recovery.output import PATTERN_UNCHECKED, check_schemas
from app.gateway.recovery.recovery import Recovery
from app.gateway.rendering import lowered, render
from app.gateway.spending import Spending
from app.gateway.tracing import describe_call
from app.oncall.switch import KillSwitch
from app.security.guard.guard import Guard, Policy
from app.security.guard.outgoing import Outgoing
from app.telemetry import logs
from app.telemetry.metrics import Metrics
from app.telemetry.spans import CallSpan, Tracing, current_traceparent

log = logging.getLogger("octant.calls")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """The parts that the gateway works with. ``payer``: whose budget pays. ``on_end`` gets each call when it has ended.

    ``shadow``: no user gets the answers, so they count in none of the metrics of calls.
    """

    switch: KillSwitch
    releases: Pins
    guard: Guard
    budget: Budget
    recovery: Recovery
    recorder: Records
    tracing: Tracing
    metrics: Metrics
    running: InFlight = field(default_factory=InFlight)
    payer: Callable[[Identity], Identity] = lambda identity: identity
    on_end: Callable[[Call, CallRecord], None] | None = None
    shadow: bool = False


@dataclass(slots=True)
class Streaming:
    """A stream whose first chunk has arrived. ``receipt`` grows with it; its cost is final after `Done`."""

    chunks: AsyncIterator[Chunk]
    _state: CallState

    @property
    def receipt(self) -> Receipt:
        """The call's receipt so far."""
        return self._state.receipt()


class Gateway:
    """See the module."""

    def __init__(self, parts: GatewayParts) -> None:
        """Everything comes from the composition root; the gateway builds nothing."""
        self._rooms = parts

    async def complete(self, call: Call) -> Answer:
        """Answer a call with one whole reply."""
        with self._pipeline(call) as state:
            await self._admit(state)
            state.reply = await self._rooms.recovery.complete(state)
            if call.embed:
                return Answer(state.reply, state.receipt())  # vectors: no text that the guard could check
            with self._watched(state) as outgoing:
                reply = state.reply
                delivered = await aside(reply.size, lambda: outgoing.reply(reply))
        return Answer(delivered, state.receipt())

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[Streaming, None]:
        """Answer a call as a stream, entered once its first chunk has arrived: until then errors raise here."""
        with self._pipeline(call) as state:
            await self._admit(state)
            async with aclosing(await self._rooms.recovery.open(state)) as chunks:
                state.first_token_ms = (time.perf_counter() - state.started) * 1000
                yield Streaming(self._noting_the_reply(chunks, state), state)

    @contextmanager
    def _pipeline(self, call: Call) -> Iterator[CallState]:
        """Pin → render → (`_admit` → attempts, each spent as it ends) → settle → record, however the call ends."""
        rooms = self._rooms
        with rooms.tracing.call(call.feature) as span, rooms.running.track(state := self._begun(call, span)):
            try:
                yield state
            except OctantError as error:
                self._fail(state, error)
                raise
            except (asyncio.CancelledError, GeneratorExit):
                if ending := in_flight.ended():
                    self._fail(state, ending)
                    raise ending from None
                state.outcome = CANCELLED
                raise
            except BaseException:
                state.outcome = "internal_error"
                raise
            finally:
                if state.outcome == "ok" and state.reply is None:
                    state.outcome = CANCELLED  # the reader of a stream stopped before its end
                state.spending.close()
                if state.spending.hold is not None:
                    rooms.budget.settle(state.spending.hold)
                self._keep(state)

    async def _admit(self, state: CallState) -> None:
        """Kill switch → schemas → capable models → screen → hold. Steps before the hold cost nothing."""
        self._check_switch(state)
        call = state.call
        if await aside(call.size, partial(check_schemas, call)):
            state.degraded.append(PATTERN_UNCHECKED)
        state.degraded += lowered(call.sampling, state.request.sampling)
        self._rooms.recovery.choose(state)
        self._screen(state)
        await aside(call.size, state.bound)  # remembered; of ten thousand parts it takes 100 ms
        state.spending.hold = await self._hold(state)

    def _begun(self, call: Call, span: CallSpan) -> CallState:
        """Pin and render, within the call's span."""
        started, at = time.perf_counter(), datetime.now(UTC)
        pin = self._rooms.releases.pin(call.target, call.identity)
        admission.check(call, pin)
        request = render(call, pin, canary=self._rooms.guard.canary(pin))
        spending = Spending(
            call=call, prices=pin.prices, span=span, budget=self._rooms.budget, metrics=self._rooms.metrics, started=started
        )  # fmt: skip
        return CallState(
            call=call, call_id=f"call_{os.urandom(16).hex()}", pin=pin, request=request, span=span,
            metrics=self._rooms.metrics, at=at, started=started, spending=spending,
            degraded=[f"without_{name}" for name in call.without],
        )  # fmt: skip

    def _fail(self, state: CallState, error: OctantError) -> None:
        """Note the error that ends a call, and the call's cost until then."""
        state.outcome, state.error = error.code, error.message
        error.receipt = state.receipt()
        if isinstance(error, BudgetExceeded):
            state.cap = {"scope": error.scope, **({"user": error.user} if error.user else {})}
        self._count_refusal(error)

    def _keep(self, state: CallState) -> None:
        """Record the call however it ended, and report it."""
        record = record_of(state)
        self._rooms.recorder.record(record)
        self._rooms.releases.note(record)
        self._report(state, record)
        if self._rooms.on_end:
            self._rooms.on_end(state.call, record)

    async def _hold(self, state: CallState) -> Hold:
        """Hold the worst first attempt; over a cap, degrade the call as its route allows (C4)."""
        call = state.call
        while True:
            try:
                return await self._rooms.budget.hold(
                    self._rooms.payer(call.identity),
                    state.worst_first_attempt(),
                    lease_id=state.call_id,
                    seconds=state.longest.remaining(),
                    feature="shadow" if self._rooms.shadow else call.feature,
                    tokens=state.likely_tokens,
                    trace_id=state.span.trace_id,
                    request_id=call.id,
                )
            except BudgetExceeded as refused:
                capable = partial(self._rooms.recovery.capable, state)
                if state.worst_first_attempt() <= refused.room or not degrade(state, refused.room, capable):
                    raise

    def models(self) -> tuple[str, ...]:
        """The names that clients may call: the live release's aliases and its callable prompts."""
        return self._rooms.releases.callable

    def pin_of(self, target: str, identity: Identity | None = None) -> Pin:
        """The pin of a call to ``target`` now: the live release's, or the canary's for this caller. Raises UnknownModel."""
        return self._rooms.releases.pin(target, identity)

    async def record_no_evidence(self, call: Call) -> Receipt:
        """Record a question without evidence to answer it from; no model is called.

        The question is screened, found, exported and erased like any other. Raises the errors of `_free`.
        """
        async with self._free(call, NO_EVIDENCE) as state:
            self._notice(state)
        return state.receipt()

    @asynccontextmanager
    async def _free(self, call: Call, outcome: str) -> AsyncGenerator[CallState, None]:
        """Handle a call that no model answers: free, counted against the rate limits, recorded as ``outcome``.

        Raises UnknownModel, InvalidRequest, Stopped, RateLimited, BudgetExceeded or DependencyUnavailable.
        """
        with self._pipeline(call) as state:
            self._check_switch(state)
            seconds = call.deadline.remaining()
            state.spending.hold = await self._rooms.budget.hold(
                call.identity, ZERO, lease_id=state.call_id, seconds=seconds, feature=call.feature
            )
            yield state
            state.outcome = outcome

    def note_bad_rating(self, identity: Identity, request_id: str) -> None:
        """Count a user's bad rating of an answer for a canary. Never waits."""
        self._rooms.releases.note_bad_rating(identity, request_id)

    def _check_switch(self, state: CallState) -> None:
        call = state.call
        for name in state.called:
            identity = call.identity
            self._rooms.switch.check(tenant=identity.tenant.id, user=identity.user, feature=call.feature, target=name)

    def refuse_if_stopped(self, identity: Identity, *, feature: str = "", target: str = "", tool: str = "") -> None:
        """Raise Stopped if an operator has stopped this tenant, user, feature, prompt or tool: for work without a model call."""
        try:
            tenant, user = identity.tenant.id, identity.user
            self._rooms.switch.check(tenant=tenant, user=user, feature=feature, target=target, tool=tool)
        except OctantError as error:
            self._count_refusal(error)
            raise

    async def count_tokens(self, call: Call) -> tuple[int, bool]:
        """Count a call's input tokens: by a vendor of its route (True), else by our upper bound (False).

        Raises the errors of `_free`.
        """
        async with self._free(call, TOKENS_COUNTED) as state:
            traceparent = current_traceparent()
            request = replace(state.request, headers={"traceparent": traceparent} if traceparent else {})
            counted = await self._rooms.recovery.count_tokens(request, state.pin.route, call.deadline)
        return (state.most_input, False) if counted is None else (counted, True)

    def _screen(self, state: CallState) -> None:
        """Raise ContentRefused if the prompt's policy blocks a suspected attack."""
        if self._notice(state):
            raise ContentRefused("The text looks like an attack on the model, which this prompt's policy refuses.")

    def _notice(self, state: CallState) -> bool:
        """Screen the input and note suspected attacks. Returns whether the prompt's policy blocks them."""
        policy = Policy.of(state.pin)
        flags = self._rooms.guard.screen(state.call, policy)
        state.notice(flags, policy.undelivered(flags))
        return policy.blocks(flags)

    @contextmanager
    def _watched(self, state: CallState) -> Iterator[Outgoing]:
        """Watch the answer until the end of the block, and note findings, even if they end the answer.

        The record keeps the model's answer; the caller gets the output of `Outgoing`.
        """
        policy, guard = Policy.of(state.pin), self._rooms.guard
        system = "\n".join(text.text for text in state.request.system)
        outgoing = guard.outgoing(policy, state.pin, state.call, system)
        try:
            yield outgoing
        finally:
            flags = guard.flags(outgoing.found)
            state.notice(flags, policy.undelivered(flags))

    async def _noting_the_reply(self, chunks: AsyncIterator[Chunk], state: CallState) -> AsyncIterator[Chunk]:
        """Watch the stream for guard and record, and note failures: the reader may turn them into events."""
        try:
            with self._watched(state) as outgoing:
                async for chunk in chunks:
                    if type(chunk) is TextDelta and len(chunk.text) + outgoing.held <= LARGE:  # nearly every chunk
                        passed = outgoing.chunk(chunk)
                    else:
                        if isinstance(chunk, Done):
                            state.reply = chunk.reply
                        passed = await aside(size_of(chunk) + outgoing.held, partial(_passed, outgoing, chunk))
                    for delivered in passed:
                        yield delivered
        except OctantError as error:
            state.outcome, state.error = error.code, error.message
            raise
        except asyncio.CancelledError:
            if ending := in_flight.ended():
                state.outcome, state.error = ending.code, ending.message
                raise ending from None
            raise

    def _count_refusal(self, error: OctantError) -> None:
        if self._rooms.shadow:
            return
        if isinstance(error, BudgetExceeded):
            self._rooms.metrics.budget_refusals.inc(scope=error.scope)
        elif isinstance(error, Stopped):
            self._rooms.metrics.kill_switch_refusals.inc()

    def _report(self, state: CallState, record: CallRecord) -> None:
        """One metric, one span outcome and one log line for each call, the failed and the cancelled included (O1, O9)."""
        metrics, call, span, spending = self._rooms.metrics, state.call, state.span, state.spending
        if self._rooms.shadow:
            return
        seconds, overhead_ms, cost = time.perf_counter() - state.started, state.overhead_ms(), spending.cost
        if known := spending.known_cost:
            metrics.call_cost.observe(known / MICROS_PER_DOLLAR, feature=call.feature)
        if state.outcome == NO_EVIDENCE:  # no call in the sense of any rate or objective
            metrics.no_evidence.inc(feature=call.feature)
        elif state.outcome == TOKENS_COUNTED:
            metrics.token_counts.inc(feature=call.feature)
        else:
            metrics.call(call.feature, state.outcome, seconds, overhead_ms / 1000, state.fallbacks)
        metrics.degraded(call.feature, state.outcome, state.degraded)
        describe_call(span, record, state.request, state.reply)
        logs.info(
            log,
            "call",
            {
                "call_id": state.call_id,
                "trace_id": span.trace_id,
                "tenant": call.identity.tenant.id,
                "feature": call.feature,
                "target": call.target,
                "release": state.pin.release,
                "outcome": state.outcome,
                "attempts": len(spending.attempts),
                "cost_usd": to_dollars(cost),
                "duration_ms": round(seconds * 1000, 2),
                "overhead_ms": round(overhead_ms, 2),
                **state.cap,
            },
        )


def _passed(outgoing: Outgoing, chunk: Chunk) -> Iterable[Chunk]:
    return list(outgoing.chunk(chunk))
