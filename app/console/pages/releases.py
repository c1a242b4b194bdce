"""Releases: the live one on every worker, the canary's evidence, stops, history, rehearsals, and each release by its pins."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.console import formats, live, stop_actions
from app.console.console import ROUTES, VIEWING, Console
from app.console.evidence_chart import drawn
from app.console.followed import of_changes
from app.console.known import Known
from app.console.navigation import RELEASES
from app.console.pages.readiness import sources_of
from app.console.readiness import rollback
from app.console.readiness.answers import KINDS as KINDS_OF_STATE
from app.console.readiness.answers import SHORT, Answer
from app.console.readiness.sources import Found as Rehearsed
from app.console.release_actions import forth, refusals
from app.domain.errors import Misconfigured
from app.domain.whole_numbers import whole_number
from app.oncall.held import Stop
from app.releases import canaries, history, rehearsals
from app.releases.canaries import Canary, Judgement
from app.releases.catalogue import Found, Listed
from app.releases.compared import Row, as_written, pins_of
from app.releases.eval_gate import remedy
from app.releases.evidence import tolerable, worse
from app.releases.evidence_line import Point, towards
from app.releases.following import Followed
from app.releases.history import Activation
from app.releases.reports import Report
from app.releases.shadow_control import Beside
from app.releases.shadows import Shadow
from app.releases.way_back import WayBack, way_back

TABS = {
    "rollback": "Rollback", "history": "History", "canary": "Canary and shadow", "all": "All releases", "stops": "Kill switch",
}  # fmt: skip
HISTORY = 25
MOST_HISTORY = 1000
MOST_REHEARSALS = 12
KINDS: Mapping[str, str] = {
    "provider": "Passes it over: routes fall back to their next model.",
    "model": "Refuses an alias, or passes one provider's model over.",
    "prompt": "Refuses every call with it.",
    "feature": "Refuses every call and side effect of a product.",
    "tool": "Keeps it from running; the model answers without it.",
    "tenant": "Refuses its calls, side effects, jobs and webhooks.",
    "user": "Refuses those of one user of a tenant.",
}

CanaryNow = tuple[Canary, Judgement, Sequence[Point]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that the page shows from Postgres. ``followed``: how soon workers followed a rollback, by its number."""

    past: Sequence[Activation]
    reports: Sequence[Report]
    canary: CanaryNow | None
    shadow: tuple[Shadow, Beside] | None
    listed: Sequence[Listed]
    unproven: Sequence[str]
    followed: Mapping[int, Followed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a canary: counted users by step, and how far its evidence has come, each as a share of what is needed."""

    name: str
    counts: str
    worse: float
    tolerable: float
    stop: float
    promote: float


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/releases")
    async def page(request: Request) -> Response:
        """The page."""
        count, tab = _count(request.query_params.get("history", "")), _tab(request)
        known = await console.known.read(("releases", count), _state(console, count))
        stops = await console.known.read("stops", _stops(console))
        way = (await console.known.read("way back", way_back(console.parts.engine))).value
        return console.page(
            request, "releases.html", RELEASES, known=known, stops=stops, tabs=TABS, tab=tab, fixed=stop_actions.FIXED,
            kinds=await stoppable(console) if tab == "stops" else (), effects=_effects(console, stops),
            back=await _rehearsed_way(console) if tab == "rollback" else None, way=way or WayBack(),
            rehearsed=await _rehearsed(console) if tab == "rollback" else ((), ""),
            forth=await _way_forth(console, way) if tab == "rollback" and way else ("", ""),
            count=count, more=count < MOST_HISTORY, states=SHORT, marks=KINDS_OF_STATE, changed=False,
            shown=_named(known, stops), **_shown(known, stops),
        )  # fmt: skip

    @made.get("/live/releases")
    async def part(request: Request) -> Response:
        """Its live part. The page is loaded anew when another release is live, or a stop, a canary or a shadow comes or ends."""
        shown = request.query_params.get("shown", "")

        async def write() -> str:
            known = await console.known.read(("releases", HISTORY), _state(console, HISTORY))
            stops = await console.known.read("stops", _stops(console))
            way = (await console.known.read("way back", way_back(console.parts.engine))).value
            session = request.scope["octant.console.session"]
            return console.fragment(
                "parts/releases.html",
                known=known,
                stops=stops,
                way=way or WayBack(),
                session=session,
                tabs=TABS,
                tab=_tab(request),
                changed=_named(known, stops) != shown,
                **_shown(known, stops),
            )

        return live.stream(request, console, write)

    @made.get("/releases/{release_id}")
    async def one(request: Request, release_id: str) -> Response:
        """One release: its pins."""
        with refusals():
            known = await console.known.read(("release", release_id), _one(console, release_id))
        return console.page(
            request, "release.html", RELEASES, title=f"Release {release_id}", known=known, release_id=release_id,
            **(known.value or {}),
        )  # fmt: skip

    return made


def _tab(request: Request) -> str:
    wanted = request.query_params.get("tab", "")
    return wanted if wanted in TABS else "rollback"


async def _way_forth(console: Console, way: WayBack) -> tuple[str, str]:
    """The command that takes a rollback back, and its page; empty where the newest change was none, or this is not known."""
    if not way.left:
        return "", ""
    return (await console.known.read(("way forth", way.left), forth(console, way.left))).value or ("", "")


async def _rehearsed_way(console: Console) -> Known[Answer]:
    """How the service rolls back, as the readiness review answers it: the last real one, and the seconds of the rehearsed."""
    return await console.known.read("rollback", rollback.answer(sources_of(console, {})))


def _count(text: str) -> int:
    number = whole_number(text, digits=8)
    return HISTORY if number is None else min(MOST_HISTORY, max(1, number))


async def _state(console: Console, count: int) -> State:
    releases = console.parts.releases
    past = await releases.history(limit=count)
    return State(
        past=past, reports=await releases.reports(), canary=await releases.latest_canary(), shadow=await releases.shadow(),
        listed=await releases.listed(), unproven=(past[0].unproven or ()) if past else (),
        followed=await of_changes(console.parts.engine, past),
    )  # fmt: skip


async def stoppable(console: Console) -> Sequence[tuple[str, str, Sequence[str]]]:
    """Each kind of stop, what it does, and the names that it can have."""
    parts = console.parts
    tenants = await console.known.read("tenants", parts.keys.list_tenants())
    found = []
    for scope, words in KINDS.items():
        names = stop_actions.names_of(scope, stop_actions.live_of(console), providers=parts.providers, products=parts.products)
        found.append((scope, words, [t.id for t in tenants.value or ()] if scope in ("tenant", "user") else names))
    return found


async def _stops(console: Console) -> Sequence[Stop]:
    """All stops that hold, users by their ids. Raises DependencyUnavailable where no store answers."""
    return await stop_actions.with_names(console, await console.parts.switch.status())


def _effects(console: Console, stops: Known[Sequence[Stop]]) -> list[str]:
    return [stop_actions.effect_of(stop.scope, stop.name, stop_actions.live_of(console)) for stop in stops.value or ()]


async def _rehearsed(console: Console) -> tuple[Sequence[Rehearsed], str]:
    """The last rehearsals, newest first, judged as the readiness review judges them, and what cannot be read."""
    sources = sources_of(console, {})
    try:
        log = await asyncio.to_thread(rehearsals.every, sources.rehearsals_file, sources.state_dir)
    except (Misconfigured, OSError) as error:
        return (), str(error)
    began = await console.known.read("first live", sources.began())
    unknown = f"Which of these were rehearsed here is not known: {began.away}." if began.away and began.value is None else ""
    return sources.found(log[: -MOST_REHEARSALS - 1 : -1], began.value), unknown


def _named(known: Known[State], stops: Known[Sequence[Stop]]) -> str:
    """A name for what the rest of the page depends on, for an address: the activation, the stops, the canary and the shadow."""
    state = known.value
    of_state = (
        (state.past[0].number if state.past else 0, state.canary and (state.canary[0].release, state.canary[0].state),
         state.shadow and state.shadow[0].release)
        if state else ()
    )  # fmt: skip
    found = (of_state, sorted(stop.words for stop in stops.value or ()))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12]


def _shown(known: Known[State], stops: Known[Sequence[Stop]]) -> dict[str, Any]:
    """What both the page and its live part write."""
    state, stopped = known.value, stops.value or []
    if state is None:
        return {"state": None, "kind": "warn", "words": "Postgres does not answer: which release is live is not known here."}
    kind, words = answer(state, stopped, datetime.now(UTC))
    canary = state.canary
    return {
        "unproven_kind": formats.refused_kind(state.unproven) if state.unproven else "",
        "state": state, "kind": kind, "words": words, "live": state.past[0] if state.past else None,
        "behind": [r for r in state.reports if state.past and r.release != state.past[0].release],
        "drawn": drawn(canary[2]) if canary else None, "metrics": metrics_of(canary) if canary else [],
        "canary": canary[0] if canary else None, "judged": canary[1] if canary else None,
        "running": canary is not None and canary[0].state == canaries.RUNNING,
    }  # fmt: skip


def answer(state: State, stopped: Sequence[Stop], now: datetime) -> tuple[str, str]:
    """How the releases stand, in one or two sentences of the data."""
    if not state.past:
        return "bad", "No release is live, so no call is answered. Activate one below."
    newest = state.past[0]
    behind = [report for report in state.reports if report.release != newest.release]
    on = (
        f"all {len(state.reports)} workers"
        if len(state.reports) > 1
        else "its one worker"
        if state.reports
        else "no worker that reports"
    )
    if behind:
        on = f"{len(state.reports) - len(behind)} of {len(state.reports)} workers"
    words = f"Release {newest.release} has been live on {on} for {formats.span(_minutes(now, newest.at))}."
    if took := state.followed.get(newest.number):
        last, took_words = formats.number(took.workers, "worker"), formats.seconds(took.seconds)
        begun = "activation" if newest.kind == history.ACTIVATE else "rollback"
        words += f" The last of {last} served it {took_words} after the {begun} began."
    kind = "bad" if behind or not state.reports else "good"
    if state.unproven:
        kind = max(kind, formats.refused_kind(state.unproven), key=("good", "warn", "bad").index)
        words = f"{formats.refused(newest.release, state.unproven)} {words}"
    if state.canary and state.canary[0].state == canaries.RUNNING:
        words += f" {canary_words(state.canary)}"
        kind = "warn" if kind == "good" and state.canary[2][-1].stop >= state.canary[2][-1].promote > 0 else kind
    if stopped:
        named = [stop.words for stop in stopped[:3]]
        more = f" and {len(stopped) - 3} more" if len(stopped) > 3 else ""
        return "bad", f"Stopped: {', '.join(named)}{more}. {words}"
    return kind, words


def _minutes(now: datetime, then: datetime) -> Any:  # noqa: ANN401 - a length of time
    """The time since then, whole minutes once it is over a minute: a live sentence must not flicker."""
    span = now - then
    return span - (span % formats.MINUTE) if span > formats.MINUTE else span


def canary_words(canary: CanaryNow) -> str:
    """How the running canary stands."""
    one, judged, line = canary
    last = line[-1]
    far = f"{formats.share(last.promote)} of the way to a promotion, {formats.share(last.stop)} of the way to a rollback"
    verdict = {"promote": "may be promoted", "stop": "is worse", "undecided": "has no verdict yet"}[judged.verdict]
    return f"The canary {one.release}, for {formats.share(one.share)} of the users, {verdict}: {far}."


def metrics_of(canary: CanaryNow) -> list[Metric]:
    """Each metric of a canary, as `octant release why` prints it."""
    judged = canary[1]
    found = []
    for name, steps in judged.metrics.items():
        counts = " + ".join(f"{count.canary} of {count.users}" for count in steps)
        found.append(
            Metric(name, counts, worse(steps), tolerable(steps), *towards(worse(steps), tolerable(steps), len(judged.metrics)))
        )
    return found


async def _one(console: Console, release_id: str) -> dict[str, Any]:
    releases = console.parts.releases
    found = await releases.find(release_id)
    past = [a for a in await releases.history(limit=MOST_HISTORY) if a.release == release_id]
    serving = [report.worker for report in await releases.reports() if report.release == release_id]
    try:
        lacking = await releases.lacking(release_id)
    except Misconfigured:  # no file here: what was live keeps the results that it lacked then
        lacking = past[0].unproven or () if past else ()
    others = [one.id for one in await releases.listed() if one.id != release_id]
    state = {"found": found, "past": past, "serving": serving, "lacking": lacking, "others": others}
    current = releases.known
    return {
        **state, "rows": _rows(found), "current": current, "canary": await releases.latest_canary(release_id),
        "against": current if current and current != release_id else (past[0].previous or "") if past else "",
        "remedy": remedy(release_id, lacking),
        "answer": one_answer(found, past, serving, lacking, current=current),
    }  # fmt: skip


def _rows(found: Found) -> Sequence[Row]:
    return pins_of(None, found.release) if found.release else as_written(found.manifest)


def one_answer(
    found: Found, past: Sequence[Activation], serving: Sequence[str], lacking: Sequence[str], *, current: str
) -> tuple[str, str]:
    """One release in a sentence."""
    name = found.manifest.id
    if found.problem:
        return "bad", f"{name} cannot be live here: a pin does not resolve."
    gate = formats.unproven(len(lacking)) if lacking else "it has every eval result that it needs"
    if name == current:
        kind = formats.refused_kind(lacking) if lacking else "good"
        return kind, f"{name} is live, served by {formats.number(len(serving), 'worker')}; {gate}."
    if past:
        return "none", f"{name} was live {formats.number(len(past), 'time')}, and every pin resolves; {gate}."
    return "none", f"{name} was never live. Every pin resolves; {gate}."
