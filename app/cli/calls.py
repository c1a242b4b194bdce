"""`octant calls`: the records of calls, newest first, and one of them whole."""

import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from app.cli.audited import changes
from app.cli.database import database

if TYPE_CHECKING:
    from app.audit.query import CallFilter

app = typer.Typer(help="Records of calls: filter them, or show one whole.")

MOST_EXPORTED = 1_000_000
_AGO = re.compile(r"(\d+)([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.callback(invoke_without_command=True)
def find(  # noqa: PLR0917 - one option a field is what a filter is; typer makes them keywords
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Tenant id.")] = None,
    user: Annotated[str | None, typer.Option(help="End user, as redacted in the record.")] = None,
    key: Annotated[str | None, typer.Option(help="Id of an API key, as `octant key list` shows it.")] = None,
    feature: Annotated[str | None, typer.Option(help="For instance support.answer.")] = None,
    target: Annotated[str | None, typer.Option(help="What was asked for: a model's alias or a prompt.")] = None,
    outcome: Annotated[str | None, typer.Option(help="`ok` or an error's code.")] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--ok", help="Whether it failed: not `ok`, `not_asked`, `replayed`.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Provider that answered last.")] = None,
    model: Annotated[str | None, typer.Option(help="Model asked last.")] = None,
    model_answered: Annotated[str | None, typer.Option(help="Version that the provider says answered.")] = None,
    release: Annotated[str | None, typer.Option(help="Release id.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Prompt, as support/answer.")] = None,
    prompt_version: Annotated[str | None, typer.Option(help="Its version, as v2.")] = None,
    degraded: Annotated[str | None, typer.Option(help="A word of the header octant-degraded.")] = None,
    stream: Annotated[bool | None, typer.Option("--stream/--whole", help="Streams, or whole answers.")] = None,
    request_id: Annotated[str | None, typer.Option(help="As in the x-request-id header.")] = None,
    trace_id: Annotated[str | None, typer.Option(help="32 hexadecimal digits.")] = None,
    text: Annotated[str | None, typer.Option(help='Words in request or response; "quoted words" stand together.')] = None,
    at_least: Annotated[list[str] | None, typer.Option(help="FIELD=NUMBER, as latency_ms=500 or cost=0.01. Repeatable.")] = None,
    at_most: Annotated[list[str] | None, typer.Option(help="As --at-least.")] = None,
    since: Annotated[str | None, typer.Option(help="A time such as 2026-11-23T14:00, or an age such as 15m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="As --since.")] = None,
    sort: Annotated[str, typer.Option(help="at, latency_ms or cost.")] = "at",
    ascending: Annotated[bool, typer.Option("--ascending", help="The oldest, quickest or cheapest first.")] = False,
    after: Annotated[str | None, typer.Option(help="The cursor that the page before ended with.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many: 20, or a million into a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the texts.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write them to this file: .jsonl or .parquet.", dir_okay=False)] = None,
) -> None:
    """List records, newest first."""
    if context.invoked_subcommand:
        return
    from app.audit.query import SORTS, CallFilter, Sort, bounds_of, cursor_of

    if sort not in SORTS:
        raise typer.BadParameter(f"--sort takes {', '.join(SORTS)}")
    fields: dict[str, Any] = {
        "tenant": tenant, "user": user, "key_id": key, "feature": feature, "target": target, "outcome": outcome, "failed": failed,
        "provider": provider, "model": model, "model_answered": model_answered, "release": release, "prompt": prompt,
        "prompt_version": prompt_version, "degraded": degraded, "stream": stream, "request_id": request_id, "trace_id": trace_id,
        "text": text, "ranges": bounds_of(at_least or [], at_most or []), "since": _time(since), "until": _time(until),
        "sort": cast("Sort", sort), "ascending": ascending, "after": after, "limit": limit or (MOST_EXPORTED if out else 20),
    }  # fmt: skip
    if out:
        _say(f"{_write(out=out, **fields)} records in {out}")
        return
    wanted = CallFilter(**fields)
    found = asyncio.run(_find(wanted))
    if as_json:
        for row in found:
            print(_json(row))
    else:
        _table(found)
    if len(found) == wanted.limit and not as_json:
        _say(f"more: --after {cursor_of(found[-1], wanted.sort)}")


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


@changes("calls export")
def _write(*, out: Path, **fields: Any) -> int:  # noqa: ANN401 - the fields of a `CallFilter`
    """Write a file of records, and log that the operator did. Returns how many."""
    from app.audit.query import CallFilter

    return asyncio.run(_export(CallFilter(**fields), out))


async def _export(wanted: "CallFilter", out: Path) -> int:
    """Write a file beside the one that is wanted and put it there when it is whole."""
    from app.audit import export
    from app.audit.query import every_call

    writers = {".jsonl": export.write_jsonl, ".parquet": export.write_parquet}
    if out.suffix not in writers:
        raise typer.BadParameter(f"--out takes a file that ends with {' or '.join(writers)}")
    unfinished = out.with_name(out.name + ".part")
    async with database() as (engine, _):
        try:
            with unfinished.open("wb") as file:
                count = await writers[out.suffix](every_call(engine, wanted), file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    unfinished.replace(out)
    return count


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
        for violation in a["violations"] or ():
            print(f"{'':20} wrong: {violation}")
    for name in texts:
        print(f"\n{name}\n{_pretty(record[name])}")
    for a in attempts:
        if a["response"]:
            print(f"\nresponse to attempt {a['number']}\n{_pretty(a['response'])}")
    print()


def _input(row: dict[str, Any]) -> int:
    return int(row["input_tokens"] + row["cached_input_tokens"] + row["cache_write_tokens"])


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text or "(none)"


def _say(text: str) -> None:
    """To the person, beside what a pipe takes."""
    print(text, file=sys.stderr)


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
