"""Answers of 4xx and 5xx: also of requests that never became a call, so that no list of calls has them."""

import shlex
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.answers_without_call import MOST, Listed, listed
from app.audit.failed_answers import Failed
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console
from app.console.navigation import REQUESTS
from app.console.ranges import Range

LONGEST = 200


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/requests/failed")
    async def page(request: Request, text: str = "") -> Response:
        """The page."""
        range_, words = await console.range(request.query_params), text.strip()[:LONGEST]
        reading = listed(console.parts.engine, range_.since, range_.until, words)
        known = await console.known.read(("failed", words, *range_.query.items()), reading)
        rows = known.value or ()
        return console.page(
            request, "failed.html", REQUESTS, title="Failed answers", range=range_, known=known, rows=rows, wanted=words,
            kind="warn" if rows else "none", words=answer(rows, words, range_), most=MOST,
            runbook=f"octant runbook {shlex.quote(rows[0].code)}" if rows else "",
        )  # fmt: skip

    return made


def answer(rows: Sequence[Listed], words: str, range_: Range) -> str:
    """How many answers there are, and of which kinds."""
    about = f" with “{words}”" if words else ""
    if not rows:
        return f"No answer of 4xx or 5xx{about} {range_.words}."
    return f"{of_kinds(rows)}{about} {range_.words}."


def of_kinds(rows: Sequence[Listed | Failed]) -> str:
    """Their number, and the three most frequent kinds: ``15 answers of 4xx and 5xx: 401 authentication_failed (12), …``."""
    counts: dict[str, int] = {}
    for row in rows:
        kind = f"{row.status} {row.code}"
        counts[kind] = counts.get(kind, 0) + row.answers
    first = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{kind} ({formats.count(number)})" for kind, number in first[:3])
    more = f" and {formats.number(len(first) - 3, 'more kind of error', 'more kinds of errors')}" if len(first) > 3 else ""
    return f"{formats.number(sum(counts.values()), 'answer')} of 4xx and 5xx: {named}{more}"
