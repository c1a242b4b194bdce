"""Error recovery: the newest rehearsed outage, and calls that a second model answered."""

from app.audit.overview import overview
from app.console import formats
from app.console.readiness.answers import Answer, Evidence, State, aged, missing
from app.console.readiness.observability import DAY
from app.console.readiness.sources import Sources
from app.domain.errors import Misconfigured
from app.releases.rehearsals import OUTAGE

QUESTION = "If a model provider fails for half an hour at peak, how many of our users notice?"
COMMAND = "make outage"
SCENARIOS = ("provider-outage", "rate-limit-storm", "slow-first-token", "malformed-output")


async def answer(sources: Sources) -> Answer:
    """Read the log of rehearsals and of game days, and the last day's fallbacks."""
    found = [*_rehearsed(sources), *_played(sources)]
    if not found:
        found = [missing("Rehearsed outage", "no outage was rehearsed here", COMMAND)]
    words = f"The newest rehearsal: {found[0].value}." if found[0].state != "missing" else "No outage was rehearsed here."
    total = (await overview(sources.engine, sources.now - DAY, sources.now, DAY)).total
    if total.fallen_back:
        value = f"{formats.number(total.fallen_back, 'request')} of the last 24 h were answered by another model after a failure"
        found.append(
            Evidence(name="In production", value=value, link="/console/calls?range=24h", command="octant calls --since 24h")
        )
    return Answer(axis="Recovery", question=QUESTION, words=words, evidence=found, command=COMMAND)


def _rehearsed(sources: Sources) -> list[Evidence]:
    try:
        log = sources.rehearsals(OUTAGE)
    except Misconfigured as error:
        return [Evidence(name="Log of rehearsals", value=str(error), state="failing", command="octant rehearse verify")]
    if not log:
        return []
    newest = log[-1]
    state: State = aged(newest.at, sources.now) if newest.kept else "failing"
    return [Evidence(name="Rehearsed outage", value=newest.note or newest.verdict, state=state, at=newest.at, command=COMMAND)]


def _played(sources: Sources) -> list[Evidence]:
    """The newest game day of each fault of a provider."""
    newest = {one.scenario: one for one in sources.gamedays(*SCENARIOS)}
    found = []
    for name, one in sorted(newest.items(), key=lambda item: SCENARIOS.index(item[0])):
        times = ", ".join(
            f"{words} after {at:.0f} s"
            for words, at in (("detected", one.detected), ("contained", one.contained), ("recovered", one.recovered))
            if at is not None
        )
        state: State = aged(one.at, sources.now) if one.verdict == "kept" else "failing"
        value = f"the promise was {one.verdict}" + (f"; {times}" if times else "")
        link = f"/console/gameday/{one.report.removesuffix('.json')}" if one.report else ""
        command = f"octant drill gameday {name}"
        found.append(Evidence(name=f"Game day {name}", value=value, state=state, at=one.at, link=link, command=command))
    return found
