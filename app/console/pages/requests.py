"""Requests of callers with all their calls: the list behind the overview's figures of requests."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.requests import MOST, Total, Wanted, find_requests, sort_of
from app.console import formats
from app.console.console import ROUTES, SAID, VIEWING, Console, first_page, link
from app.console.navigation import REQUESTS
from app.console.ranges import Range
from app.domain.money import MICROS_PER_DOLLAR
from app.domain.whole_numbers import whole_number

PAGE = 50
DEEPEST = 10_000


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/requests")
    async def page(request: Request) -> Response:
        """The page."""
        query = dict(request.query_params)
        range_ = await console.range(query)
        wanted = wanted_of(query, range_)
        known = await console.known.read(("requests", *sorted(query.items())), find_requests(console.parts.engine, wanted))
        rows, total = known.value or ((), None)
        after = wanted.skip + len(rows)
        first_page(request, wanted.skip, rows if known.value else None)
        by_cost = wanted.least or wanted.most < MOST  # of a request: no filter of calls finds theirs
        calls = "" if by_cost else link("/console/calls", range_.query, needed_model="true", refused="false")
        return console.page(
            request, "requests.html", REQUESTS, range=range_, known=known, rows=rows, total=total, wanted=wanted,
            shown={name: value for name, value in query.items() if value and name not in ("skip", *SAID)},
            more=_next(range_, after) if total and after < min(total.requests, DEEPEST) else None, calls_link=calls,
            kind="none" if not total or not total.requests else "warn" if total.failed else "good", words=answer(total, range_),
            command=_command(wanted, range_),
        )  # fmt: skip

    return made


def wanted_of(query: Mapping[str, str], range_: Range) -> Wanted:
    """The search in an address; a value that is none is passed over."""
    sort, skip = query.get("sort", ""), query.get("skip", "")
    return Wanted(
        since=range_.since, until=range_.until, sort=sort_of(sort) or "at",
        least=_micros(query.get("min_cost", ""), 0), most=_micros(query.get("max_cost", ""), MOST), limit=PAGE,
        skip=min(whole_number(skip, digits=8) or 0, DEEPEST),
    )  # fmt: skip


def _next(range_: Range, after: int) -> dict[str, object]:
    """The next page in an address: of the same two moments, so that what comes meanwhile moves no row to another page."""
    return {"range": None, **range_.exact, "skip": after}


def _command(wanted: Wanted, range_: Range) -> str:
    """The same as a command."""
    sort = "" if wanted.sort == "at" else f" --sort {wanted.sort}"
    least = f" --at-least {wanted.least / MICROS_PER_DOLLAR:f}" if wanted.least else ""
    most = f" --at-most {wanted.most / MICROS_PER_DOLLAR:f}" if wanted.most < MOST else ""
    return f"octant requests {range_.options}{sort}{least}{most}"


def _micros(dollars: str, otherwise: int) -> int:
    try:
        value = round(float(dollars) * MICROS_PER_DOLLAR)
    except (ValueError, OverflowError):
        return otherwise
    return min(max(value, 0), MOST)


def answer(total: Total | None, range_: Range) -> str:
    """The requests in a sentence: their number, that of their calls, how long they took and what they cost."""
    if total is None:
        return "Nothing is known of these requests."
    if not total.requests:
        return f"No request {range_.words} needed a model."
    made = f"{formats.number(total.requests, 'request')} {range_.words} made {formats.number(total.calls, 'call')} of a model"
    failed = f"{formats.count(total.failed)} with a failed call" if total.failed else "none with a failed call"
    half, most = total.latency_ms or (None, None)
    took = f"Half took at most {formats.ms(half)}, 95 % at most {formats.ms(most)}"
    return f"{made}, {failed}. {took}; together they cost {formats.usd(total.cost)}."
