"""The first page: one sentence, seven figures, four charts, the providers; live."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.audit.overview import EDGES, Bucket, Overview
from app.console import charts, formats, just_now, live
from app.console.console import ROUTES, SESSION, VIEWING, WAITING, Console, link
from app.console.diagnosis import diagnosed
from app.console.health import Now, beside, kinds_of, refusals
from app.console.known import Known
from app.console.navigation import OVERVIEW
from app.console.pace import Burn, Spent, burn, pace_words, paces_and_caps
from app.console.pages.failed import of_kinds
from app.console.provider_strips import SLOW, Strip, state_of
from app.console.ranges import Range
from app.console.read_once import ReadOnce
from app.console.stop_actions import live_of
from app.console.waiting import Waiting
from app.domain.money import MICROS_PER_DOLLAR
from app.oncall.reach import of_one_provider
from app.oncall.scopes import Subject


def router(console: Console) -> APIRouter:
    """The routes."""
    made, parts = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES), console.parts
    money = ReadOnce(
        lambda: console.known.read(
            "the paces of money", paces_and_caps(parts.engine, parts.valkey, parts.keys, datetime.now(UTC))
        )
    )

    @made.get("")
    async def page(request: Request) -> Response:
        """The page."""
        range_ = await console.range(request.query_params)
        return console.page(request, "overview.html", OVERVIEW, range=range_, **await _values(console, money, range_))

    @made.get("/live/overview")
    async def part(request: Request) -> Response:
        """Its live part."""
        session = request.scope[SESSION]

        async def write() -> str:
            range_ = await console.range(request.query_params)
            return console.fragment("parts/overview.html", session=session, range=range_, **await _values(console, money, range_))

        return live.stream(request, console, write, every=(await console.range(request.query_params)).every)

    @made.get("/live/badge")
    async def badge(request: Request) -> Response:
        """How many pages wait for an answer, and the bar of the stops that hold: each page shows both."""
        waits: Waiting = request.scope[WAITING]
        bar = console.fragment("parts/stopped.html", stopped=console.parts.switch.stopped_words)
        return JSONResponse({"waiting": len(waits.pages), "stopped": bar}, headers=live.HEADERS)

    return made


async def _values(console: Console, money: ReadOnce[Known[Spent]], range_: Range) -> dict[str, Any]:
    (known, latest, now, found), spent, waiting = await asyncio.gather(
        diagnosed(console, range_),
        money.read(),
        console.waiting(),
    )
    if known.value is None or found is None:
        return {"known": known, "seen": None, "now": now, "waiting": waiting}
    found, live = beside(waiting, found), live_of(console)
    runbooks = {words: link("/console/runbook", found.search(words)) for words in found.symptoms}
    circuits = _circuits(now.value, console.parts.switch.stopped)
    simulated = sorted(set(known.value.providers) & set(console.parts.releases.simulated))
    return {
        "known": known, "seen": known.value, "now": now, "waiting": waiting, "simulated": simulated, "kind": found.kind,
        "said": found.said, "runbooks": runbooks,
        "fell_back": just_now.fell_back(known.value, latest),
        "alone": {name: formats.listed(aliases) for name, aliases in of_one_provider(live.all_routes if live else ()).items()},
        "burn": _burn(now.value, spent), "pace_words": pace_words, "circuits": circuits,
        **_described(known.value, range_, found.strips),
    }  # fmt: skip


def _circuits(now: Now | None, stopped: Collection[Subject]) -> list[str]:
    return [f"{circuit.target.provider} {state_of(circuit, stopped)}" for circuit in now.circuits] if now else []


def _burn(now: Now | None, spent: Known[Spent]) -> Burn | None:
    """The forecast; none while a store is away, as yesterday's pace is none of today."""
    return burn(now.money, spent.value[0], spent.at, spent.value[1]) if now and spent.value and not spent.away else None


def _described(seen: Overview, range_: Range, strips: Sequence[Strip]) -> dict[str, Any]:
    total, series = seen.total, seen.series
    times = [bucket.at for bucket in series if bucket.at]
    marks, known = [(at, action) for at, action, _ in seen.marks], (seen.first, range_.until)
    per_second = 1 / range_.width.total_seconds()
    quick = all(bucket.request_latency[2] < 1000 for bucket in series if bucket.request_latency)
    unit, per = ("ms", 1) if quick else ("s", 1000)
    return {
        "refusals": refusals(seen), "strips": strips,
        "slow": any(strip.word == SLOW for strip in strips), "total": total, "costs": cost_steps(seen.costs),
        "rate": range_.rate(total.requests, seen.began), "rated": range_.rated(seen.began),
        "rates": counted(seen, lambda bucket: bucket.requests * per_second),
        "failures": counted(seen, lambda bucket: bucket.failed),
        "fallbacks": counted(seen, lambda bucket: bucket.fallen_back),
        "fallbacks_link": link("/console/calls", range_.query, **FELL_BACK),
        "step_links": [_step_link(at, at + range_.width) for at in times],
        "latencies": [bucket.request_latency[1] if bucket.request_latency else None for bucket in series],
        "ttfts": [bucket.ttft for bucket in series],
        "spent": [bucket.request_cost / bucket.requests if bucket.requests else None for bucket in series],
        "kinds": kinds_of(total),
        "shares": {name: getattr(total, name) / total.calls if total.calls else None for name in SHARES},
        "by_outcome": charts.spec(
            times,
            [("answered", [b.ok for b in series], "s1"), ("failed", [b.failed for b in series], "bad"),
             ("refused", [b.refused for b in series], "s2")],
            unit="calls", kind="stack", marks=marks, known=known,
        ),
        "latency": charts.spec(
            times,
            [
                (f"p{p}", [b.request_latency[n] / per if b.request_latency else None for b in series], c)
                for n, (p, c) in enumerate(BANDS)
            ],
            unit=unit, marks=marks, known=known,
        ),
        "recovery": charts.spec(
            times,
            [(words, [getattr(b, name) / b.calls * 100 if b.calls else None for b in series], "") for name,
            words in SHARES.items()],
            unit="%", marks=marks, known=known,
        ),
        "calls_link": link("/console/calls", range_.query, needed_model="true", refused="false"),
        "requests_link": link("/console/requests", range_.query),
        "failed_link": link("/console/calls", range_.query, failed="true", refused="false"),
        "failed_answers": of_kinds(seen.failed_answers) if seen.failed_answers else "",
        "failed_answers_link": link("/console/requests/failed", range_.query),
        "refused_link": link("/console/calls", range_.query, refused="true"),
    }  # fmt: skip


def _step_link(since: datetime, until: datetime) -> str:
    """The calls of one step of the charts."""
    times = {"since": since.isoformat(), "until": until.isoformat()}
    return link("/console/calls", times, needed_model="true", refused="false")


def counted(seen: Overview, measure: Callable[[Bucket], float]) -> list[float | None]:
    """A count of each step. Those before the first call on record have none: no data is not zero."""
    unused = takewhile(lambda bucket: not bucket.calls and not bucket.refused, () if seen.earlier else seen.series)
    blank = len(list(unused))
    return [None] * blank + [measure(bucket) for bucket in seen.series[blank:]]


FELL_BACK = {"failed": "false", "min_fallbacks": "1"}  # as `Overview` counts them
BANDS = ((50, "s1"), (95, "s2"), (99, "s4"))
SHARES = {"retried": "retried", "fallen_back": "fell back", "repaired": "repaired", "degraded": "degraded"}


@dataclass(frozen=True, slots=True)
class CostStep:
    """Calls and requests that cost as much as ``words`` say. ``share``: of the highest column, by requests.

    ``begins``: the lowest cost, of the first step and at each power of ten; of a first step from nothing, its end.
    ``found_by``: the filter that finds the calls.
    """

    words: str
    begins: str
    calls: int
    requests: int
    share: float
    found_by: Mapping[str, str]


def cost_steps(costs: Sequence[tuple[int, int, int]]) -> list[CostStep]:
    """Requests and calls by what they cost, each step with both its bounds, from the lowest to the highest without a gap."""
    if not costs:
        return []
    most = max(requests for _, _, requests in costs) or 1
    found = {least: (calls, requests) for least, calls, requests in costs}
    steps = [least for least in (0, *EDGES) if min(found) <= least <= max(found)]
    counts = [(least, *found.get(least, (0, 0))) for least in steps]
    return [
        CostStep(_bounds(least), _begins(steps, at), calls, requests, requests / most, _found_by(least))
        for at, (least, calls, requests) in enumerate(counts)
    ]


def _begins(steps: Sequence[int], at: int) -> str:
    least = steps[at]
    if not least:
        return f"<{formats.usd(EDGES[0])}"
    if at == 1 and not steps[0]:  # said by the step before
        return ""
    return formats.usd(least) if at == 0 or str(least).strip("0") == "1" else ""


def _found_by(least: int) -> Mapping[str, str]:
    """Of the step that begins at ``least`` micro-dollars; of whole ones, so the next step's least is not in it."""
    above = _next_edge(least)
    bounds = {"min_cost": least, "max_cost": above - 1 if above else None}
    return {name: f"{micros / MICROS_PER_DOLLAR:.6f}" for name, micros in bounds.items() if micros is not None}


def _bounds(least: int) -> str:
    """The bounds of the step that begins at ``least`` micro-dollars."""
    if not least:
        return f"under {formats.usd(EDGES[0])}"
    above = _next_edge(least)
    return f"{formats.usd(least)} to {formats.usd(above)}" if above else f"{formats.usd(least)} and more"


def _next_edge(least: int) -> int | None:
    """The end of the step that begins at ``least``; None for the last one."""
    return next((edge for edge in EDGES if edge > least), None)
