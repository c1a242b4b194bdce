"""Records of answers that were replayed under an `Idempotency-Key` (G8, O1).

A replay asks no model and costs nothing. It is found like any call, but counts in no rate or objective, because those measure
calls. Its metric is ``octant_idempotency_total{outcome="replayed"}``.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from app.audit.recorder import Recorder
from app.domain.calls import Usage
from app.domain.money import ZERO, to_dollars
from app.domain.records import REPLAYED, CallRecord, Replay
from app.gateway.tracing import describe_record
from app.telemetry.spans import Tracing

log = logging.getLogger("octant.calls")


@dataclass(frozen=True, slots=True)
class Replays:
    """Writes a record, a span and a log line for each replay."""

    recorder: Recorder
    tracing: Tracing

    def record(self, replay: Replay) -> None:
        """Record a replay. Never waits, never raises."""
        with self.tracing.call(replay.feature) as span:
            record = _record(replay, span.trace_id)
            self.recorder.record(record)
            describe_record(span, record)
        log.info(
            "call",
            extra={
                "call_id": record.id,
                "trace_id": record.trace_id,
                "tenant": record.tenant,
                "feature": record.feature,
                "target": record.target,
                "release": record.release,
                "outcome": record.outcome,
                "replay_of": record.replay_of,
                "attempts": 0,
                "cost_usd": to_dollars(record.cost),
                "duration_ms": round(record.latency_ms, 2),
                "overhead_ms": round(record.overhead_ms, 2),
            },
        )


def _record(replay: Replay, trace_id: str) -> CallRecord:
    milliseconds = replay.seconds * 1000
    return CallRecord(
        id=f"call_{uuid.uuid4().hex}",
        request_id=replay.request_id,
        at=datetime.now(UTC),
        trace_id=trace_id,
        tenant=replay.identity.tenant.id,
        user=replay.user,
        key_id=replay.identity.key_id,
        feature=replay.feature,
        target=replay.path,
        release=replay.release,
        prompt=None,
        prompt_version=None,
        provider=None,
        model=None,
        model_answered=None,
        stream=replay.stream,
        outcome=REPLAYED,
        error=None,
        latency_ms=milliseconds,
        ttft_ms=None,
        overhead_ms=milliseconds,
        usage=Usage(),
        cost=ZERO,
        held=ZERO,
        fallbacks=0,
        degraded=(),
        request="",
        response="",
        attempts=(),
        replay_of=replay.replay_of,
    )
