"""The first page: one sentence, six figures, four charts, the providers; live."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.overview import EDGES, Bucket, Overview, overview
from app.budget.standing import open_alerts, spent_since
from app.console import charts, formats, live
from app.console.console import ROUTES, VIEWING, Console, link
from app.console.health import (
    PACE,
    SLOW,
    Burn,
    Now,
    Strip,
    burn,
    kinds_of,
    last_minutes,
    now_of,
    refusals,
    summary,
    tenants_at_their_cap,
)
from app.console.known import Known
from app.console.navigation import OVERVIEW
from app.console.ranges import Range
from app.domain.money import MICROS_PER_DOLLAR


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("")
    async def page(request: Request) -> Response:
        """The page."""
        range_ = await console.range(request.query_params)
        return console.page(request, "overview.html", OVERVIEW, range=range_, **await _values(console, range_))

    @made.get("/live/overview")
    async def part(request: Request) -> Response:
        """Its live part."""

        async def write() -> str:
            range_ = await console.range(request.query_params)
            return console.fragment("parts/overview.html", range=range_, **await _values(console, range_))

        return live.stream(request, console, write, every=(await console.range(request.query_params)).every)

    return made


async def _values(console: Console, range_: Range) -> dict[str, Any]:
    wanted = ("overview", *range_.query.items())
    latest = last_minutes(range_) if range_.live else None
    at = datetime.now(UTC)
    known, recent, now, alerts, pace = await asyncio.gather(
        console.known.read(wanted, overview(console.parts.engine, range_.since, range_.until, range_.width)),
        console.known.read("overview just now", _overview(console, latest)),
        console.known.read("overview now", now_of(console.parts.valkey, console.parts.policy.global_daily_cap)),
        console.known.read("open alerts", open_alerts(console.parts.engine, at)),
        console.known.read("last hour's money", spent_since(console.parts.engine, at - PACE)),
    )
    if known.value is None:
        return {"known": known, "seen": None, "now": now}
    last = max(console.parts.policy.shares, default=100)
    full = tenants_at_their_cap(alerts.value[0] if alerts.value else (), last)
    stopped = console.parts.switch.stopped_words
    kind, said, strips = summary(known.value, range_, None if recent.away else recent.value, now.value, stopped, full)
    described = _described(known.value, range_, strips)
    simulated = sorted(set(known.value.providers) & set(console.parts.releases.simulated))
    return {
        "known": known, "seen": known.value, "now": now, "simulated": simulated, "kind": kind, "words": " ".join(said),
        "burn": _burn(now.value, pace, at), **described,
    }  # fmt: skip


async def _overview(console: Console, range_: Range | None) -> Overview | None:
    return await overview(console.parts.engine, range_.since, range_.until, range_.width) if range_ else None


def _burn(now: Now | None, last_hour: Known[int], at: datetime) -> Burn | None:
    """The forecast; none while a store is away, as yesterday's pace is none of today."""
    return burn(now.money, last_hour.value, at) if now and last_hour.value and not last_hour.away else None


def _described(seen: Overview, range_: Range, strips: Sequence[Strip]) -> dict[str, Any]:
    total, series = seen.total, seen.series
    times = [bucket.at for bucket in series if bucket.at]
    marks = [(at, action) for at, action, _ in seen.marks]
    per_second = 1 / range_.width.total_seconds()
    quick = all(bucket.request_latency[2] < 1000 for bucket in series if bucket.request_latency)
    unit, per = ("ms", 1) if quick else ("s", 1000)
    return {
        "refusals": refusals(seen), "strips": strips,
        "slow": any(strip.word == SLOW for strip in strips), "total": total, "costs": cost_steps(seen.costs),
        "rate": range_.a_second(total.requests),
        "rates": counted(seen, lambda bucket: bucket.requests * per_second),
        "failures": counted(seen, lambda bucket: bucket.failed),
        "latencies": [bucket.request_latency[1] if bucket.request_latency else None for bucket in series],
        "ttfts": [bucket.ttft for bucket in series],
        "spent": [bucket.request_cost / bucket.requests if bucket.requests else None for bucket in series],
        "kinds": kinds_of(total),
        "shares": {name: getattr(total, name) / total.calls if total.calls else None for name in SHARES},
        "by_outcome": charts.spec(
            times,
            [("answered", [b.ok for b in series], "s1"), ("failed", [b.failed for b in series], "bad"),
             ("refused", [b.refused for b in series], "s2")],
            unit="calls", kind="stack", marks=marks,
        ),
        "latency": charts.spec(
            times,
            [
                (f"p{p}", [b.request_latency[n] / per if b.request_latency else None for b in series], c)
                for n, (p, c) in enumerate(BANDS)
            ],
            unit=unit, marks=marks,
        ),
        "recovery": charts.spec(
            times,
            [(words, [getattr(b, name) / b.calls * 100 if b.calls else None for b in series], "") for name,
            words in SHARES.items()],
            unit="%", marks=marks,
        ),
        "calls_link": link("/console/calls", range_.query, needed_model="true", refused="false"),
        "requests_link": link("/console/requests", range_.query),
        "failed_link": link("/console/calls", range_.query, failed="true", refused="false"),
        "refused_link": link("/console/calls", range_.query, refused="true"),
    }  # fmt: skip


def counted(seen: Overview, measure: Callable[[Bucket], float]) -> list[float | None]:
    """A count of each step. Those before the first call on record have none: no data is not zero."""
    unused = takewhile(lambda bucket: not bucket.calls and not bucket.refused, () if seen.earlier else seen.series)
    blank = len(list(unused))
    return [None] * blank + [measure(bucket) for bucket in seen.series[blank:]]


BANDS = ((50, "s1"), (95, "s2"), (99, "bad"))
SHARES = {"retried": "retried", "fallen_back": "fell back", "repaired": "repaired", "degraded": "degraded"}


@dataclass(frozen=True, slots=True)
class CostStep:
    """Calls and requests that cost as much as ``words`` say. ``share``: of the highest column, by requests.

    ``begins``: the lowest cost, of the first step and at each power of ten. ``found_by``: the filter that finds the calls.
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
        CostStep(_bounds(least), _begins(least) if at else formats.usd(least), calls, requests, requests / most, _found_by(least))
        for at, (least, calls, requests) in enumerate(counts)
    ]


def _begins(least: int) -> str:
    return formats.usd(least) if str(least).strip("0") == "1" else ""


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
