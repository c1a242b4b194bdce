"""The durable record of one call, as the gateway writes it and `app.audit` keeps it. Redacted before it is stored."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD

NOT_ASKED = "not_asked"  # outcome of a question that its feature asks no model: there is nothing to answer from


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call with all its attempts. ``request`` and ``response`` are JSON text.

    ``outcome`` is ``ok``, ``cancelled``, ``last_resort``, `NOT_ASKED` or an error's code.
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
