"""What counts as bad in a call, for a canary: yes or no, for each metric. Pure.

A caller's own mistake, an operator's stop and a budget that is used up say nothing about a release, so they count in neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import AnswerWithheld, ContentRefused, DeadlineExceeded, Internal, OutputInvalid, ProvidersUnavailable
from app.domain.records import CallRecord

METRICS = ("failed", "slow", "dear", "refused", "rated_bad")
SCORED_LOW = "scored_low"  # an answer in which the evals' scorers found a fault; a metric where production is scored
SEEN = "seen"  # not a metric: every user, so that the split itself can be checked

_FAILED = frozenset({ProvidersUnavailable.code, DeadlineExceeded.code, Internal.code, "last_resort"})
_REFUSED = frozenset({OutputInvalid.code, AnswerWithheld.code, ContentRefused.code})
_JUDGED = _FAILED | _REFUSED | {"ok"}


@dataclass(frozen=True, slots=True)
class Limits:
    """The live release's 95th percentiles of one target at the start of the canary: milliseconds and micro-dollars."""

    latency_ms: float
    cost: int


def bad_in(record: CallRecord, limits: Mapping[str, Limits]) -> tuple[str, ...] | None:
    """The metrics in which a call was bad; None for a call that says nothing about its release.

    ``limits`` by target; a target without calls before the canary is judged neither slow nor dear.
    """
    if record.outcome not in _JUDGED:
        return None
    limit = limits.get(record.target) if record.outcome == "ok" else None
    found = {
        "failed": record.outcome in _FAILED or _went_on(record),
        "slow": limit is not None and record.latency_ms > limit.latency_ms,
        "dear": limit is not None and record.cost > limit.cost,
        "refused": record.outcome in _REFUSED or any(flag.startswith("guard:") for flag in record.degraded),
    }
    return tuple(metric for metric, bad in found.items() if bad)


def _went_on(record: CallRecord) -> bool:
    """Whether a target was tried and another one answered; one that an operator has stopped, or that rests, is not tried."""
    return record.fallbacks > 0 and len({(attempt.provider, attempt.model) for attempt in record.attempts}) > 1


def as_json(limits: Mapping[str, Limits]) -> dict[str, Any]:
    """For a column."""
    return {target: [limit.latency_ms, limit.cost] for target, limit in limits.items()}


def from_json(stored: Mapping[str, Any]) -> dict[str, Limits]:
    """What `as_json` made."""
    return {target: Limits(float(latency), int(cost)) for target, (latency, cost) in stored.items()}
