"""`octant jobs …`: the state of deferred work."""

import asyncio
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Deferred work: how much waits, runs and is done.")


@app.callback()
def _group() -> None:
    """Keep `status` a command of its own."""


@app.command("status")
def status(
    tenant: Annotated[str | None, typer.Argument(help="Only this tenant's.")] = None,
    earlier: Annotated[str | None, typer.Option("--tenant", hidden=True, help="Earlier form of the argument.")] = None,
) -> None:
    """Count jobs by state, with the oldest of each, and webhooks that wait."""
    asyncio.run(_status(tenant or earlier))


async def _status(tenant: str | None) -> None:
    from sqlalchemy import func, select

    from app.cli.database import database
    from app.jobs.tables import jobs

    statement = select(jobs.c.state, func.count(), func.min(jobs.c.created_at), func.count(jobs.c.webhook_due_at))
    if tenant:
        statement = statement.where(jobs.c.tenant == tenant)
    async with database() as (engine, _), engine.connect() as connection:
        rows = (await connection.execute(statement.group_by(jobs.c.state).order_by(jobs.c.state))).all()
    for state, count, oldest, webhooks in rows:
        waiting = f", {webhooks} webhooks to send" if webhooks else ""
        print(f"{state:<10} {count:>7}  oldest {oldest.isoformat(timespec='seconds')}{waiting}")
    if not rows:
        print("No jobs.")
