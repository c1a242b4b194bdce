"""`octant check`: whether this configuration may go live."""

from datetime import UTC, datetime
from typing import Annotated

import typer


def check(
    production: Annotated[
        bool, typer.Option("--production", help="Judge as production does, whatever OCTANT_ENVIRONMENT says.")
    ] = False,
) -> None:
    """Check settings, rotation and the files that alerts are sent with. Exit code 1 lists everything that is wrong."""
    from app.settings import load
    from app.stack.preflight import problems

    settings = load()
    strict = production or settings.environment == "production"
    found = problems(settings, datetime.now(UTC), production=strict)
    for problem in found:
        print(problem)
    if found:
        raise typer.Exit(1)
    print("Nothing here keeps this from going live." if strict else "Nothing is wrong. `octant check --production` is stricter.")
