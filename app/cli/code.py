"""`octant rollback --code`, `octant release code` and `octant run`: which code runs, and the way back to earlier code."""

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from app.cli.operator import user_name
from app.cli.releases import MOST_SHOWN, app

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.migrations.irreversible import Plan
    from app.releases.code import Deployed

LOOK = 0.1


@app.command("code")
def history() -> None:
    """List the code that ran here, newest first: when it first ran, and whether it is a rollback."""
    asyncio.run(_history())


def run() -> None:
    """Serve from the checkout that a link names, and hand over to another one without a lost call (deploy target `process`)."""
    from app.stack.runner import run as serve

    raise typer.Exit(serve())


def roll_back_code(reason: str, to: str, *, dry_run: bool, plan_done: bool) -> None:
    """Bring earlier code back by the deploy target's own means, and wait until every worker runs it."""
    asyncio.run(_roll_back(reason, to, dry_run=dry_run, plan_done=plan_done))


async def _history() -> None:
    from app.cli.database import database
    from app.releases import code

    async with database() as (engine, _):
        rows = await code.read(engine)
    shown: list[tuple[str, str]] = []
    for row in rows:
        if not shown or row.kind == code.ROLLBACK or shown[-1][0] != row.code:
            note = f" rollback by {row.by}: {row.reason}" if row.kind == code.ROLLBACK else ""
            shown.append((row.code, f"{row.at:%Y-%m-%d %H:%M:%S} UTC  {row.code}  ({row.version}){note}"))
    for _, line in shown[: -MOST_SHOWN - 1 : -1]:
        print(line)
    if not shown:
        print("No worker has reported its code yet.")


async def _roll_back(reason: str, to: str, *, dry_run: bool, plan_done: bool) -> None:
    from app.cli.database import database
    from app.domain.errors import Misconfigured
    from app.releases import code
    from app.releases.code import Code
    from app.stack.targets import target_of

    began = time.monotonic()
    async with database() as (engine, settings):
        deployed = target_of(settings.deploy)
        rows = await code.read(engine)
        goal = code.target(rows, to)
        now = code.path_of(rows)[-1]
        print(f"{now} -> {goal.code} ({goal.version}), which ran here first on {goal.at:%Y-%m-%d %H:%M} UTC.")
        _check_plans(await _plans(engine, goal), done=plan_done)
        if dry_run:
            for command in deployed.commands(goal, named=bool(to)):
                print(command)
            return
        by = user_name()
        await Code(goal.code, goal.version, goal.place).record(engine, by=by, kind=code.ROLLBACK, reason=reason)
        try:
            await asyncio.to_thread(deployed.go, goal, named=bool(to))
        except Misconfigured:
            newest = next(row for row in reversed(rows) if row.code == now)
            await Code(now, newest.version, newest.place).record(engine, by=by, reason="a rollback from it failed")
            raise
        await _wait_for_workers(engine, goal.code, began, settings.deploy.patience)
        if advice := deployed.advice(goal):
            print(advice)


async def _plans(engine: "AsyncEngine", goal: "Deployed") -> "list[Plan]":
    """The plans of the revisions that the database has and the earlier code does not know."""
    from app.migrations import irreversible
    from app.releases.code import schema

    async with engine.connect() as connection:
        return irreversible.passed(await schema(connection), goal.schema)


def _check_plans(plans: "list[Plan]", *, done: bool) -> None:
    """Print what stays as it is. Raises Misconfigured where the earlier code does not work on the newer schema."""
    from app.domain.errors import Misconfigured

    for plan in plans:
        print(f"The schema keeps {plan.revision}; the earlier code {plan.before}.")
    if (failing := [plan for plan in plans if not plan.earlier_code_works]) and not done:
        listed = "\n".join(f"  {plan.revision}: {plan.plan}" for plan in failing)
        raise Misconfigured(
            f"The earlier code does not work on this schema. Do this first, then repeat with --plan-done:\n{listed}"
        )


async def _wait_for_workers(engine: "AsyncEngine", name: str, began: float, seconds: float) -> None:
    """Say when every worker runs the code, by its own report. Exit code 1 if one does not in time."""
    from app.releases import reports

    while (found := await reports.read(engine)) and any(report.code != name for report in found):
        if time.monotonic() > began + seconds:
            break
        await asyncio.sleep(LOOK)
    behind = [report for report in found if report.code != name]
    took = time.monotonic() - began
    if not found:
        print(f"No worker reports after {took:.1f} s. A worker that starts now starts with it.")
    elif not behind:
        each = "The worker runs" if len(found) == 1 else f"All {len(found)} workers run"
        print(f"{each} it ({took:.1f} s).")
    for report in behind:
        print(f"  {report.worker} runs {report.code or 'code that does not say its version'}")
    if behind:
        raise typer.Exit(1)
