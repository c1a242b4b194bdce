"""Dependencies of the edge, handed in by the composition root."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from starlette.requests import Request

from app.domain.records import FailedAnswer, Replay
from app.edge.failed_logins import FailedLogins
from app.idempotency.idempotency import Idempotency
from app.jobs.jobs import Jobs
from app.oncall.switch import KillSwitch
from app.security.keys.ring import KeyRing
from app.telemetry.metrics import Metrics
from app.telemetry.spans import Tracing

Health = Literal["ok", "degraded", "failing"]
Check = Callable[[], Awaitable[Health]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeParts:
    """Times in seconds. ``keep_alive``: silence after which a stream sends a sign of life; 0 for none.

    ``first_byte``: the wait for a first chunk after which a stream's headers leave without it; 0 for never.
    ``checks`` are our own dependencies by name; one that raises is failing.

    ``replayed`` records an answer that was given again, ``failed`` counts one of 4xx or 5xx; neither waits nor raises.
    """

    keys: KeyRing
    failed_logins: FailedLogins
    idempotency: Idempotency
    replayed: Callable[[Replay], None]
    failed: Callable[[FailedAnswer], None]
    metrics: Metrics
    tracing: Tracing
    request_deadline: float
    max_json_depth: int
    checks: Mapping[str, Check]
    jobs: Jobs
    webhook_hosts: frozenset[str]
    version: Callable[[], Mapping[str, Any]]
    switch: KillSwitch
    keep_alive: float = 0.0
    first_byte: float = 0.0


def parts_of(request: Request) -> EdgeParts:
    """The edge's parts of the running application."""
    return cast("EdgeParts", request.app.state.edge)
