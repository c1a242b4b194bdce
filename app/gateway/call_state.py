"""The state of one call on its way through the gateway.

Mutable, owned by the one task that serves the call. Its money is in `Spending`; `call_record` makes its record.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from app.budget import pricing
from app.domain.calls import Call, Deadline, Receipt, Reply, Usage
from app.domain.errors import OctantError
from app.domain.messages import Message
from app.domain.money import MicroUSD
from app.domain.quick import replace
from app.domain.routes import Pin, Target
from app.gateway.attempt_in_progress import AttemptInProgress, ms_since
from app.gateway.metering import Bound, keeps_for_an_hour
from app.gateway.providers.base import ModelRequest
from app.gateway.rendering import within
from app.gateway.spending import Spending
from app.telemetry.metrics import Metrics
from app.telemetry.recording import Step
from app.telemetry.spans import CallSpan

BYTES_PER_TOKEN = 4  # of English text; the difference to what was used flows back
IMAGE = 2_000  # tokens of a usual image
ANSWER_SECONDS, ANSWER_SHARE = 0.25, 0.1  # of the deadline, the smaller: kept for the answer's own way to the caller
LAST_RESORT = "last_resort"  # outcome, model and entry in octant-degraded of a static answer


@dataclass(slots=True, kw_only=True)
class CallState:
    """See the module. Times are milliseconds since ``started`` (``perf_counter``).

    ``degraded`` is recorded in full; its entries in ``undelivered`` are not shown to the caller. ``answering``: the target whose
    answer, or whose stream, the caller gets. ``passed``: the targets that it was not sent to, with the reason.
    ``cap``: the scope of the cap that refused the call, and the user of a user's cap.
    """

    call: Call
    call_id: str
    pin: Pin
    request: ModelRequest
    span: CallSpan
    metrics: Metrics
    at: datetime
    started: float
    spending: Spending
    targets: tuple[Target, ...] = ()
    ignored: Mapping[Target, frozenset[str]] = field(default_factory=dict)
    reply: Reply | None = None
    outcome: str = "ok"
    error: str | None = None
    cap: Mapping[str, str] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    undelivered: set[str] = field(default_factory=set)
    first_token_ms: float | None = None
    answering: Target | None = None
    passed: dict[Target, Step] = field(default_factory=dict)
    _input_tokens: int | None = None
    _bound: Bound | None = None

    def __post_init__(self) -> None:
        """Allow all of the route's targets, unless `Recovery.choose` has chosen some."""
        self.targets = self.targets or self.pin.route.targets

    def leave(self, *names: str) -> bool:
        """End unanswered attempts at a provider or a model of it (``provider/model``).

        Returns whether the call must end, as its stream comes from there.
        """
        running = self.spending.running.items()
        there = [progress for t, progress in running if {t.provider, f"{t.provider}/{t.model}"} & set(names)]
        for progress in there:
            if progress.task:
                progress.task.cancel()
        return any(progress.task is None or progress.task.done() for progress in there)

    @property
    def input_tokens(self) -> int:
        """The most input tokens that this call's request can count, without its images."""
        if self._input_tokens is None:
            r = self.request
            counted = pricing.most_input_tokens(r.system, r.messages, r.tools, r.output)
            self._input_tokens = r.embed.most_tokens if r.embed else counted
        return self._input_tokens

    def bound(self, further: tuple[Message, ...] = ()) -> Bound:
        """The most tokens that one attempt can count; ``further`` are turns after the request."""
        if self._bound is None:
            images = pricing.images_in(self.request.messages)
            self._bound = Bound(self.input_tokens, self.most_output, keeps_for_an_hour(self.request), images)
        if not further:
            return self._bound
        return replace(self._bound, input=self._bound.input + pricing.most_input_tokens((), further, (), None))

    @property
    def most_output(self) -> int:
        """The most output tokens; vectors are none."""
        return 0 if self.request.embed else self.request.sampling.max_output_tokens or 0

    def worst_case(self, target: Target) -> MicroUSD:
        """The most that one paid attempt at ``target`` can cost."""
        return self.spending.worst_case(target, self.bound())

    def worst_first_attempt(self) -> MicroUSD:
        """The most that the first paid attempt can cost, at any target."""
        bound = self.bound()
        return MicroUSD(max(self.spending.worst_case(target, bound) for target in self.targets))

    def change(self, request: ModelRequest) -> None:
        """Replace the request, and forget what was counted of it."""
        self.request, self._input_tokens, self._bound = request, None, None

    @property
    def likely_tokens(self) -> int:
        """An estimate for the rate limits: one token for four bytes of input, and all output allowed."""
        if self.request.embed:
            return self.request.embed.likely_tokens
        return self.likely_input + (self.request.sampling.max_output_tokens or 0)

    @property
    def likely_input(self) -> int:
        """An estimate of the input's tokens."""
        return self.input_tokens // BYTES_PER_TOKEN + self.bound().images * IMAGE

    @property
    def most_input(self) -> int:
        """The most input tokens that this call can count at any target."""
        return max(self.spending.at(target, self.bound()).input for target in self.targets)

    def request_for(self, target: Target, further: tuple[Message, ...] = ()) -> ModelRequest:
        """Build the request to ``target``, with ``further`` turns and timeouts cut to the remaining time.

        Its trace parent is the attempt, because the attempt makes the request (W3C Trace Context, 3.2.2.4 parent-id).
        """
        timeouts = within(self.request.timeouts, self.remaining(), _left(self.longest) if self.call.stream else None)
        messages = (*self.request.messages, *further)
        headers = {"traceparent": self.spending.traceparent}
        if self.request.on_input:
            self.request.on_input(Usage(input=self.likely_input, estimated=True))
        return replace(self.request, model=target.model, messages=messages, timeouts=timeouts, headers=headers)

    async def attempt(self, target: Target, further: tuple[Message, ...] = ()) -> AbstractContextManager[AttemptInProgress]:
        """Begin an attempt, as `Spending.attempt`; note the parameters that ``target`` ignores."""
        dropped = (f"ignored_{name}" for name in sorted(self.ignored.get(target, ())))
        self.degraded += [code for code in dropped if code not in self.degraded]
        return await self.spending.attempt(target, self.bound(further))

    def longest_attempt(self) -> float:
        """Seconds that one attempt can take now."""
        return min(self.request.timeouts.total, self.remaining())

    @property
    def called(self) -> tuple[str, ...]:
        """The names by which a stop refuses the call: as it was called, and the alias of which that is a further name."""
        alias = self.call.target if self.pin.prompt else self.pin.route.name
        return (self.call.target,) if alias == self.call.target else (self.call.target, alias)

    @property
    def longest(self) -> Deadline:
        """The latest end of the call: a stream may go on after the deadline of its first chunk."""
        deadline = self.call.deadline
        return deadline.of_stream(self.pin.route.stream_timeout) if self.call.stream else deadline

    def remaining(self) -> float:
        """Seconds left for providers: the answer or error must reach the caller within its deadline."""
        return _left(self.call.deadline if self.first_token_ms is None else self.longest)

    def silent_for(self, target: Target) -> float:
        """Seconds since the running attempt at ``target`` began; 0 if none runs."""
        progress = self.spending.running.get(target)
        return time.perf_counter() - progress.started if progress else 0.0

    @property
    def fallbacks(self) -> int:
        """How many targets of the route come before the one that answers: they failed, were overtaken, rest or are stopped.

        Of an error, before the furthest that was tried; 0 for a last resort, which names no model. Attempts that lost to the
        first target are no fallbacks.
        """
        if self.outcome == LAST_RESORT or self.targets[:1] == (self.answering,):
            return 0
        reached = [self.answering] if self.answering else self.spending.tried
        return max((self.targets.index(target) for target in reached if target in self.targets), default=0)

    def answered_by(self, target: Target) -> None:
        """Move the answering attempt to the end; drop from ``degraded`` what only other targets ignored."""
        self.answering = target
        ignored = {f"ignored_{name}" for name in self.ignored.get(target, ())}
        self.degraded = [code for code in self.degraded if not code.startswith("ignored_") or code in ignored]
        self.spending.put_last(target)

    def pass_over(self, target: Target, why: str, since: float = 0.0) -> None:
        """Note that a target was not tried. ``why``: see `CallStep`. ``since``: seconds that this state has lasted."""
        now = time.time_ns()
        self.passed[target] = (why, f"{target.provider} {target.model}", now - int(since * 1e9), now, False)

    def notice(self, flags: tuple[str, ...], undelivered: frozenset[str]) -> None:
        """Note the guard's flags: for the record, and for the caller unless ``undelivered``."""
        self.degraded += [flag for flag in flags if flag not in self.degraded]
        self.undelivered |= undelivered

    def give_last_resort(self, error: OctantError) -> None:
        """Note that the feature's static answer replaces ``error``: no model answered."""
        self.outcome, self.error = LAST_RESORT, error.message
        self.degraded.append(LAST_RESORT)

    def receipt(self) -> Receipt:
        """The call's receipt for its caller."""
        spending, tried = self.spending, self.spending.tried
        answered = Target("", LAST_RESORT) if self.outcome == LAST_RESORT else tried[-1] if tried else Target("", "")
        return Receipt(
            request_id=self.call.id,
            trace_id=self.span.trace_id,
            release=self.pin.release,
            provider=answered.provider,
            model=answered.model,
            attempts=len(tried),
            fallbacks=self.fallbacks,
            degraded=tuple(code for code in self.degraded if code not in self.undelivered),
            cost=spending.cost,
            overhead_ms=self.overhead_ms(),
            rates=spending.hold.rates if spending.hold else {},
            prompt=f"{self.pin.prompt.name}@{self.pin.prompt.version}" if self.pin.prompt else "",
        )

    def overhead_ms(self) -> float:
        """Our own time: all except waiting for providers and between attempts."""
        return max(0.0, ms_since(self.started) - self.spending.all_waited_ms())


def _left(deadline: Deadline) -> float:
    return max(0.0, deadline.remaining() - min(ANSWER_SECONDS, ANSWER_SHARE * deadline.total))
