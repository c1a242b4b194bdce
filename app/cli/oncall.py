"""`octant oncall …`: who is called now, and whether the rotation holds."""

from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The on-call rotation.")


@app.command("now")
def now(at: Annotated[str | None, typer.Option(help="Another time, ISO 8601.")] = None) -> None:
    """Show who is on call at each level, and until when."""
    from app.oncall.rotation import load_rotation
    from app.settings import load

    moment = datetime.fromisoformat(at) if at else datetime.now(UTC)
    rotation = load_rotation(load().rotation_file)
    for level, duty in enumerate(rotation.on_call(moment if moment.tzinfo else moment.replace(tzinfo=UTC)), start=1):
        person = duty.person
        print(f"level {level}: {person.name}  {person.phone}  {person.mail}  until {duty.until:%Y-%m-%d %H:%M %Z}")


@app.command("check")
def check(
    production: Annotated[bool, typer.Option("--production", help="Refuse placeholder people too.")] = False,
) -> None:
    """Check the rotation. Exit code 1 lists what is wrong."""
    from app.oncall.rotation import load_rotation
    from app.settings import load

    problems = load_rotation(load().rotation_file).problems(datetime.now(UTC), production=production)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print("The rotation holds for the next 90 days.")
