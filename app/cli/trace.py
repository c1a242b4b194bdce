"""`octant trace`: everything that happened under one trace, request or call, as a waterfall."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from app.cli.database import database
from app.cli.tables import on_one_line

BAR = "█"
NARROW, LABEL, FIGURES = 20, 46, 26
MOST_TRACES = 10  # that are drawn for one id of a request


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the waterfall. Milliseconds since the trace began."""

    label: str
    start: float
    length: float
    outcome: str
    cost: int
    depth: int = 0


def trace(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A trace id, the x-request-id of an answer, or a call's id.")],
) -> None:
    """Draw a trace: each call and attempt with its time, duration, outcome and cost."""
    traces = asyncio.run(_traces(id_))
    if len(traces) > 1:
        newest = f"the newest {MOST_TRACES}" if len(traces) > MOST_TRACES else f"all {len(traces)}, newest first"
        print(f"Several requests have the id {id_}: {newest}. `octant calls --request-id` lists their calls.\n")
    for number, found in enumerate(traces[:MOST_TRACES]):
        print(end="\n" if number else "")
        _draw(found)


def _draw(found: Sequence[dict[str, Any]]) -> None:
    from app.audit.waterfall import account_of, passed_over
    from app.cli.calls import ESTIMATE
    from app.domain.figures import usd

    columns = shutil.get_terminal_size((120, 24)).columns
    bars = bars_of(found)
    for line in waterfall(bars, width=max(NARROW, columns - LABEL - FIGURES)):
        print(line)
    bound = "≤ " if any(row["usage_estimated"] for row in found) else ""
    print(f"\ntrace {found[0]['trace_id']}  calls {len(found)}  {bound}{usd(sum(row['cost'] for row in found))}")
    account = account_of(found)
    print(f"{account.took:.1f} ms: {', '.join(f'{name} {length:.1f} ms' for name, length in account.words)}")
    for row in found:
        for line in passed_over(row):
            print(f"{row['id']}  {line}")
        for attempt in row["attempts"]:
            if attempt["usage_estimated"]:
                print(f"{row['id']}  attempt {attempt['number']}, {usd(attempt['cost'])}: {ESTIMATE}")
        if row["error"]:
            print(f"{row['id']}  {row['outcome']}: {on_one_line(row['error'])}")


def bars_of(calls: Sequence[dict[str, Any]]) -> list[Bar]:
    """Edge, steps, calls and their ``attempts``, in order of time."""
    from app.audit.waterfall import spans_of

    return [
        Bar(s.label, s.start, s.length, s.outcome, s.row["cost"] if s.row else 0, depth=int(s.kind == "attempt"))
        for s in spans_of(calls)
    ]


def waterfall(bars: Sequence[Bar], *, width: int) -> list[str]:
    """One line a bar: label, a bar of at most ``width`` characters on the common time axis, milliseconds, outcome."""
    whole = max(bar.start + bar.length for bar in bars) or 1.0
    lines = []
    for bar in bars:
        first = min(width - 1, int(bar.start / whole * width))
        cells = max(1, min(width - first, round(bar.length / whole * width)))
        label = ("  " * bar.depth + bar.label)[: LABEL - 2].ljust(LABEL - 2)
        lines.append(f"{label}  {' ' * first}{BAR * cells}{' ' * (width - first - cells)} {bar.length:8.1f} ms  {bar.outcome}")
    return lines


async def _traces(id_: str) -> list[list[dict[str, Any]]]:
    """The calls of a trace, a request or a call, and of each trace where requests share an id, newest first."""
    from app.audit.call_filter import CallFilter
    from app.audit.query import find_calls, traces_of, with_attempts
    from app.domain.errors import NotFound

    async with database() as (engine, _):

        async def found(**wanted: str) -> list[dict[str, Any]]:
            return await find_calls(engine, CallFilter(**wanted, ascending=True, limit=1000), brief=True)  # type: ignore[arg-type]

        if calls := await found(trace_id=id_):
            return [await with_attempts(engine, calls)]
        if traces := await traces_of(engine, id_, MOST_TRACES + 1):
            return [await with_attempts(engine, await found(request_id=id_, trace_id=trace)) for trace in traces]
        if calls := await found(id=id_):
            return [await with_attempts(engine, calls)]
    raise NotFound(f"No trace, request or call {id_!r}. Records appear within 5 seconds; `octant calls` lists the newest.")
