"""What gauges show of a canary: the running one, or the last one if the service has stopped it lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.releases import canaries
from app.releases.bad_events import METRICS, SEEN
from app.releases.canaries import Cause
from app.releases.evidence import log10_of, skewed, tolerable, worse

SHOWN = timedelta(days=1)  # a stop by the service stays in the gauges that long, so that a ticket outlives the night


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryState:
    """``share`` is 0 where no canary runs. ``evidence`` and ``promotion``: log10 by metric; the split's under `SEEN`.

    ``users``: the canary's, and the others'. ``seconds_left`` until the deadline; negative once it has passed.
    ``aborted``: why the service has stopped the last canary, within a day and with none after it.
    """

    share: float = 0.0
    users: tuple[int, int] = (0, 0)
    evidence: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys((SEEN, *METRICS), 0.0))
    promotion: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.0))
    seconds_left: float = 0.0
    aborted: Cause = ""


async def read(engine: AsyncEngine, now: datetime | None = None) -> CanaryState:
    """Read it. Raises SQLAlchemyError or OSError."""
    now = now or datetime.now(UTC)
    async with engine.connect() as connection:
        canary = await canaries.newest(connection)
        if canary is None:
            return CanaryState()
        if canary.state != canaries.RUNNING:
            by_itself = canary.state == canaries.STOPPED and canary.ended_by == canaries.SERVICE
            if not (by_itself and canary.ended_at and now - canary.ended_at < SHOWN):
                return CanaryState()
            return CanaryState(aborted=(await canaries.judgement(connection, canary.id)).cause)
        judged = await canaries.judgement(connection, canary.id)
    of_canary, everyone = (sum(getattr(c, name) for c in judged.seen) for name in ("canary", "users"))
    return CanaryState(
        share=canary.share,
        users=(of_canary, everyone - of_canary),
        evidence={
            SEEN: log10_of(skewed(judged.seen)),
            **{name: log10_of(worse(steps)) for name, steps in judged.metrics.items()},
        },
        promotion={name: log10_of(tolerable(steps)) for name, steps in judged.metrics.items()},
        seconds_left=(canary.deadline - now).total_seconds(),
    )
