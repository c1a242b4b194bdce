"""`octant demo`, `serve`, `migrate`, `reset`: running the service, with everything it needs or alone."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.audited import changes


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the sample traffic instead of waiting.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Send no sample traffic, and rehearse nothing.")] = False,
    notice: Annotated[Path | None, typer.Option(help="Write address, key and label to this file when ready.")] = None,
    no_rehearsals: Annotated[
        bool, typer.Option("--no-rehearsals", help="Rehearse no page, attacks, outage and rollback after the first start.")
    ] = False,
) -> None:
    """Start everything on this machine and send a little traffic. Ctrl-C stops everything."""
    from app.stack.demo import run

    raise typer.Exit(run(once=once, quiet=quiet, notice=notice, rehearsed=not no_rehearsals))


def serve() -> None:
    """Serve, against the stores that OCTANT_DATABASE_URL and OCTANT_VALKEY_URL name."""
    from app.settings import load
    from app.stack.serve import serve as run

    load().require_stores()
    run()


def worker() -> None:
    """Run jobs and send webhooks, beside `octant serve`. Any number may run."""
    from app.stack.work import run

    run()


@changes("migrate")
def migrate() -> None:
    """Bring the database's schema up to date."""
    from app.cli.stores import settings_with_stores
    from app.migrations import upgrade
    from app.stack.pooling import refuse_shared_sessions

    settings = settings_with_stores()
    refuse_shared_sessions(settings)
    upgrade(settings.database_url)
    print("The schema is up to date.")


@changes("setup")
def setup() -> None:
    """Prepare the stores: schema and indexes; sample data, except in production; on a new database the newest two releases."""
    from app.cli.stores import settings_with_stores
    from app.stack import setup as steps

    settings = settings_with_stores()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    steps.run(settings, lambda step: print(f"setting up: {step}"))


def reset() -> None:
    """Remove all local state. Refused while the demo runs."""
    from app.stack.demo import reset as run

    run()
