"""Game days: the reports that are kept, and one of them as two lanes on one axis of time; rehearsed outages beside them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console import formats, gamedays, live
from app.console.console import ROUTES, VIEWING, Console
from app.console.gameday_actions import refusal
from app.console.gamedays import TIMES, WORDS, Report
from app.console.navigation import GAMEDAY
from app.console.pages.readiness import sources_of
from app.console.readiness.answers import OLD
from app.console.readiness.sources import Found as Rehearsed
from app.console.rehearsed import commands, newest
from app.domain.errors import Misconfigured, NotFound
from app.oncall.gamedays import Playing, played_now
from app.oncall.runbook.pages import FOLDER as RUNBOOK
from app.releases.rehearsals import OUTAGE

COMMAND = "octant drill gameday {}"
MOST_OUTAGES = 5
JUST = timedelta(minutes=10)  # after its end, the page begins with the newest game day


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)
    state_dir: Path = console.parts.state_dir

    @made.get("/gameday")
    async def page(request: Request) -> Response:
        """Every report, newest first, and the scenarios that were never played."""
        now_played, found = await asyncio.to_thread(seen, state_dir)
        known = await asyncio.to_thread(gamedays.scenarios, RUNBOOK)
        played = {one.played.scenario for one in found}
        now = datetime.now(UTC)
        kind, words = answer(found, [one.name for one in known], now)
        ended = found[0] if found and not now_played and now - ended_at(found[0]) < JUST else None
        return console.page(
            request, "gamedays.html", GAMEDAY, found=found, kind=kind, words=words, command=COMMAND,
            played=played, known=known, commands=commands(found), ended=ended, ended_words=described(ended)[1] if ended else "",
            now_played=now_played, shown=_named(now_played), changed=False, refusal=refusal(console.parts.environment),
            outages=await _outages(console),
        )  # fmt: skip

    @made.get("/live/gameday")
    async def part(request: Request) -> Response:
        """The game day under way. The page is loaded anew when one begins, and when it is over."""
        shown = request.query_params.get("shown", "")

        async def write() -> str:
            now_played = await asyncio.to_thread(played_now, state_dir)
            return console.fragment("parts/gameday.html", now_played=now_played, changed=_named(now_played) != shown)

        return live.stream(request, console, write, every=1.0)

    @made.get("/gameday/{name}")
    async def one(request: Request, name: str) -> Response:
        """One report."""
        found = await asyncio.to_thread(gamedays.report, state_dir, name)
        if found is None:
            raise NotFound("There is no such report of a game day, or it cannot be read.")
        kind, words = described(found)
        draft = await asyncio.to_thread(gamedays.postmortem, state_dir, name)
        played = found.played
        return console.page(
            request, "gameday.html", GAMEDAY, title=found.written_before.title or played.scenario, one=found, kind=kind,
            words=words,
            lanes=gamedays.lanes(played), times=[(at, WORDS[at], getattr(played, at)) for at in TIMES],
            draft=draft, command=COMMAND.format(played.scenario), measured=measured,
        )  # fmt: skip

    return made


def seen(state_dir: Path) -> tuple[Playing | None, list[Report]]:
    """The game day under way, and the reports. In this order: one that ends meanwhile has written its report before its end."""
    return played_now(state_dir), gamedays.reports(state_dir)


def _named(played: Playing | None) -> str:
    """A name for the game day under way, for an address; empty where none is."""
    return f"{played.scenario} {played.begun_at:%Y-%m-%dT%H:%M:%S}" if played else ""


async def _outages(console: Console) -> Sequence[Rehearsed]:
    """The newest rehearsed outages that were judged. None where the log cannot be read, or where they ran is not known."""
    sources = sources_of(console, {})
    began = await console.known.read("first live", sources.began())
    with suppress(Misconfigured, OSError):
        log = await asyncio.to_thread(sources.rehearsals, OUTAGE)
        judged = [one for one in reversed(log) if one.judged][:MOST_OUTAGES]
        return () if began.away and began.value is None else sources.found(judged, began.value)
    return ()


def ended_at(one: Report) -> datetime:
    """When a game day was over: its last event is."""
    last = max((at for at, _ in one.played.timeline), default=0.0)
    return one.played.begun_at + timedelta(seconds=last)


def answer(found: Sequence[Report], known: Sequence[str], now: datetime) -> tuple[str, str]:
    """One sentence on all game days."""
    if not found:
        return "none", "No game day was played here yet."
    days = newest(found)
    kept = [one for one in days if one.played.verdict == "kept"]
    broken = [one.played.scenario for one in days if one.played.verdict == "not kept"]
    old = [one for one in kept if now - one.played.begun_at > OLD]
    number = formats.number(len({*known, *(one.played.scenario for one in days)}), "scenario")
    words = f"{len(days)} of {number} {'was' if len(days) == 1 else 'were'} played here; the promise was kept in "
    words += "each" if len(kept) == len(days) > 1 else "it" if len(kept) == len(days) else f"{len(kept)} of them"
    if broken:
        return "bad", f"{words}, and not in {' and '.join(broken)}."
    if old or len(kept) < len(known):
        return "warn", f"{words}{f'; {len(old)} over {OLD.days} days ago' if old else ''}."
    return "good", f"{words}."


def described(one: Report) -> tuple[str, str]:
    """A game day in one sentence."""
    played = one.played
    if played.verdict == "kept":
        return "good", f"The promise was kept: {_times(one)}."
    if played.verdict == "not kept":
        broken = [
            f"“{probe.name}” did not hold in the phase {probe.phase} ({measured(probe.value, probe.measure)})"
            for probe in played.probes
            if not probe.holds
        ]
        why = [*broken, *played.reasons, "a limit was broken"][0]
        return "bad", f"The promise was not kept: {why}."
    why = f": {played.reasons[0]}" if played.reasons else ""
    return "none", f"No verdict on the service, {played.verdict}{why}."


def _times(one: Report) -> str:
    named = [(WORDS[name], getattr(one.played, name)) for name in ("detected", "contained", "recovered")]
    named.sort(key=lambda pair: pair[1] if pair[1] is not None else 0.0)
    callers = one.played.callers
    number = f"{formats.count(callers.get('answered', 0))} of {formats.number(sum(callers.values()), 'call')} answered"
    alone = {WORDS["contained"]: " by the cap alone"} if one.played.by_itself else {}
    times = [
        f"{words} after {formats.seconds(at)}{alone.get(words, '')}"
        for words, at in named if at is not None
    ] or ["no time was measured"]  # fmt: skip
    unanswered = f"; {one.played.not_contained}" if one.played.not_contained else ""
    return ", ".join([*([number] if callers else []), *times]) + unanswered


def measured(value: float | None, measure: str) -> str:
    """A probe's value in its unit."""
    if value is None:
        return "no caller"
    return formats.seconds(value) if measure.endswith("seconds") else f"{formats.digits(value)} %"
