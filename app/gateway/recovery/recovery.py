"""The one order in which things are tried: repair inside retries inside fallback, under one deadline.

::

    for each target of the route that no operator has stopped and whose circuit lets the call through,
    as soon as those before it have failed, or the last of them was silent for its head start (`race`, `patience`)
        for each attempt, while the error is Retryable and attempts, deadline and the provider's retry budget leave room
            send; spend what it used
            check the output: as it came, else read leniently, else request a repair from the same model, once
    else the feature's last resort, if it has one
    else one error that says what the caller can do

A refusal of the request goes to the next target like any failure, and is never retried: each model has limits of its own, and
a translation may be at fault. Only if every target refuses is the request the caller's to change (`final_error`).

A stream falls back until its first chunk. After that the caller has seen output: it ends in an error, or, where the route says
so, another model continues it (`relay`).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from app.domain.calls import Chunk, Deadline, Done, Reply, TextDelta, Usage
from app.domain.errors import (
    DeadlineExceeded,
    ProviderError,
    ProviderGarbled,
    ProviderOutputInvalid,
    ProviderRejected,
    ProviderTimeout,
    TranslationRefused,
    UnsupportedParameter,
    Wait,
)
from app.domain.messages import Message, Text
from app.domain.records import CIRCUIT, STOPPED
from app.domain.routes import Route, Target
from app.domain.waiting import aside
from app.gateway.call_state import LAST_RESORT, CallState
from app.gateway.providers.base import ModelRequest, Provider
from app.gateway.recovery import repair
from app.gateway.recovery.breaker import Circuits
from app.gateway.recovery.final_error import final_error
from app.gateway.recovery.output import CUT_OFF, judge
from app.gateway.recovery.patience import Patience
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.gateway.recovery.race import Race, Won
from app.gateway.recovery.relay import Opened, relay
from app.gateway.recovery.retry_budget import RetryBudget
from app.gateway.recovery.retrying import retrying
from app.gateway.rendering import within
from app.telemetry.metrics import Metrics

T = TypeVar("T", Reply, Opened)

# Codes of the header octant-degraded.
PARSED, REPAIRED, NARROWED = "parsed", "repaired", "narrowed"
COUNT_SECONDS = 3.0  # for a vendor's count of tokens: ours is good enough, and there at once


@dataclass(kw_only=True)
class Recovery:
    """AXIS 3. It keeps no state of a call (`CallState` does), only of providers.

    ``stopped`` says whether an operator has stopped a model or its provider, from memory; ``message_for`` gives the message to
    callers; ``key_of`` gives the fingerprint of our key there.
    """

    providers: Mapping[str, Provider]
    stopped: Callable[[Target], bool]
    metrics: Metrics
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    circuits: Circuits = field(default_factory=lambda: Circuits(BreakerPolicy()))
    patience: Patience = field(default_factory=Patience)
    key_of: Callable[[str], str | None] = lambda _provider: None
    message_for: Callable[[Target], str] = lambda _target: ""
    _budgets: dict[str, RetryBudget] = field(init=False)

    def __post_init__(self) -> None:
        """Give each provider its retry budget."""
        self._budgets = {name: RetryBudget(self.retries) for name in self.providers}

    def choose(self, state: CallState) -> None:
        """Leave out the targets that do not support the request. Raises UnsupportedParameter where none does.

        Before money is held: a parameter that is dropped in silence changes the answer.
        """
        route = state.pin.route
        lacking = {target: self.providers[target.provider].lacks(state.request) for target in route.targets}
        state.targets = tuple(target for target, names in lacking.items() if names <= route.ignore)
        state.ignored = {target: names for target, names in lacking.items() if names}
        if not state.targets:
            names = sorted(frozenset.intersection(*lacking.values()) or frozenset.union(*lacking.values()))
            raise UnsupportedParameter(f"No model of '{route.name}' supports {' together with '.join(names)}.", param=names[0])
        if len(state.targets) < len(route.targets):
            state.degraded.append(NARROWED)

    def capable(self, state: CallState, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Targets that support the request, but for the parameters that the route ignores."""
        ignored = state.pin.route.ignore
        return tuple(t for t in targets if self.providers[t.provider].lacks(state.request) <= ignored)

    async def complete(self, state: CallState) -> Reply:
        """Return the first valid reply, or the last resort. Raises Wait, FixRequest, Ours or BudgetExceeded."""

        async def once(target: Target) -> Reply:
            try:
                return await self._ask(state, target)
            except ProviderOutputInvalid as error:
                if error.reply is None or CUT_OFF in error.violations:  # asked again, it would be cut off again
                    raise
                self.metrics.repairs.inc(step="asked_again")
                try:
                    reply = await self._ask(state, target, repair.turns(error.reply, error.violations))
                except ProviderRejected:
                    raise error from None  # the turns that it refused are ours: what the caller can know is the output
                state.degraded.append(REPAIRED)
                self.metrics.repairs.inc(step="repaired")
                return reply

        try:
            return await self._first_success(state, once)
        except (Wait, TranslationRefused) as error:
            return self._last_resort(state, error)

    async def open(self, state: CallState) -> AsyncGenerator[Chunk, None]:
        """Return a stream whose first chunk has arrived. Raises as `complete`; later failures come from the stream."""

        async def once(target: Target) -> Opened:
            return await self._open(state, target)

        try:
            opened = await self._first_success(state, once)
        except (Wait, TranslationRefused) as error:
            return _as_chunks(self._last_resort(state, error))
        chunks = relay(opened, state, self.circuits, lambda delivered: self._continue(state, opened.target, delivered))
        return _Relayed(chunks, opened)

    async def count_tokens(self, request: ModelRequest, route: Route, deadline: Deadline) -> int | None:
        """Ask the route's vendors in order, each once, for a count; None where none gives one."""
        for target in route.targets:
            provider = self.providers[target.provider]
            if self.stopped(target) or self.circuits.state(target) != "closed":
                continue
            if not provider.lacks(request) <= route.ignore:
                continue
            timeouts = within(request.timeouts, min(COUNT_SECONDS, deadline.remaining() / 2))
            try:
                counted = await provider.count_tokens(replace(request, model=target.model, timeouts=timeouts))
            except ProviderError:
                continue
            if counted is not None:
                return counted
        return None

    async def _ask(self, state: CallState, target: Target, further: tuple[Message, ...] = ()) -> Reply:
        """One attempt at a whole answer. Raises ProviderOutputInvalid: never a guess passed on as valid (R4)."""
        with await state.attempt(target, further) as attempt:
            attempt.key = self.key_of(target.provider)
            provider, request = self.providers[target.provider], state.request_for(target, further)
            with self._watch(state, target):
                reply = attempt.end(await (provider.embed(request) if request.embed else provider.complete(request)))
            self.circuits.succeeded(target)
            whole = state.call.form is None
            request = state.request
            judging = partial(judge, reply, request.output, request.tools, request.tool_choice, whole=whole)
            judged = await aside(reply.size, judging)
            if judged.violations:
                self.metrics.repairs.inc(step="invalid")
                raise judged.error(target)
            if judged.parsed:
                self.metrics.repairs.inc(step="parsed")
                state.degraded.append(PARSED)
            return judged.reply

    async def _open(self, state: CallState, target: Target, further: tuple[Message, ...] = ()) -> Opened:
        """One attempt at a stream, up to its first chunk."""
        async with AsyncExitStack() as stack:
            attempt = stack.enter_context(await state.attempt(target, further))
            attempt.key = self.key_of(target.provider)
            chunks = self.providers[target.provider].stream(state.request_for(target, further))
            await stack.enter_async_context(aclosing(chunks))
            with self._watch(state, target):
                try:
                    first = await anext(chunks)
                except StopAsyncIteration:
                    raise ProviderGarbled("An empty stream.", provider=target.provider, model=target.model) from None
            return Opened(target, attempt, first, chunks, stack.pop_all())

    async def _continue(self, state: CallState, broken: Target, delivered: str) -> Opened:
        """Open a stream at another target of the route that goes on after ``delivered``. Raises as `open`."""
        further = repair.continuation(delivered)
        others = [target for target in state.targets if target != broken]

        async def once(target: Target) -> Opened:
            return await self._open(state, target, further)

        return await self._first_success(state, once, others)

    async def _first_success(
        self, state: CallState, once: Callable[[Target], Awaitable[T]], targets: Sequence[Target] | None = None
    ) -> T:
        chosen = state.targets if targets is None else targets
        resting: list[Target] = []
        race = Race[T](state, self.circuits, _let_go, lambda target: self._overtaken(state, target))
        try:
            async with race:
                won = await self._run(race, state, once, chosen, resting)
        except TimeoutError as error:
            raise DeadlineExceeded(f"No answer within {state.call.deadline.total:g} seconds.", retry_after=1.0) from error
        self._count_rejections(race.failures, answered=won is not None)
        if won:
            state.answered_by(won.target)
            return won.result
        if any(isinstance(failure, ProviderOutputInvalid) for failure in race.failures):
            self.metrics.repairs.inc(step="gave_up")
        stopped = any(self.stopped(target) for target in chosen)
        message = next(filter(None, map(self.message_for, chosen)), "")
        limited = self.circuits.limited(resting)
        raise final_error(race.failures, self.circuits.rest(resting), passed_over=stopped, message=message, limited=limited)

    async def _run(
        self,
        race: Race[T],
        state: CallState,
        once: Callable[[Target], Awaitable[T]],
        targets: Sequence[Target],
        resting: list[Target],
    ) -> Won[T] | None:
        """Start one target after the other until one succeeds; None if none does. Skipped ones go to ``resting``."""
        for number, target in enumerate(targets):
            if self.stopped(target):
                state.pass_over(target, STOPPED)
                continue
            if not await self.circuits.admit(target, state.longest_attempt()):
                resting.append(target)
                state.pass_over(target, CIRCUIT, self.circuits.rests_for(target))
                self.metrics.breaker_skips.inc(provider=target.provider, model=target.model)
                continue
            race.start(target, self._at(state, target, once, [t for t in targets if t not in race.started]))
            first_token = state.request.timeouts.first_token
            head_start = self.patience.head_start(target, stream=state.call.stream, first_token=first_token)
            share = state.remaining() / (len(targets) - number)  # time is kept for each further target
            if won := await race.until_silent(target, head_start, share):
                return won
        won = await race.until_over()
        if won is None:
            for last in self.circuits.worth_a_try(resting):
                if won or state.remaining() <= 0:
                    break
                race.start(last, self._at(state, last, once, ()))
                won = await race.until_over()
        return won

    async def _at(self, state: CallState, target: Target, once: Callable[[Target], Awaitable[T]], others: Sequence[Target]) -> T:
        """Try one target, with retries where they may help. ``others``: targets that were not tried before it."""
        budget = self._budgets[target.provider]
        budget.first_attempt()

        def may_retry(error: BaseException | None) -> bool:
            if self.circuits.state(target) != "closed" or state.spending.running or self.stopped(target):
                return False
            if isinstance(error, ProviderTimeout) and self._another_available(target, others):
                return False  # it was silent: another target is tried before it is retried
            if budget.retry():
                self.metrics.retries.inc(provider=target.provider)
                return True
            self.metrics.retries_refused.inc(provider=target.provider)
            return False

        try:
            return await retrying(state, self.retries, once, target, may_retry=may_retry)
        except ProviderError:
            raise
        except BaseException:
            self.circuits.abandoned(target)
            raise

    def _another_available(self, target: Target, others: Sequence[Target]) -> bool:
        """Whether another target is available now."""
        return any(t != target and not self.stopped(t) and self.circuits.state(t) != "open" for t in others)

    @contextmanager
    def _watch(self, state: CallState, target: Target) -> Generator[None, None, None]:
        """Judge the target by what it does within, and learn how long it takes.

        A stream's patience is for its first token, a whole answer's for all of it. A caller who leaves has waited in vain.
        """
        began, stream, timeouts = time.perf_counter(), state.call.stream, state.request.timeouts
        wanted = timeouts.first_token if stream else timeouts.total
        progress = state.spending.running[target]
        usual = self.patience.usual(target, stream=stream)
        try:
            with self.circuits.watch(target, given=state.remaining(), wanted=wanted, usual=usual):
                yield
        except asyncio.CancelledError:
            patient = progress.overtaken and usual is not None
            self.circuits.silent(target, time.perf_counter() - began, usual=usual, patient=patient)
            raise
        self.patience.note(target, time.perf_counter() - began, stream=stream)

    def _overtaken(self, state: CallState, target: Target) -> None:
        """Note that a target was silent until another one had answered."""
        state.spending.running[target].overtaken = True
        self.metrics.overtaken.inc(provider=target.provider, model=target.model)

    def _count_rejections(self, failures: Sequence[ProviderError], *, answered: bool) -> None:
        """Count refused requests by reason and cause.

        A request that one model refused as invalid and another one answered was not at fault. If it came in another vendor's
        form, our translation is suspect; if not, the model lacks something.
        """
        for failure in failures:
            if isinstance(failure, ProviderRejected):
                own = failure.own_form
                cause = "translation" if answered and not own else "model" if answered else "caller" if own else "unknown"
                self.metrics.rejections.inc(
                    provider=failure.provider,
                    model=failure.model,
                    reason=failure.reason,
                    cause=cause if failure.reason == "invalid" else "limit",
                )

    def _last_resort(self, state: CallState, error: Wait | TranslationRefused) -> Reply:
        """The feature's static answer, marked as one. Raises ``error`` where the feature has none."""
        if state.call.last_resort is None:
            raise error
        state.give_last_resort(error)
        self.metrics.last_resorts.inc(feature=state.call.feature)
        return Reply(parts=(Text(state.call.last_resort),), stop="end", usage=Usage(), provider="", model=LAST_RESORT)


async def _as_chunks(reply: Reply) -> AsyncGenerator[Chunk, None]:
    """A whole reply as stream chunks."""
    yield TextDelta(0, reply.text)
    yield Done(reply)


class _Relayed(AsyncGenerator[Chunk, None]):
    """A stream's chunks. Closing it ends its attempt even if no chunk was read: a generator that never began closes nothing."""

    def __init__(self, chunks: AsyncGenerator[Chunk, None], opened: Opened) -> None:
        self._chunks = chunks
        self._opened = opened

    def __anext__(self) -> Coroutine[Any, Any, Chunk]:
        """As the inner one, without a coroutine between: a stream has a hundred chunks."""
        return self._chunks.__anext__()

    async def asend(self, value: None) -> Chunk:
        return await self._chunks.asend(value)

    async def athrow(self, *error: Any) -> Chunk:  # noqa: ANN401 - as `AsyncGenerator`
        return await self._chunks.athrow(*error)

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await _let_go(self._opened)  # nothing is left of it, if one chunk was read


async def _let_go(result: Reply | Opened) -> None:
    """Close what came when another target had answered: a stream has a connection, a reply has nothing."""
    if isinstance(result, Opened):
        with contextlib.suppress(asyncio.CancelledError):
            async with result.stack:
                raise asyncio.CancelledError
