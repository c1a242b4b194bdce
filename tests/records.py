"""Helpers that the tests of records share."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord


def a_record(**changes: Any) -> CallRecord:  # noqa: ANN401 - any field of a record
    call_id = changes.pop("id", f"call_{uuid4().hex}")
    fields: dict[str, Any] = {
        "id": call_id,
        "request_id": f"req_{uuid4().hex}",
        "at": datetime.now(UTC),
        "trace_id": uuid4().hex,
        "tenant": "audit-tests",
        "user": "ada",
        "key_id": "1a2b3c4d",
        "feature": "support.answer",
        "target": "support/answer",
        "release": "2026-11-22",
        "prompt": "support/answer",
        "prompt_version": "v2",
        "provider": "openai",
        "model": "gpt-6-luna",
        "model_answered": "gpt-6-luna-2026-10-01",
        "stream": False,
        "outcome": "ok",
        "error": None,
        "latency_ms": 120.5,
        "ttft_ms": None,
        "overhead_ms": 2.25,
        "usage": Usage(input=10, output=5, cached_input=3, cache_write=2, reasoning=1),
        "cost": MicroUSD(42),
        "held": MicroUSD(100),
        "fallbacks": 1,
        "degraded": ("guard:fake-role",),
        "request": '{"messages": ["hello"]}',
        "response": '{"parts": []}',
        "attempts": (
            Attempt(number=1, provider="anthropic", model="claude-haiku-5-5", outcome="provider_timeout", started_ms=1.0,
                    latency_ms=80.0, error="no answer for grace@example.com"),
            Attempt(number=2, provider="openai", model="gpt-6-luna", outcome="ok", started_ms=81.0, latency_ms=39.0,
                    usage=Usage(10, 5, 3, 2, 1), cost=MicroUSD(42), provider_request_id="abc"),
        ),
    }  # fmt: skip
    return CallRecord(**(fields | changes))


class Drops:
    def __init__(self) -> None:
        self.total = 0

    def __call__(self, count: int) -> None:
        self.total += count
