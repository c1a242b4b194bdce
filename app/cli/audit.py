"""`octant audit …`: operators' actions, and whether their log is complete."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.audited import log_of
from app.cli.database import database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.audit.actions import ChainCheck

app = typer.Typer(no_args_is_help=True, help="The log of operators' actions: append-only, chained, signed.")


@app.command("list")
def list_actions(
    count: Annotated[int, typer.Option("--count", "--limit", min=1, max=10_000, help="How many.")] = 20,
    sign_ins: Annotated[bool, typer.Option("--sign-ins", help="With the sign-ins of the console, which change nothing.")] = False,
) -> None:
    """Show the last actions, newest first: operator, action, subject, outcome, reason."""
    rows = asyncio.run(_newest(count, sign_ins=sign_ins))
    for row in rows:
        what = f"{row.action}  {row.subject}  [{row.outcome}]  {row.reason}"
        line = f"{row.number:>6}  {row.at:%Y-%m-%d %H:%M:%S} UTC  {row.actor}  {what}"
        print(" ".join(line.splitlines()).rstrip())  # no reason can pass for another action
    if not rows:
        print("Nothing was done yet.")


@app.command("verify")
def verify(
    head: Annotated[str | None, typer.Option(help="A head that an earlier `verify` printed, to be found again.")] = None,
) -> None:
    """Recompute the whole chain. Exit code 1 where a row was changed, inserted or removed. Note the head elsewhere."""
    verdict = asyncio.run(_verify(head))
    for problem in verdict.problems:
        print(problem)
    print(f"{verdict.count} actions, head {verdict.head}")
    if verdict.problems:
        raise typer.Exit(1)


async def _newest(count: int, *, sign_ins: bool) -> "Sequence[Any]":
    async with database() as (engine, settings):
        return await log_of(engine, settings).newest(count, sign_ins=sign_ins)


async def _verify(head: str | None) -> "ChainCheck":
    async with database() as (engine, settings):
        return await log_of(engine, settings).verify(head=head)
