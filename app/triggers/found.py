"""Findings of the service: a feature's answers fail more often, or its calls cost more.

Each becomes one stored trigger: the release that was live, its changes, the figures by release, and the command that goes back.
The service does not run it. A canary is aborted by its own evidence alone (`app.releases.evidence`), as a second rule beside it
would break its promised rate of false alarms. Where the figures point at the running canary, the command aborts that.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import figures
from app.oncall import triggers
from app.oncall.triggers import Trigger
from app.releases.evidence import Count, worse
from app.releases.way_back import WayBack, way_back

BLAMED = 20.0  # evidence to 1 that the canary is worse: enough to recommend its end
DEARER = 1.5  # the canary's median cost a call, times the others'
FEWEST = 20  # calls of the canary


async def answers_drift(engine: AsyncEngine, feature: str, drifted_at: datetime) -> int | None:
    """Store the trigger of a finding of the online evals. Returns its id; None where it is stored already."""
    key = f"eval_drift:{feature}:{drifted_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    if await triggers.known(engine, key):
        return None
    back = await way_back(engine)
    scores = await figures.scores_by_release(engine, feature, figures.DAY)
    blamed = _canary_fails(back, scores)
    trigger = Trigger(
        kind="eval_drift", subject=feature, key=key, release=back.release,
        text=f"Answers of {feature} fail more often than before.",
        command=back.command(f"answers of {feature} fail more often", of_canary=blamed),
        evidence={**back.as_json(), "scores_of_a_day": scores, "points_at_canary": blamed},
    )  # fmt: skip
    return await triggers.store(engine, trigger)


async def calls_dearer(engine: AsyncEngine, feature: str, ratio: float, now: datetime | None = None) -> int | None:
    """Store the trigger of a cost that rose: once a day for each feature and release. As `answers_drift`."""
    back = await way_back(engine)
    key = f"cost_drift:{feature}:{back.release}:{now or datetime.now(UTC):%Y-%m-%d}"
    if await triggers.known(engine, key):
        return None
    costs = await figures.costs_by_release(engine, feature, figures.HOUR)
    blamed = _canary_is_dearer(back, costs)
    trigger = Trigger(
        kind="cost_drift", subject=feature, key=key, release=back.release,
        text=f"A call of {feature} costs {ratio:.1f} times what it did (median of the last hour against the week before).",
        command=back.command(f"calls of {feature} cost more", of_canary=blamed),
        evidence={**back.as_json(), "ratio": ratio, "costs_of_an_hour": costs, "points_at_canary": blamed},
    )  # fmt: skip
    return await triggers.store(engine, trigger)


def _canary_fails(back: WayBack, scores: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether the failed answers are the canary's more often than its share explains."""
    if back.canary is None:
        return False
    ours = scores.get(back.canary.release, {}).get("failed", 0)
    everyones = ours + scores.get(back.canary.against, {}).get("failed", 0)
    return worse([Count(ours, everyones, back.canary.share)]) >= BLAMED


def _canary_is_dearer(back: WayBack, costs: Mapping[str, Mapping[str, int]]) -> bool:
    if back.canary is None:
        return False
    ours, others = costs.get(back.canary.release), costs.get(back.canary.against)
    return bool(ours and others and ours["calls"] >= FEWEST and ours["median_cost"] > DEARER * others["median_cost"])
