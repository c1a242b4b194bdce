"""Every command that changes something leaves a row in the log of operators' actions: `@changes("kill all")` does it.

The row is written when the command has ended, with how it ended, also when it failed, and has the time of its begin: what it
changed shows before it ends. A command that waits for a person has a row of each, so that the person's answer stands
between. The command comes first: a kill switch does not wait for Postgres. Where Postgres is away the row goes to a file in the
state folder, and a message says so.
"""

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from app.cli.operator import actor
from app.cli.stores import changed_demos

if TYPE_CHECKING:
    from app.audit.actions import ActionLog
    from app.settings import Settings
    from app.stack.running import Demo

_more: ContextVar["list[str] | None"] = ContextVar("more_words", default=None)
BEGUN = "begun"  # the outcome of an action that goes on, as the console writes it, too
P = ParamSpec("P")
R = TypeVar("R")


def changes(action: str, *, waits: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a command as one that changes something. ``action`` is its name: the part behind `octant`.

    ``waits``: for a person, so it has a row of its begin besides.
    With `--force` it is an action of its own, so that all that was forced can be listed.
    """

    def mark(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def noted(*args: P.args, **kwargs: P.kwargs) -> R:
            demos: list[Demo] = []
            more: list[str] = []
            outcome, began = "ok", datetime.now(UTC)
            token, words = changed_demos.set(demos), _more.set(more)
            if waits:
                _note(action, kwargs, BEGUN, (), began)
            try:
                return command(*args, **kwargs)
            except BaseException as error:
                outcome = _outcome(error)
                raise
            finally:
                changed_demos.reset(token)
                _more.reset(words)
                _note(
                    f"{action} --force" if kwargs.get("force") else action,
                    kwargs,
                    outcome,
                    more,
                    datetime.now(UTC) if waits else began,
                )
                if outcome == "ok":
                    _name(demos)

        noted.changes = action  # type: ignore[attr-defined] # for the test that walks all commands
        return noted

    return mark


def add(words: str) -> None:
    """Say more in the row of the command that runs, as what was there before. They are redacted."""
    if (more := _more.get()) is not None:
        more.append(words)


def unchanged() -> None:
    """Say that the command that runs found nothing to change, so that it names no demo as changed. Its row stays."""
    if (demos := changed_demos.get()) is not None:
        demos.clear()


def log_of(engine: Any, settings: "Settings") -> "ActionLog":  # noqa: ANN401 - an AsyncEngine; not imported for a type alone
    """The log on the settings' secret and state."""
    from app.audit.actions import NOTES, ActionLog

    secret = settings.secret
    return ActionLog(engine, secret=secret, notes=settings.state_dir / NOTES)


def _name(demos: "list[Demo]") -> None:
    """Print which demo was changed: an operator who meant production must notice."""
    for demo in demos:
        print(f"octant: this changed the demo at {demo.url} ({demo.folder})", file=sys.stderr)


def _outcome(error: BaseException) -> str:
    from typer import Exit

    if isinstance(error, Exit):
        return f"exit {error.exit_code}" if error.exit_code else "ok"
    if isinstance(error, SystemExit):
        return f"exit {error.code}" if error.code else "ok"
    return str(getattr(error, "code", type(error).__name__))[:64]


def _note(name: str, parameters: dict[str, Any], outcome: str, more: Sequence[str], at: datetime) -> None:
    """Write the row. Never raises: the command is done, and the operator must see its own error.

    ``at``: of a command that waits for no person, its begin: what it changed shows before it ends.
    """
    from app.audit.actions import NOTES, Action, clean, subject_of
    from app.domain.errors import Misconfigured
    from app.security.redaction.redactor import Redactor
    from app.settings import load

    try:
        settings = load()
    except Misconfigured:
        return  # nothing was done either
    if outcome != "ok" and not settings.database_url:
        return  # no stores, so nothing was done
    redactor = Redactor(settings.secret)
    action = Action(
        actor=clean(actor(), redactor),
        action=name,
        subject=", ".join([subject_of(parameters, redactor), *(clean(words, redactor) for words in more)]),
        reason=clean(str(parameters.get("reason") or ""), redactor),
        outcome=outcome,
        at=at,
    )
    why = "Postgres does not answer" if settings.database_url else "OCTANT_DATABASE_URL is not set"
    words = f"{action.action} {action.subject}".rstrip()
    try:
        if not asyncio.run(_append(action, settings)):
            print(
                f"octant: {why}, so this is noted in {settings.state_dir / NOTES} and goes to the audit log later.",
                file=sys.stderr,
            )
    except FileNotFoundError:
        print(
            f"octant: NOT in the audit log: {why}, and there is no folder {settings.state_dir} to note it in: {words}",
            file=sys.stderr,
        )
    except Exception as error:  # noqa: BLE001 - printed instead, see above
        print(f"octant: NOT in the audit log ({type(error).__name__}): {words}", file=sys.stderr)


async def _append(action: Any, settings: "Settings") -> bool:  # noqa: ANN401 - an Action; imported when it runs
    from app.stores import build_engine

    if not settings.database_url:
        return await log_of(None, settings).append(action)
    engine = build_engine(settings, pooled=False)
    try:
        return await log_of(engine, settings).append(action)
    finally:
        await engine.dispose()
