"""Build answers: bytes, and the headers that describe how they were made (G10)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from app.domain.calls import RateState, Receipt
from app.domain.json_text import compact
from app.domain.money import to_dollars


def receipt_headers(receipt: Receipt, *, cost_known: bool = True) -> dict[str, str]:
    """The ``octant-*`` headers. A stream's headers leave before its cost is known, so ``cost_known`` is false there."""
    headers = {
        "x-request-id": receipt.request_id,
        "request-id": receipt.request_id,
        "octant-trace-id": receipt.trace_id,
        "octant-provider": receipt.provider,
        "octant-model": receipt.model,
        "octant-release": receipt.release,
        "octant-attempts": str(receipt.attempts),
        "octant-fallbacks": str(receipt.fallbacks),
        "octant-degraded": ",".join(receipt.degraded),
        "octant-overhead-ms": f"{receipt.overhead_ms:.2f}",
        **rate_headers(receipt.rates),
    }
    if receipt.prompt:
        headers["octant-prompt"] = receipt.prompt
    if cost_known:
        headers["octant-cost-usd"] = to_dollars(receipt.cost)
    return headers


def rate_headers(rates: Mapping[str, RateState]) -> dict[str, str]:
    """Headers of both vendors for the rate limits; empty without a limit.

    platform.openai.com/docs/guides/rate-limits: resets are durations. docs.anthropic.com/en/api/rate-limits: they are times.
    """
    headers: dict[str, str] = {}
    for kind, state in rates.items():
        at = datetime.now(UTC) + timedelta(seconds=state.reset)
        headers |= {
            f"x-ratelimit-limit-{kind}": str(state.limit),
            f"x-ratelimit-remaining-{kind}": str(state.remaining),
            f"x-ratelimit-reset-{kind}": f"{state.reset:.3f}s",
            f"anthropic-ratelimit-{kind}-limit": str(state.limit),
            f"anthropic-ratelimit-{kind}-remaining": str(state.remaining),
            f"anthropic-ratelimit-{kind}-reset": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    return headers


def less(degraded: Sequence[str]) -> dict[str, Any]:
    """The body's copy of ``octant-degraded``; empty where nothing was degraded."""
    return {"octant": {"degraded": list(degraded)}} if degraded else {}


def summary(receipt: Receipt) -> dict[str, Any]:
    """The receipt for a stream's last event: the headers left before it was known."""
    facts = {
        "cost_usd": to_dollars(receipt.cost),
        "provider": receipt.provider,
        "model": receipt.model,
        "attempts": receipt.attempts,
        "fallbacks": receipt.fallbacks,
        "degraded": list(receipt.degraded),
    }
    return {"octant": facts}


def json_answer(body: bytes | Mapping[str, Any], receipt: Receipt | None = None, *, status: int = 200) -> Response:
    """A JSON answer; with a receipt it carries the ``octant-*`` headers."""
    content = body if isinstance(body, bytes) else compact(body)
    headers = receipt_headers(receipt) if receipt else {}
    return Response(content, status_code=status, headers=headers, media_type="application/json")
