"""One trace: each call with its attempts on a time axis, with money and tokens, and the redacted texts."""

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.audit.call_filter import CallFilter
from app.audit.marks import marks_of
from app.audit.query import calls_of_trace, find_calls, get_call, input_of, texts_of
from app.audit.waterfall import Account, Span, account_of, passed_over, spans_of
from app.budget.under_way import UnderWay
from app.console import formats
from app.console.console import ROUTES, VIEWING, Console
from app.console.known import Known
from app.console.navigation import CALLS
from app.console.running import running_with
from app.console.said import Said, said_of
from app.domain.errors import NotFound
from app.domain.records import REFUSALS

MOST_CALLS = 1000
MOST_SHOWN = 20  # calls whose details stand on the page; of more than these, the chosen one's
CHUNK = 100  # lines of the waterfall that a browser lays out at a time
SHORT = 4000  # characters of a text that come with the page; the rest on a click
LONGEST_TEXT = 50 * SHORT  # a longer one is not laid out in lines before the click
AGAIN, WRITTEN = 2, 15.0  # seconds: between two looks at a trace under way, and those that its record may take afterwards
TRACE_ID = re.compile("[0-9a-f]{32}")
MOMENT = timedelta(microseconds=1)
Row = dict[str, Any]
FACTS = ("request_id", "tenant", "user", "key_id", "release", "prompt", "prompt_version")


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the waterfall: milliseconds since the trace began, and per cent of its length.

    ``kind``: edge, retrieval, tool, call or attempt. ``own`` and ``waits``: see `Span`. ``first``: where the
    first token came, empty where that is not known. ``call``: of a call its id. ``opens``: where its record stands on the page.
    ``part``: its tokens and cost are within those of the call above it. ``bound``: they are upper bounds (ADR 0016).
    """

    label: str
    kind: str
    outcome: str
    start: float
    length: float
    left: str
    width: str
    first: str = ""
    input: int = 0
    output: int = 0
    cost: int | None = None
    call: str = ""
    opens: str = ""
    part: bool = False
    bound: bool = False
    own: Sequence[tuple[str, str]] = ()
    waits: Sequence[tuple[str, str]] = ()

    @property
    def bad(self) -> bool:
        """Whether it failed."""
        return self.outcome not in ("ok", "")

    @property
    def box(self) -> Markup:
        """Its place within the line: what holds others is thin."""
        return _THIN if self.kind in ("edge", "call") else _THICK


_THIN, _THICK = Markup('y="5" height="6"'), Markup('y="2" height="12"')


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/traces/{trace_id}")
    async def page(request: Request, trace_id: str) -> Response:
        """The page."""
        known = await console.known.read(("trace", trace_id), _calls(console, trace_id))
        calls: list[Row] = known.value or []
        going = await running_with(console, [trace_id])
        if not calls and not known.away:
            return _not_recorded(console, request, trace_id, going)
        wanted = request.query_params.get("call", "")
        shown = shown_of(calls, wanted)
        texts = await console.known.read(("texts", trace_id, shown[0]["id"] if shown else ""), _texts(console, shown))
        stored = texts.value or {}
        said = {number: of.said for number, of in stored.items()}
        bars = opened(bars_of(calls), {number for number, one in said.items() if one.tools})
        marked = await console.known.read(("marks", trace_id), marks_of(console.parts.engine, [row["id"] for row in shown]))
        return console.page(
            request, "trace.html", CALLS, title="Trace", known=known,
            passed={row["id"]: passed_over(row) for row in shown}, marks=marked.value or {},
            calls=shown, chosen=len(shown) < len(calls), trace_id=trace_id,
            chunks=[bars[first : first + CHUNK] for first in range(0, len(bars), CHUNK)],
            texts={number: of.sides for number, of in stored.items()}, said=said, facts=facts_of(shown), wanted=wanted,
            total=total_of(calls),
            account=account_of(calls), accounts={row["id"]: of_call(row) for row in shown},
            going=going, words=_words(known), kind=_kind(calls), around=await _around(console, calls),
        )  # fmt: skip

    @made.get("/calls/{call_id}/{side}")
    async def whole(call_id: str, side: str) -> Response:
        """A long text, whole."""
        call = await get_call(console.parts.engine, call_id) if side in ("request", "response") else None
        if call is None:
            raise NotFound("No such text.")
        return HTMLResponse(console.fragment("parts/text.html", text=readable(call[side])))

    return made


def _not_recorded(console: Console, request: Request, trace_id: str, going: Sequence[UnderWay]) -> Response:
    """The page of a trace none of whose calls has ended, or whose record is being written. It looks again by itself."""
    now, seen = time.time(), request.query_params.get("seen", "")
    at = now if going else float(seen) if seen.isdecimal() else 0.0
    if not TRACE_ID.fullmatch(trace_id) or not now - WRITTEN <= at <= now:
        raise NotFound("No call has this trace. Records are written within two seconds, and kept for a month.")
    page = console.page(request, "trace_running.html", CALLS, title="Trace", trace_id=trace_id, running=going, every=AGAIN)
    page.headers["refresh"] = f"{AGAIN}; url=/console/traces/{trace_id}?seen={int(at)}"
    return page


async def _calls(console: Console, trace_id: str) -> list[Row]:
    return await calls_of_trace(console.parts.engine, trace_id, MOST_CALLS)


async def _texts(console: Console, calls: Sequence[Row]) -> Mapping[str, "Texts"]:
    found = await texts_of(console.parts.engine, calls, LONGEST_TEXT)
    return {
        number: Texts(said_of(*(text for text, _ in sides.values())), {side: text_of(*text) for side, text in sides.items()})
        for number, sides in found.items()
    }


async def _around(console: Console, calls: Sequence[Row]) -> Mapping[str, Row]:
    """The same user's calls before and after this trace."""
    if not calls or not calls[0]["user"]:
        return {}
    first, last = calls[0], calls[-1]
    same = {"tenant": first["tenant"], "user": first["user"], "limit": 1}

    async def read() -> dict[str, Row]:
        engine = console.parts.engine
        before = await find_calls(engine, CallFilter(until=first["at"], **same), brief=True)
        others = await find_calls(engine, CallFilter(since=last["at"] + MOMENT, ascending=True, **same), brief=True)
        return ({"previous": before[0]} if before else {}) | ({"next": others[0]} if others else {})

    return (await console.known.read(("around", first["id"]), read())).value or {}


def shown_of(calls: Sequence[Row], chosen: str) -> Sequence[Row]:
    """The calls with their details: all, or of many the chosen one, else the first that failed, else the last."""
    if len(calls) <= MOST_SHOWN:
        return calls
    failed = (row for row in calls if row["outcome"] != "ok")
    return [next((row for row in calls if row["id"] == chosen), next(failed, calls[-1]))]


def facts_of(calls: Sequence[Row]) -> Mapping[str, Any]:
    """The facts that all these calls share; the page says them once."""
    return {name: calls[0][name] for name in FACTS if calls and all(row[name] == calls[0][name] for row in calls)}


@dataclass(frozen=True, slots=True)
class Total:
    """The sum over the calls of a trace; attempts are parts of their calls and are not added.

    ``bound``: an upper bound is in it (ADR 0016).
    """

    input: int
    output: int
    cost: int
    bound: bool


def total_of(calls: Sequence[Row]) -> Total:
    """Add up tokens and money, each call once."""
    return Total(
        sum(map(input_of, calls)), sum(row["output_tokens"] for row in calls), sum(row["cost"] for row in calls),
        any(row["usage_estimated"] for row in calls),
    )  # fmt: skip


def opened(bars: Sequence[Bar], with_tools: Collection[str]) -> list[Bar]:
    """The bars, each tool with the place of its record. The call after a tool got its result, so that call's record holds it."""
    found, following = list[Bar](), ""
    for bar in reversed(bars):
        if bar.kind == "call":
            following = bar.call
        leads = bar.kind == "tool" and following in with_tools
        found.append(replace(bar, opens=f"tools-{following}") if leads else bar)
    return found[::-1]


def bars_of(calls: Sequence[Row]) -> list[Bar]:
    """The waterfall: edge, retrieval, tools, calls and attempts."""
    spans = spans_of(calls)
    whole = max([1.0, *(span.end for span in spans)])
    return [_bar(span, whole) for span in spans]


def _bar(span: Span, whole: float) -> Bar:
    share = 100 / whole
    bar = Bar(
        span.label, span.kind, span.outcome, span.start, span.length, f"{span.start * share:.2f}",
        f"{max(span.length * share, 0.2):.2f}",
    )  # fmt: skip
    if (row := span.row) is None:
        return bar
    first = f"{(span.start + row['ttft_ms']) * share:.2f}" if row["ttft_ms"] is not None else ""
    call = row["id"] if span.kind == "call" else ""
    own, waits = ([(f"{at * share:.2f}", f"{length * share:.2f}") for at, length in parts] for parts in (span.own, span.waits))
    return replace(
        bar,
        first=first,
        cost=row["cost"],
        call=call,
        part=span.kind == "attempt",
        bound=row["usage_estimated"],
        input=input_of(row),
        output=row["output_tokens"],
        own=own,
        waits=waits,
    )


def of_call(row: Row) -> Account:
    """Where the time of one call went: its attempts, the waits between them, and the service itself."""
    return account_of([{**row, "before_ms": None, "steps": None}])


def _kind(calls: Sequence[Row]) -> str:
    if not calls:
        return "none"
    if any(row["outcome"] != "ok" and row["outcome"] not in REFUSALS for row in calls):
        return "bad"
    return "warn" if any(row["outcome"] != "ok" or row["fallbacks"] or row["degraded"] for row in calls) else "good"


def _words(known: Known[list[Row]]) -> str:
    """What happened, in one sentence."""
    calls = known.value or []
    if not calls:
        return "Nothing is known of this trace right now."
    cost, attempts = sum(row["cost"] for row in calls), sum(len(row["attempts"]) for row in calls)
    last = calls[-1]
    end = "answered" if last["outcome"] == "ok" else f"ended as {last['outcome']}"
    requests = len({row["request_id"] for row in calls})
    number = formats.number(len(calls), "call") if len(calls) > 1 else "One call"
    number = f"{formats.number(requests, 'request')}, {number}" if len(calls) > 1 else number
    by = f" by {last['provider']} {last['model']}" if last["outcome"] == "ok" and last["provider"] else ""
    tried = f" after {attempts} attempts" if attempts > len(calls) else ""
    took, bound = formats.ms(account_of(calls).took), any(row["usage_estimated"] for row in calls)
    spent = f"at most {formats.usd(cost)}, an estimate as an attempt broke off" if bound else formats.usd(cost)
    passed = "".join(f" {line}" for line in passed_over(last)) if len(calls) == 1 else ""
    return f"{number} of {last['tenant']}, {end}{by}{tried}, in {took} for {spent}.{passed}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text for the page. ``more``: characters that are left out."""

    text: str
    more: int


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a call: as people read them, and both sides of the record."""

    said: Said
    sides: Mapping[str, Text]


def text_of(stored: str, length: int) -> Text:
    """A stored text as people read it, cut where it is long. ``stored`` may be the beginning of one of ``length``."""
    read = readable(stored) if len(stored) == length else stored
    return Text(read[:SHORT], max(0, len(read) - SHORT, length - len(stored) and length - SHORT))


def readable(stored: str) -> str:
    """JSON in lines; anything else as it is. Line breaks within a text are line breaks."""
    try:
        value = json.loads(stored)
    except (ValueError, RecursionError):
        return stored
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\\n", "\n") if isinstance(value, dict | list) else stored
