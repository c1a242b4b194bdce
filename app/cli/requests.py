"""`octant requests`: requests of callers, each with all its calls, as the console's page of requests lists them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app.cli.amounts import dollars
from app.cli.database import database
from app.cli.tables import print_table
from app.cli.times import moment


def requests(
    since: Annotated[str, typer.Option(help="The begin: a time, or an age such as 15m, 1h, 7d.")] = "1h",
    until: Annotated[str | None, typer.Option(help="The end; now, if none is given.")] = None,
    sort: Annotated[str, typer.Option(help="at, latency_ms or cost: the newest, the slowest or the dearest first.")] = "at",
    at_least: Annotated[str, typer.Option(help="Dollars that a request cost at least.")] = "0",
    at_most: Annotated[str | None, typer.Option(help="Dollars that it cost at most.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List requests with their calls, times and costs, newest first."""
    from app.audit.requests import MOST, SORTS, Wanted, sort_of
    from app.console.ranges import PRESETS, Range

    order = sort_of(sort)
    if order is None:
        raise typer.BadParameter(f"{sort!r} is no order. --sort takes {', '.join(SORTS)}.")
    end = moment(until) or datetime.now(UTC)
    begin = moment(since) or end - timedelta(hours=1)
    wanted = Wanted(
        since=begin, until=end, sort=order, least=dollars(at_least), limit=limit,
        most=MOST if at_most is None else dollars(at_most),
    )  # fmt: skip
    asyncio.run(_list(wanted, Range(begin, end, since if until is None and since in PRESETS else "")))


async def _list(wanted: Any, range_: Any) -> None:  # noqa: ANN401 - a `Wanted` and a `Range`, imported late
    from app.audit.requests import find_requests
    from app.console import formats
    from app.console.pages.requests import answer

    async with database() as (engine, _):
        rows, total = await find_requests(engine, wanted)
    print(answer(total, range_))
    columns = ("at", "trace", "outcome", "feature", "tenant", "user", "calls", "latency", "cost", "release")
    lines = [
        (
            f"{row['at']:%m-%d %H:%M:%S} UTC", row["trace_id"], f"{row['failed']} failed" if row["failed"] else "ok",
            row["feature"], row["tenant"], row["user"] or "-", str(row["calls"]), formats.ms(row["latency_ms"]),
            formats.usd(row["cost"]),
            row["release"] or "-",
        )
        for row in rows
    ]  # fmt: skip
    if lines:
        print_table(columns, lines)
