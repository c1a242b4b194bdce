"""One trace: each call with its attempts on a time axis, with money and tokens, and the redacted texts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.audit.call_filter import CallFilter
from app.audit.marks import marks_of
from app.audit.query import find_calls, get_call, with_attempts
from app.audit.waterfall import Span, spans_of
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console
from app.console.known import Known
from app.console.navigation import CALLS
from app.domain.errors import NotFound

MOST_CALLS = 1000
SHORT = 4000  # characters of a text that come with the page; the rest on a click
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the waterfall: milliseconds since the trace began, and shares of its length.

    ``kind``: edge, retrieval, tool, call or attempt. ``first``: share at which the first token came, None where
    that is not known.
    """

    label: str
    kind: str
    outcome: str
    start: float
    length: float
    left: float
    width: float
    first: float | None = None
    input: int = 0
    output: int = 0
    cost: int | None = None
    call: str = ""


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/traces/{trace_id}")
    async def page(request: Request, trace_id: str) -> Response:
        """The page."""
        known = await console.known.read(("trace", trace_id), _calls(console, trace_id))
        calls: list[Row] = known.value or []
        if not calls and not known.away:
            raise NotFound("No call has this trace. Records are written within two seconds, and kept for a month.")
        ids = [row["id"] for row in calls]
        marked = await console.known.read(("marks", trace_id), marks_of(console.parts.engine, ids))
        return console.page(
            request, "trace.html", CALLS, title="Trace", known=known, marks=marked.value or {},
            calls=calls, trace_id=trace_id, bars=bars_of(calls),
            text=text_of,
            words=_words(known), kind=_kind(calls), around=await _around(console, calls),
        )  # fmt: skip

    @made.get("/calls/{call_id}/{side}")
    async def whole(call_id: str, side: str) -> Response:
        """A long text, whole."""
        call = await get_call(console.parts.engine, call_id) if side in ("request", "response") else None
        if call is None:
            raise NotFound("No such text.")
        return HTMLResponse(console.fragment("parts/text.html", text=readable(call[side])))

    return made


async def _calls(console: Console, trace_id: str) -> list[Row]:
    wanted = CallFilter(trace_id=trace_id, ascending=True, limit=MOST_CALLS)
    return await with_attempts(console.parts.engine, await find_calls(console.parts.engine, wanted))


async def _around(console: Console, calls: Sequence[Row]) -> Mapping[str, Row]:
    """The same user's calls before and after this trace."""
    if not calls or not calls[0]["user"]:
        return {}
    first, last = calls[0], calls[-1]
    same = {"tenant": first["tenant"], "user": first["user"], "limit": 1}

    async def read() -> dict[str, Row]:
        engine = console.parts.engine
        before = await find_calls(engine, CallFilter(until=first["at"], **same))
        after = await find_calls(
            engine, CallFilter(since=last["at"], ascending=True, limit=len(calls) + 1, tenant=same["tenant"], user=same["user"])
        )
        others = [row for row in after if row["trace_id"] != first["trace_id"]]
        return ({"previous": before[0]} if before else {}) | ({"next": others[0]} if others else {})

    return (await console.known.read(("around", first["id"]), read())).value or {}


def bars_of(calls: Sequence[Row]) -> list[Bar]:
    """The waterfall: edge, retrieval, tools, calls and attempts."""
    spans = spans_of(calls)
    whole = max([1.0, *(span.end for span in spans)])
    return [_bar(span, whole) for span in spans]


def _bar(span: Span, whole: float) -> Bar:
    bar = Bar(
        span.label, span.kind, span.outcome, span.start, span.length, span.start / whole, max(span.length / whole, 0.002)
    )  # fmt: skip
    if (row := span.row) is None:
        return bar
    first = (span.start + row["ttft_ms"]) / whole if row["ttft_ms"] is not None else None
    call = row["id"] if span.kind == "call" else ""
    tokens = {"input": row["input_tokens"], "output": row["output_tokens"]}
    return replace(bar, first=first, cost=row["cost"], call=call, **tokens)


def _kind(calls: Sequence[Row]) -> str:
    if any(row["outcome"] != "ok" for row in calls):
        return "bad"
    return "warn" if any(row["fallbacks"] or row["degraded"] for row in calls) else "good"


def _words(known: Known[list[Row]]) -> str:
    """What happened, in one sentence."""
    calls = known.value or []
    if not calls:
        return "Nothing is known of this trace right now."
    cost, attempts = sum(row["cost"] for row in calls), sum(len(row["attempts"]) for row in calls)
    last = calls[-1]
    end = "answered" if last["outcome"] == "ok" else f"ended as {last['outcome']}"
    number = "One call" if len(calls) == 1 else f"{len(calls)} calls"
    by = f" by {last['provider']} {last['model']}" if last["outcome"] == "ok" and last["provider"] else ""
    tried = f" after {attempts} attempts" if attempts > len(calls) else ""
    return f"{number} of {last['tenant']}, {end}{by}{tried}, in {formats.ms(_length(calls))} for {formats.usd(cost)}."


def _length(calls: Sequence[Row]) -> float:
    """From the first call's beginning to the last one's end, in milliseconds."""
    began = calls[0]["at"]
    return max((row["at"] - began).total_seconds() * 1000 + row["latency_ms"] for row in calls)


@dataclass(frozen=True, slots=True)
class Text:
    """A text for the page. ``more``: characters that are left out."""

    text: str
    more: int


def text_of(stored: str) -> Text:
    """A stored text as people read it, cut where it is long."""
    read = readable(stored) if len(stored) <= 50 * SHORT else stored
    return Text(read[:SHORT], max(0, len(read) - SHORT))


def readable(stored: str) -> str:
    """JSON in lines; anything else as it is. Line breaks within a text are line breaks."""
    try:
        value = json.loads(stored)
    except ValueError:
        return stored
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\\n", "\n") if isinstance(value, dict | list) else stored
