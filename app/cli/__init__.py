"""`octant …`: the operator's commands, one module per room, thin over the rooms.

Commands import what they use when they run, so that `octant --help` answers at once and an operator's command never waits
for a vendor's SDK to load.
"""

import sys

import typer

from app.cli import budget, calls, index, keys, oncall, releases, seed, stack, switch
from app.domain.errors import Misconfigured, OctantError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Operate Octant.")
app.command("demo")(stack.demo)
app.command("serve")(stack.serve)
app.command("reset")(stack.reset)
app.command("migrate")(stack.migrate)
app.command("seed")(seed.seed)
app.add_typer(index.app, name="index")
app.add_typer(keys.tenant, name="tenant")
app.add_typer(keys.key, name="key")
app.add_typer(calls.app, name="calls")
app.add_typer(budget.app, name="budget")
app.add_typer(releases.app, name="release")
app.command("rollback")(releases.rollback)
app.add_typer(oncall.app, name="oncall")
app.add_typer(switch.app, name="kill")
app.command("resume")(switch.resume)


def main() -> None:
    """Run a command. What the operator can mend is told in one sentence, without a traceback."""
    try:
        app()
    except (Misconfigured, OctantError) as error:
        print(f"octant: {error}", file=sys.stderr)
        raise SystemExit(1) from None
