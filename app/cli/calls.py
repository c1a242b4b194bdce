"""`octant calls`: the records of calls, newest first, and one of them whole."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.database import database

if TYPE_CHECKING:
    from app.audit.query import CallFilter

app = typer.Typer(help="Records of calls: filter them, or show one whole.")

_AGO = re.compile(r"(\d+)([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.callback(invoke_without_command=True)
def find(  # noqa: PLR0917 - one option a field is what a filter is; typer makes them keywords
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Tenant id.")] = None,
    user: Annotated[str | None, typer.Option(help="End user, as redacted in the record.")] = None,
    feature: Annotated[str | None, typer.Option(help="For instance support.answer.")] = None,
    outcome: Annotated[str | None, typer.Option(help="`ok` or an error's code.")] = None,
    provider: Annotated[str | None, typer.Option(help="Provider that answered last.")] = None,
    model: Annotated[str | None, typer.Option(help="Model asked last.")] = None,
    release: Annotated[str | None, typer.Option(help="Release id.")] = None,
    request_id: Annotated[str | None, typer.Option(help="As in the x-request-id header.")] = None,
    trace_id: Annotated[str | None, typer.Option(help="32 hexadecimal digits.")] = None,
    text: Annotated[str | None, typer.Option(help='Words in request or response; "quoted words" stand together.')] = None,
    since: Annotated[str | None, typer.Option(help="A time such as 2026-11-23T14:00, or an age such as 15m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="As --since.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the texts.")] = False,
) -> None:
    """List records, newest first."""
    if context.invoked_subcommand:
        return
    from app.audit.query import CallFilter

    wanted = CallFilter(
        tenant=tenant, user=user, feature=feature, outcome=outcome, provider=provider, model=model, release=release,
        request_id=request_id, trace_id=trace_id, text=text, since=_time(since), until=_time(until), limit=limit,
    )  # fmt: skip
    found = asyncio.run(_find(wanted))
    if as_json:
        for row in found:
            print(_json(row))
    else:
        _table(found)


@app.command("show")
def show(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a call, or the request id that its caller has.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show a call with its attempts, its request and its response."""
    for record in asyncio.run(_get(call_id)):
        if as_json:
            print(_json(record))
        else:
            _whole(record)


async def _find(wanted: "CallFilter") -> list[dict[str, Any]]:
    from app.audit.query import find_calls

    async with database() as (engine, _):
        return await find_calls(engine, wanted)


async def _get(call_id: str) -> list[dict[str, Any]]:
    """Every call under an id: one for a call's own, several for a request that asked the models several times."""
    from app.audit.query import CallFilter, find_calls, get_call
    from app.domain.errors import NotFound

    async with database() as (engine, _):
        own = await get_call(engine, call_id)
        ids = [own["id"]] if own else [row["id"] for row in await find_calls(engine, CallFilter(request_id=call_id))]
        found = [record for one in reversed(ids) if (record := await get_call(engine, one))]
    if not found:
        raise NotFound(f"No call {call_id!r}. Records appear within 5 seconds; `octant calls` lists the newest.")
    return found


def _table(rows: list[dict[str, Any]]) -> None:
    from app.domain.money import to_dollars

    columns = ("at", "id", "tenant", "user", "feature", "model", "outcome", "ms", "tokens", "cost")
    lines = [
        (
            f"{r['at']:%m-%d %H:%M:%S}", r["id"], r["tenant"], r["user"] or "-", r["feature"], r["model"] or "-", r["outcome"],
            f"{r['latency_ms']:.0f}", f"{_input(r)}+{r['output_tokens']}", f"${to_dollars(r['cost'])}",
        )
        for r in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in (columns, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _whole(record: dict[str, Any]) -> None:
    from app.domain.money import to_dollars

    texts, attempts = ("request", "response"), record["attempts"]
    for name, value in record.items():
        if name not in (*texts, "attempts") and value not in (None, "", []):
            told = f"${to_dollars(value)}" if name in ("cost", "held") else f"{value:.1f}" if isinstance(value, float) else value
            print(f"{name:20} {told}")
    for a in attempts:
        error = f"  {a['error']}" if a["error"] else ""
        where = f"{a['provider']} {a['model']}"
        print(f"attempt {a['number']:<12} {where}  {a['outcome']}  {a['latency_ms']:.0f} ms  ${to_dollars(a['cost'])}{error}")
    for name in texts:
        print(f"\n{name}\n{_pretty(record[name])}")
    print()


def _input(row: dict[str, Any]) -> int:
    return int(row["input_tokens"] + row["cached_input_tokens"] + row["cache_write_tokens"])


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text or "(none)"


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, default=lambda value: value.isoformat(), ensure_ascii=False)


def _time(text: str | None) -> datetime | None:
    """Read a point in time or an age. A time without a zone is UTC."""
    if text is None:
        return None
    ago = _AGO.match(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a time such as 2026-11-23T14:00 nor an age such as 15m, 2h, 7d") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
