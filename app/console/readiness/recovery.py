"""Error recovery: the newest rehearsed outage, and calls that a second model answered."""

import asyncio
from datetime import UTC, datetime, time

from app.audit.overview import overview
from app.console import formats
from app.console.readiness.answers import Answer, Evidence, State, missing, of_rehearsal, rehearsed
from app.console.readiness.observability import DAY
from app.console.readiness.played import attempted, played, under_way
from app.console.readiness.sources import Sources
from app.domain.errors import Misconfigured
from app.oncall.reach import of_one_provider
from app.oncall.runbook.pages import read
from app.releases.manifest import parse
from app.releases.rehearsals import OUTAGE, recorded

QUESTION = "If a model provider fails for half an hour at peak, how many of our users notice?"
COMMAND = "make outage"
REHEARSALS = "/console/gameday#outages"
LOGGED = "`make outage ARGS=--log` rehearses half an hour at peak in seconds here, with every time of it as much shorter."
PAGE, RUNBOOK = "provider-outage.md", "make runbook"
HALF_AN_HOUR = 1800.0  # seconds
SCENARIOS = ("provider-outage", "all-providers-away", "rate-limit-storm", "slow-first-token", "malformed-output")


async def answer(sources: Sources) -> Answer:
    """Read the log of rehearsals and of game days, and the last day's fallbacks."""
    log, own = await _rehearsed(sources)
    days = played(sources, *SCENARIOS)
    found = [*log, *days] if own else [*days, *_length(sources), *log]  # how short it was is said before what ran elsewhere
    if found and (own or found != log):
        words = f"The newest rehearsal here: {found[0].first_sentence}."
        words += f" On another machine, with far more callers: {log[0].value}." if log and not own else ""
    else:
        words = "No outage was rehearsed here."
        page, own = await asyncio.to_thread(_of_the_runbook, sources, await sources.began())
        found += page
        if not own:
            found = [missing("Rehearsed outage", "no outage was rehearsed here", COMMAND, closed_by=LOGGED), *found]
            words = f"{words} On another machine: {log[0].value}." if log else words
        else:
            words = f"The runbook's page was rehearsed here: {found[-1].value}."
    total = (await overview(sources.engine, sources.now - DAY, sources.now, DAY)).total
    if total.fallen_back:
        calls = formats.number(total.fallen_back, "call")
        value = f"{calls} of the last 24 h: answered by another model than the first of the route"
        found.append(
            Evidence(
                name="Fallbacks here",
                value=value,
                link="/console/calls?range=24h&failed=false&min_fallbacks=1",
                command="octant calls --since 24h",
            )
        )
    found += await _alone(sources)
    words += under_way(sources, *SCENARIOS)
    return Answer(axis="Recovery", question=QUESTION, words=words, evidence=found, command=COMMAND)


async def _rehearsed(sources: Sources) -> tuple[list[Evidence], bool]:
    """The newest one in the logs, and whether it is of this installation."""
    try:
        newest = await sources.newest(OUTAGE)
    except Misconfigured as error:
        return [Evidence(name="Log of rehearsals", value=str(error), state="failing", command="octant rehearse verify")], True
    if newest is None:
        return [], False
    one = newest.rehearsal
    value = one.result + newest.mark
    state = of_rehearsal(one, sources.now, whole=newest.own)
    found = [
        Evidence(
            name="Rehearsed outage", value=value, state=state, closed_by=LOGGED, at=one.at, link=REHEARSALS,
            command=one.command or COMMAND,
        )
    ]  # fmt: skip
    return [*found, *attempted(newest, COMMAND)], newest.own


async def _alone(sources: Sources) -> list[Evidence]:
    """The aliases that nothing takes over: embeddings can have no second provider, as its vectors would mean something else."""
    text = await sources.releases.live_text()
    release = (await sources.releases.find(parse(text, "the live release").id)).release if text else None
    if release is None or not (alone := of_one_provider(release.all_routes)):
        return []
    held: State = "gaps" if any(name in release.routes for names in alone.values() for name in names) else "proved"
    words = [f"{provider} alone answers {formats.listed(names)}" for provider, names in alone.items()]
    value = f"{'; '.join(words)}: no other model takes over while it is away, and their callers get 503 providers_unavailable"
    second = "Give the alias a second target in the next release: `octant release activate RELEASE`."
    return [Evidence(name="Aliases of one provider", value=value, state=held, closed_by=second, command="octant release status")]


def _of_the_runbook(sources: Sources, began: datetime | None) -> tuple[list[Evidence], bool]:
    """The rehearsal that the page of an outage names, and whether it was here. It counts as on the question of the runbook."""
    page = next((one for one in read(sources.root / "runbook") if one.name == PAGE), None)
    if page is None or page.rehearsed is None:
        return [], False
    day, minutes = page.rehearsed
    own = began is not None and day > began.date()
    state = rehearsed(datetime.combine(day, time(0), UTC), sources.now, kept=True, whole=own)
    value = f"its commands contained an outage in {formats.rehearsed(minutes)}" + ("" if own else f" ({recorded(RUNBOOK, day)})")
    link = f"/console/runbook/{PAGE.removesuffix('.md')}"
    again = f"`{RUNBOOK}` rehearses it here."
    return [
        Evidence(name="Page of the runbook", value=value, state=state, closed_by=again, at=day, link=link, command=RUNBOOK)
    ], own


def _length(sources: Sources) -> list[Evidence]:
    """How long the fault of a game day lasted: the question is about half an hour."""
    longest = max((one.fault_ended for one in sources.gamedays(*SCENARIOS) if one.fault_ended), default=None)
    if longest is None or longest >= HALF_AN_HOUR:
        return []
    value = f"the longest fault that was rehearsed here lasted {formats.seconds(longest)}"
    return [Evidence(name="Half an hour at peak", value=value, state="gaps", closed_by=LOGGED, command=COMMAND)]
