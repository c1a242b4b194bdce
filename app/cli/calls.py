"""`octant calls`: the records of calls, newest first, and one of them whole."""

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from app.audit.call_filter import SORTS, CallFilter, Searched, bounds_of, searched
from app.cli.audited import changes, unchanged
from app.cli.database import database
from app.cli.files import private_file
from app.cli.tables import on_one_line, print_table
from app.cli.times import moment

app = typer.Typer(help="Records of calls: filter them, or show one whole.")

MOST_EXPORTED = 1_000_000


def _with_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of `CallFilter`, in the place of its last parameter."""
    *own, _ = inspect.signature(command).parameters.values()
    options = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=_option(f)) for f in searched()
    ]
    first, *others = own
    parameters = [first, *options, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in others)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _option(field: Searched) -> Any:  # noqa: ANN401 - an annotation
    """A time is read by `moment`, and the sort is checked by `find`: for typer both are texts."""
    kind = field.type if field.type in (str | None, bool | None, bool) else (str if field.default else str | None)
    return Annotated[kind, typer.Option(*field.about.options, help=field.about.text)]


@app.callback(invoke_without_command=True)
@_with_filter
def find(
    context: typer.Context,
    *,
    at_least: Annotated[list[str] | None, typer.Option(help="FIELD=NUMBER, as latency_ms=500 or cost=0.01. Repeatable.")] = None,
    at_most: Annotated[list[str] | None, typer.Option(help="As --at-least.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many: 20, or a million into a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the texts.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write them to this file: .jsonl or .parquet.", dir_okay=False)] = None,
    **filters: Any,  # noqa: ANN401 - by field of `CallFilter`
) -> None:
    """List records, newest first."""
    if context.invoked_subcommand:
        return
    from app.audit.query import cursor_of

    if filters["sort"] not in SORTS:
        raise typer.BadParameter(f"--sort takes {', '.join(SORTS)}")
    fields = {
        **filters,
        "since": moment(filters["since"]),
        "until": moment(filters["until"]),
        "ranges": bounds_of(at_least or [], at_most or []),
        "limit": limit or (MOST_EXPORTED if out else 20),
    }
    if out:
        _say(f"{_write(out=out, **fields)} records in {out}")
        return
    wanted = CallFilter(**fields)
    found = asyncio.run(_find(wanted, brief=not as_json))
    if as_json:
        for row in found:
            print(_json(row))
    else:
        _table(found, wanted.tried)
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


async def _find(wanted: CallFilter, *, brief: bool) -> list[dict[str, Any]]:
    from app.audit.query import find_calls, with_attempts

    async with database() as (engine, _):
        found = await find_calls(engine, wanted, brief=brief)
        return await with_attempts(engine, found) if wanted.tried else found


@changes("calls export")
def _write(*, out: Path, **fields: Any) -> int:  # noqa: ANN401 - the fields of a `CallFilter`
    """Write a file of records, and log that the operator did. Returns how many."""
    return asyncio.run(_export(CallFilter(**fields), out))


async def _export(wanted: CallFilter, out: Path) -> int:
    """Write the file. Returns how many records are in it."""
    from app.audit import export
    from app.audit.query import every_call

    writers = {".jsonl": export.write_jsonl, ".parquet": export.write_parquet}
    if out.suffix not in writers:
        raise typer.BadParameter(f"--out takes a file that ends with {' or '.join(writers)}")
    async with database() as (engine, _):
        unchanged()
        with private_file(out) as file:
            return await writers[out.suffix](every_call(engine, wanted), file)


async def _get(call_id: str) -> list[dict[str, Any]]:
    """Every call under an id: one for a call's own id, several for a request that made several calls."""
    from app.audit.query import find_calls, get_call
    from app.domain.errors import NotFound

    async with database() as (engine, _):
        own = await get_call(engine, call_id)
        ids = [own["id"]] if own else [row["id"] for row in await find_calls(engine, CallFilter(request_id=call_id))]
        found = [record for one in reversed(ids) if (record := await get_call(engine, one))]
    if not found:
        raise NotFound(f"No call {call_id!r}. Records appear within 5 seconds; `octant calls` lists the newest.")
    return found


def _table(rows: list[dict[str, Any]], tried: str | None) -> None:
    """Print one line a call; for a provider that was tried, also how its attempts ended."""
    from app.audit.query import input_of

    columns = ("at", "id", "tenant", "user", "feature", "model", "outcome", "ms", "tokens", "cost", *([tried] if tried else []))
    lines = [
        (
            f"{r['at']:%m-%d %H:%M:%S} UTC", r["id"], r["tenant"], r["user"] or "-", r["feature"], r["model"] or "-",
            r["outcome"],
            f"{r['latency_ms']:.0f}", f"{input_of(r)}+{r['output_tokens']}", _spent(r),
            *([", ".join(a["outcome"] for a in r["attempts"] if a["provider"] == tried)] if tried else []),
        )
        for r in rows
    ]  # fmt: skip
    print_table(columns, lines)


ESTIMATE = "an estimate: it broke off without its provider's final figures, so its upper bound is charged"


def _spent(row: dict[str, Any]) -> str:
    """What a call or attempt cost, marked where an upper bound is in it (ADR 0016)."""
    from app.domain.figures import usd

    return f"{'≤ ' if row['usage_estimated'] else ''}{usd(row['cost'])}"


def _whole(record: dict[str, Any]) -> None:
    from app.domain.figures import usd

    texts, attempts = ("request", "response"), record["attempts"]
    for name, value in record.items():
        if name not in (*texts, "attempts") and value not in (None, "", []):
            shown = usd(value) if name in ("cost", "held") else f"{value:.1f}" if isinstance(value, float) else value
            print(f"{name:20} {on_one_line(str(shown))}")
    for a in attempts:
        error = f"  {a['error']}" if a["error"] else ""
        where = f"{a['provider']} {a['model']}"
        print(f"attempt {a['number']:<12} {where}  {a['outcome']}  {a['latency_ms']:.0f} ms  {_spent(a)}{on_one_line(error)}")
        if a["usage_estimated"]:
            print(f"{'':20} {ESTIMATE}")
        for violation in a["violations"] or ():
            print(f"{'':20} wrong: {on_one_line(violation)}")
    for name in texts:
        print(f"\n{name}\n{_pretty(record[name])}")
    for a in attempts:
        if a["response"]:
            print(f"\nresponse to attempt {a['number']}\n{_pretty(a['response'])}")
    print()


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text or "(none)"


def _say(text: str) -> None:
    """Print to standard error, so that a pipe takes the records alone."""
    print(text, file=sys.stderr)


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, default=lambda value: value.isoformat(), ensure_ascii=False)
