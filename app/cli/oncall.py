"""`octant oncall …`: the people on call now, and a check of the rotation."""

from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The on-call rotation.")


@app.command("now")
def now(
    at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"],
            help="Another time; UTC if it names no zone.",
        ),
    ] = None,
) -> None:
    """Show the person on call at each level, in order, and until when."""
    from app.oncall.rotation import load_rotation
    from app.settings import load

    moment = at or datetime.now(UTC)
    rotation = load_rotation(load().rotation_file)
    duties = rotation.on_call(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    for level, duty in enumerate(duties, start=1):
        person, until = duty.person, f"until {duty.until:%Y-%m-%d %H:%M %Z}" if duty.until else "always"
        print(f"level {level}: {person.name}  {person.phone}  {person.mail}  {until}")
    if not duties:
        print("No person is on call. `octant oncall check` shows every gap.")
        raise typer.Exit(1)
    print(f"No answer within {rotation.escalate_after_minutes} minutes: call the next level.")


@app.command("check")
def check(
    production: Annotated[
        bool, typer.Option("--production", help="Refuse placeholder people, as the production environment always does.")
    ] = False,
) -> None:
    """Check the rotation over the next 90 days. Exit code 1 lists every problem."""
    from app.oncall.rotation import load_rotation
    from app.settings import load

    settings = load()
    strict = production or settings.environment == "production"
    problems = load_rotation(settings.rotation_file).problems(datetime.now(UTC), production=strict)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print("The rotation holds for the next 90 days.")
