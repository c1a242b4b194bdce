"""What counts against a canary in one call (B4a)."""

from typing import Any

import pytest
from records import a_record

from app.domain.money import MicroUSD
from app.releases.bad_events import Limits, as_json, bad_in, from_json

TRIED = a_record().attempts  # the first target timed out, the second answered
LIMITS = {"support/answer": Limits(latency_ms=1_000, cost=100)}


@pytest.mark.parametrize(
    ("facts", "bad"),
    [
        ({"fallbacks": 1, "attempts": TRIED}, ("failed",)),
        ({"fallbacks": 1, "attempts": TRIED[1:]}, ()),  # an operator has stopped the first target, or it rests
        ({"fallbacks": 0, "attempts": TRIED}, ()),  # the first target won a race
        ({"fallbacks": 0, "attempts": ()}, ()),
        ({"outcome": "providers_unavailable", "fallbacks": 0}, ("failed",)),
        ({"outcome": "last_resort", "fallbacks": 0}, ("failed",)),
        ({"outcome": "output_invalid", "fallbacks": 0}, ("refused",)),
        ({"fallbacks": 0, "degraded": ("guard:canary",)}, ("refused",)),
        ({"fallbacks": 0, "latency_ms": 1_001.0, "cost": MicroUSD(101)}, ("slow", "dear")),
        ({"fallbacks": 0, "latency_ms": 9_999.0, "target": "unknown"}, ()),  # it had no calls before the canary
        ({"outcome": "stopped_by_operator"}, None),
        ({"outcome": "budget_exceeded"}, None),
        ({"outcome": "invalid_request"}, None),
        ({"outcome": "cancelled"}, None),
    ],
)
def test_only_what_a_release_answers_for_counts_against_it(facts: dict[str, Any], bad: tuple[str, ...] | None) -> None:
    assert bad_in(a_record(**({"degraded": ()} | facts)), LIMITS) == bad


def test_limits_survive_their_column() -> None:
    assert from_json(as_json(LIMITS)) == LIMITS
