"""Rehearsals as evidence: the newest game day of each scenario that was played here, one under way, and attempts."""

from app.console import formats
from app.console.gamedays import MIX
from app.console.readiness.answers import Evidence, State, rehearsed
from app.console.readiness.sources import Found, GameDay, Sources
from app.oncall.gamedays import played_now
from app.releases.rehearsals import JUDGED

TIMES = ("detected", "contained", "recovered")


def played(sources: Sources, *scenarios: str) -> list[Evidence]:
    """The newest game day of each scenario, in the order of ``scenarios``."""
    days = sources.gamedays(*scenarios)
    newest = {one.scenario: one for one in days}
    counted = newest | {one.scenario: one for one in days if one.verdict in JUDGED}
    return [_evidence(counted[name], newest[name], sources) for name in scenarios if name in counted]


def played_or_gap(sources: Sources, scenario: str, *, name: str, value: str, has: str) -> list[Evidence]:
    """The newest game day of a scenario; else the gap. ``has``: what its game day would have."""
    command = f"octant drill gameday {scenario}"
    shows = f"`{command}` has {has} on a service of its own."
    gap = Evidence(name=name, value=value, state="gaps", closed_by=shows, link="/console/gameday", command=command)
    return played(sources, scenario) or [gap]


def under_way(sources: Sources, *scenarios: str) -> str:
    """A sentence on the game day of ``scenarios`` that is being played now; empty without one.

    It is no evidence: before its end it proves nothing, and takes nothing from what is known.
    """
    now = played_now(sources.state_dir)
    if now is None or now.scenario not in scenarios:
        return ""
    return f" A game day {now.scenario} is under way: the page of game days shows how far it is; its result counts after its end."


def attempted(found: Found, command: str) -> list[Evidence]:
    """A newer rehearsal without a verdict: it is named, and takes nothing from the one that counts."""
    one = found.attempt
    if one is None:
        return []
    value = f"{one.result}. It says nothing about the promise"
    again = f"`{command}` repeats it, on a quieter machine."
    return [Evidence(name="Last attempt", value=value, state="gaps", closed_by=again, at=one.at, command=command)]


def newest_kept(sources: Sources, scenario: str) -> GameDay | None:
    """The newest game day of a scenario whose promise was kept."""
    return next((one for one in reversed(sources.gamedays(scenario)) if one.verdict == "kept"), None)


def _evidence(one: GameDay, newest: GameDay, sources: Sources) -> Evidence:
    """One game day. ``newest``: of its scenario, another one where that has no verdict: it is named, and hides nothing."""
    judged = one.verdict in JUDGED
    state: State = rehearsed(one.at, sources.now, kept=one.verdict == "kept") if judged else "missing"
    size = f", {one.answered:,} of {one.callers:,} requests answered, on a service of its own" if one.callers else ""
    size += f", played by {one.by}" if one.by else ""
    value = f"the promise was {one.verdict}" if judged else f"a game day without a verdict: {one.verdict}"
    named = sorted((at, name) for name in TIMES if (at := getattr(one, name)) is not None)
    times = ", ".join(f"{name} after {formats.seconds(at)}" for at, name in named)
    times += ": the service stopped it by itself" if one.by_itself else ""
    unjudged = f"{formats.span(sources.now - newest.at)} ago it was played without a verdict: {newest.verdict}"
    before, fault = one.costs.get("before"), one.costs.get("fault")
    known = before is not None and fault is not None
    price = f"an answer cost {formats.usd(before)} before the fault and {formats.usd(fault)} in it ({MIX})" if known else ""
    revoked = f"the revoked key was refused {one.refusal}" if one.refusal else ""
    instead, _, evals = one.instead.partition(". ")
    value = "; ".join(
        filter(None, (value + size, times, one.not_contained, instead, revoked, price, unjudged if newest is not one else ""))
    )
    value += f". {evals}. Headers of such an answer: {one.shown_by}" if evals else ""
    link = f"/console/gameday/{one.report.removesuffix('.json')}" if one.report else ""
    return Evidence(
        name=f"Game day {one.scenario}", value=value, state=state, at=one.at, link=link,
        closed_by=f"`octant drill gameday {one.scenario}` plays it again.", command=f"octant drill gameday {one.scenario}",
    )  # fmt: skip
