"""The durable record of one call, redacted before it is stored."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.calls import Attempt, Identity, Usage
from app.domain.errors import BudgetExceeded, FixRequest, RateLimited, Stopped
from app.domain.money import MicroUSD
from app.domain.quick import quick

NO_EVIDENCE = "no_evidence"  # outcome of a question without a model call: there is nothing to answer it from

REPLAYED = "replayed"  # outcome of a request that got the stored answer of its Idempotency-Key
TOKENS_COUNTED = "tokens_counted"  # outcome of a request that only counts its tokens
CANCELLED = "cancelled"  # outcome of a call whose caller left, and of an attempt that ended before it had a result of its own
NO_MODEL = frozenset({NO_EVIDENCE, REPLAYED, TOKENS_COUNTED})  # neither a success nor a failure: they count in no rate
# Outcomes of calls that a limit or an operator refused on purpose, and by which: they reach no model and take no time, so they
# count in no latency, cost or share.
REFUSALS = {BudgetExceeded.code: "by a cap", RateLimited.code: "by a rate limit", Stopped.code: "by an operator's stop"}
# Outcomes of calls whose own request was wrong: they failed, but no fault of a provider or of ours.
MISTAKES = frozenset(kind.code for kind in FixRequest.__subclasses__())


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One request that got a stored answer. ``replay_of``: request id of the first, if known.

    ``feature`` and ``release`` as of the answer; ``seconds``: how long it took.
    """

    request_id: str
    identity: Identity
    user: str
    feature: str
    path: str
    release: str
    stream: bool
    replay_of: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAnswer:
    """One answer of 4xx or 5xx. ``tenant`` and ``key_id`` are empty where no key of ours came; ``message`` as sent."""

    request_id: str
    tenant: str
    key_id: str
    path: str
    status: int
    code: str
    message: str


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call with all its attempts. ``request`` and ``response`` are JSON text.

    ``before_ms``: from the request's arrival to this call. ``steps``: retrieval and tools before it, as `step_text` writes them.
    ``outcome`` is ``ok``, ``cancelled``, ``last_resort``, one of `NO_MODEL` or an error's code.
    """

    id: str
    request_id: str
    at: datetime
    trace_id: str
    tenant: str
    user: str
    key_id: str
    feature: str
    target: str
    release: str
    prompt: str | None
    prompt_version: str | None
    provider: str | None
    model: str | None
    model_answered: str | None
    stream: bool
    outcome: str
    error: str | None
    latency_ms: float
    ttft_ms: float | None
    overhead_ms: float
    usage: Usage
    cost: MicroUSD
    held: MicroUSD
    fallbacks: int
    degraded: tuple[str, ...]
    request: str
    response: str
    attempts: tuple[Attempt, ...]
    replay_of: str | None = None
    before_ms: float | None = None
    steps: str | None = None

    @property
    def errors(self) -> str | None:
        """The texts of the call's error and of its attempts' errors, each once, to search in. None for none."""
        texts = dict.fromkeys(text for text in (self.error, *(attempt.error for attempt in self.attempts)) if text)
        return "\n".join(texts) if texts else None


CIRCUIT, STOPPED = "circuit", "stopped"


@dataclass(frozen=True, slots=True)
class CallStep:
    """Retrieval or a tool before a call. ``begins_ms`` counts from the call's beginning: below zero.

    Or a target that the call passed over, of the kind `CIRCUIT` or `STOPPED`: its times are those of that state, until the call
    came to it.
    """

    kind: str
    name: str
    begins_ms: float
    takes_ms: float
    failed: bool


def step_text(steps: Iterable[tuple[str, str, int, int, bool]], began: int) -> str | None:
    """Steps as a record holds them, None for none. Times in nanoseconds since the epoch, ``began`` is the call's."""
    rows = [(k, name, round((start - began) / 1e6, 3), round((end - start) / 1e6, 3), bad) for k, name, start, end, bad in steps]
    return json.dumps(rows) if rows else None


def steps_in(text: str | None) -> Sequence[CallStep]:
    """The steps that `step_text` wrote."""
    return [CallStep(*row) for row in json.loads(text or "[]")]
