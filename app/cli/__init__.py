"""`octant …`: the operator's commands, one module per room, thin over the rooms.

Commands import what they use when they run, so that `octant --help` answers at once and an operator's command never waits
for a vendor's SDK to load.
"""

import sys
import traceback
from collections.abc import Iterable, Sequence

import typer

from app.cli import canary as _canary  # noqa: F401 - commands of the group `release`
from app.cli import drafts as _drafts  # noqa: F401 - the same
from app.cli import gameday as _gameday  # noqa: F401 - the same of the group `drill`
from app.cli import incident_report as _incident_report  # noqa: F401 - the same of the group `incident`
from app.cli import oncall_changes as _oncall_changes  # noqa: F401 - of the group `oncall`
from app.cli import profile as _profile  # noqa: F401 - of the group `release`
from app.cli import shadow as _shadow  # noqa: F401 - the same
from app.cli.audit import app as audit
from app.cli.budget import app as budget
from app.cli.calls import app as calls
from app.cli.capacity import capacity
from app.cli.check import check
from app.cli.code import run
from app.cli.drill import app as drill
from app.cli.escalate import app as escalate
from app.cli.files import FULL
from app.cli.incident import app as incident
from app.cli.index import app as index
from app.cli.jobs import app as jobs
from app.cli.keys import key, tenant
from app.cli.oncall import app as oncall
from app.cli.output import shown, standard_output
from app.cli.paging import add_to as add_paging_to
from app.cli.privacy import erase, export
from app.cli.provider_keys import app as provider_key
from app.cli.providers import app as providers
from app.cli.readiness import readiness
from app.cli.redaction import app as redaction
from app.cli.rehearse import app as rehearse
from app.cli.releases import app as release
from app.cli.releases import rollback
from app.cli.requests import requests
from app.cli.runbook import runbook
from app.cli.seed import seed
from app.cli.simulate import app as simulate
from app.cli.stack import demo, migrate, reset, serve, setup, worker
from app.cli.status import status
from app.cli.store_state import app as stores
from app.cli.switch import app as kill
from app.cli.switch import resume
from app.cli.threats import threats
from app.cli.trace import trace
from app.cli.webhooks import app as webhook
from app.domain.errors import Misconfigured, OctantError
from app.domain.store_errors import of_store
from app.features.feature import Feature
from app.features.installed import installed

LONGEST_NAME = 120  # of a file, in an error

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Operate Octant.")
for command in (
    *(demo, serve, run, worker, check, setup, migrate, seed, reset, rollback, resume),
    *(requests, threats, trace, erase, export, runbook, readiness, capacity, status),
):
    app.command()(command)
app.add_typer(drill, name="drill")
app.add_typer(rehearse, name="rehearse")
app.add_typer(index, name="index")
app.add_typer(tenant, name="tenant")
app.add_typer(key, name="key")
app.add_typer(calls, name="calls")
app.add_typer(budget, name="budget")
app.add_typer(release, name="release")
app.add_typer(oncall, name="oncall")
add_paging_to(oncall)
app.add_typer(incident, name="incident")
app.add_typer(jobs, name="jobs")
app.add_typer(webhook, name="webhook")
app.add_typer(kill, name="kill")
app.add_typer(providers, name="providers")
app.add_typer(stores, name="stores")
app.add_typer(redaction, name="redaction")
app.add_typer(audit, name="audit")
app.add_typer(provider_key, name="provider-key")
app.add_typer(simulate, name="simulate")
app.add_typer(escalate, name="escalate")


def add_products(to: typer.Typer, features: Iterable[Feature]) -> None:
    """Add the commands that products bring, as `octant NAME …`."""
    for feature in features:
        if feature.commands:
            to.add_typer(feature.commands(), name=feature.name)


add_products(app, installed())


def main() -> None:
    """Run a command. An error that the operator can mend is one sentence, without a traceback."""
    try:
        with standard_output():
            check_arguments(sys.argv[1:])
            app(prog_name="octant")  # also as `python -m app.cli`
    except Exception as error:  # noqa: BLE001 - shown with its traceback, whose last line may quote a caller
        sentence = sentence_of(error)
        words = traceback.format_exc() if sentence is None else f"octant: {sentence}\n"
        print(shown(words), end="", file=sys.stderr)
        raise SystemExit(1) from None


def sentence_of(error: BaseException) -> str | None:
    """What an operator is shown instead of a traceback; None for a bug."""
    if isinstance(error, Misconfigured | OctantError):
        return str(error)
    return of_store(error) or _of_a_file(error)


def _of_a_file(error: BaseException) -> str | None:
    """The sentence on a file that cannot be read or written; None for other errors."""
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str):
        name = error.filename if len(error.filename) <= LONGEST_NAME else f"{error.filename[:LONGEST_NAME]}…"
        return f"{name}: {error.strerror}"
    full = getattr(error, "errno", 0) in FULL or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return "No space is left where this writes: free some, and repeat it." if full else None


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise Misconfigured for one that is empty, or not UTF-8.

    An empty one is a script's variable that was not set: as an option it counts as left out, so that a cap meant for one user
    would be its tenant's, and a key for a while one for ever. No store could keep bytes that are not UTF-8, and each would be
    taken for away.
    """
    for number, argument in enumerate(arguments, 1):
        name, sign, value = argument.partition("=")
        if not argument or (name.startswith("--") and sign and not value):
            raise Misconfigured(f"Argument {number} is empty: give it a value, or leave out its option.")
        if any("\udc80" <= letter <= "\udcff" for letter in argument):  # as Python reads other bytes
            raise Misconfigured(f"Argument {number} is not UTF-8: {argument[:64]!r}. Type it in a terminal of that encoding.")
