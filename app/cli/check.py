"""`octant check`: a check of this configuration before it goes live."""

from datetime import UTC, datetime
from typing import Annotated

import typer


def check(
    production: Annotated[
        bool, typer.Option("--production", help="Judge as production does, whatever OCTANT_ENVIRONMENT says.")
    ] = False,
) -> None:
    """Check settings, rotation and the files that alerts are sent with. Exit code 1 lists every problem."""
    from app.settings import load, unknown_variables
    from app.stack.preflight import problems

    settings = load()
    strict = production or settings.environment == "production"
    found = [f"{name} is no setting, and changes nothing: `.env.example` lists all." for name in unknown_variables()]
    found += problems(settings, datetime.now(UTC), production=strict)
    for problem in found:
        print(problem)
    if found:
        raise typer.Exit(1)
    print("No problem found: this may go live." if strict else "No problem found. `octant check --production` is stricter.")
