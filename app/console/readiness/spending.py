"""Cost caps: the most that one user can spend in a day, from the caps in force, and the code that enforces it."""

import asyncio
from datetime import datetime, timedelta

from app.budget import exposure
from app.budget.reconcile import differences
from app.console import formats
from app.console.readiness.answers import Answer, Evidence, State, missing
from app.console.readiness.played import played_or_gap
from app.console.readiness.sources import Sources

QUESTION = "How much can one rogue user spend in a day, and which code enforces it?"
COMMAND, ROGUE = "octant budget worst-case", "rogue-user"
FRESH = timedelta(minutes=10)
RUN_BY = (
    ". They are there; this review does not run them. CI does on every change, in the jobs `test` and `rehearsals` of"
    " .github/workflows/ci.yml"
)


async def answer(sources: Sources) -> Answer:
    """Compute the worst day of every tenant, and compare counters with the ledger."""
    tenants = await sources.keys.list_tenants()
    highest = await exposure.highest_own_caps(sources.engine)
    worst = [(one, exposure.of(one, sources.policy, highest.get(one.id), workers=sources.workers)) for one in tenants]
    if not worst:
        found = [missing("Worst day", "there is no tenant, so no user can spend anything", "octant tenant create")]
        return Answer(axis="Cost", question=QUESTION, words="There is no tenant yet.", evidence=found, command=COMMAND)
    tenant, most = max(worst, key=lambda one: one[1].user)
    found = [
        Evidence(
            name=f"Worst day at {tenant.id}",
            value=f"one user {formats.usd(most.user)} ({most.why_user}); all users of a key {formats.usd(most.tenant)}"
            f" ({most.why_tenant}); one call {formats.usd(most.call)} ({most.why_call})",
            link="/console/budgets", command=COMMAND,
        ),
        _files(sources, "Enforced by", exposure.ENFORCED_BY),
        _files(sources, "Proven by", exposure.PROVEN_BY, note=RUN_BY, command="make test"),
        await _ledger(sources),
        *rogue(sources),
    ]  # fmt: skip
    words = (
        f"{formats.usd(most.user)}: the {most.why_user} of {tenant.id}. In a night, which has a part of two days, at most"
        f" {formats.usd(most.user_night)}; in a month at most {formats.usd(most.user_month)}; the holder of its key, who"
        f" can name many users, {formats.usd(most.tenant)} a day. {exposure.ENFORCED_BY[0]} holds the worst case of a call before"
        " it begins."
    )
    return Answer(axis="Cost", question=QUESTION, words=words, evidence=found, command=COMMAND)


def rogue(sources: Sources) -> list[Evidence]:
    """The newest game day of a rogue user; a gap where none was played here: the tests run elsewhere."""
    value = "no rogue user was played here, so the cap is proven by tests alone"
    return played_or_gap(sources, ROGUE, name="Rogue user", value=value, has="one call without end")


def _files(sources: Sources, name: str, places: tuple[str, ...], *, note: str = "", command: str = "") -> Evidence:
    """Places in the code, each of which must exist with the name behind its colons. ``note``: how they are run."""
    gone, there = [], False
    for place in places:
        file, _, what = place.partition("::")
        path = sources.root / file
        there |= (sources.root / file.split("/")[0]).is_dir()
        function = what.rpartition(".")[2]
        if not path.is_file() or (function and function not in path.read_text(encoding="utf-8")):
            gone.append(place)
    if gone and there:
        return Evidence(name=name, value=f"not there: {', '.join(gone)}", state="failing")
    if gone:
        value = f"{', '.join(places)} (this machine has no tests)"
        return Evidence(name=name, value=value, state="gaps", closed_by="`make test` runs them in a clone of the code.")
    return Evidence(name=name, value=", ".join(places) + note, command=command)


async def _ledger(sources: Sources) -> Evidence:
    """Compare counters with the ledger, at most once in `FRESH`: it reads the whole month."""
    before = sources.kept.get("ledger")
    if before and isinstance(before.at, datetime) and sources.now - before.at < FRESH:
        return before
    command = "octant budget reconcile"
    try:
        async with asyncio.timeout(sources.patience):
            found = await differences(sources.valkey, sources.ledger)
    except TimeoutError:
        value = f"it is too long to compare in {sources.patience:g} s here; the service compares it by itself and alerts"
        return before or Evidence(
            name="Ledger",
            value=value,
            state="gaps",
            closed_by=f"`{command}` compares it, however long that takes.",
            command=command,
        )
    value = f"{formats.number(len(found), 'counter')} differ from the ledger" if found else "every counter agrees with the ledger"
    state: State = "failing" if found else "proved"
    sources.kept["ledger"] = Evidence(name="Ledger", value=value, state=state, at=sources.now, command=command)
    return sources.kept["ledger"]
