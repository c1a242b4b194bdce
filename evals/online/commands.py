"""The commands of the loop: `online`, `candidates`, `mark` and `unmark`, `promote`, `dismiss` and `reopen`."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, ParamSpec

import typer
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit import marks, quality
from app.cli.audited import changes
from app.domain.errors import OctantError
from app.domain.yaml_text import NotYaml, read
from app.security.redaction.redactor import Redactor
from app.telemetry import logs
from evals import discovery
from evals.cases import InvalidSuite
from evals.online import candidates, promotion, worker
from evals.online.candidates import Reason, State
from evals.privacy import redacted
from evals.store import service_settings
from evals.suite import Suite

P = ParamSpec("P")
Number = Annotated[int, typer.Argument(help="The candidate's number, as `candidates` shows it.")]
Once = Annotated[bool, typer.Option("--once", help="One round at once, shown on the terminal, instead of rounds until stopped.")]
ByReason = Annotated[Reason | None, typer.Option(help="Only candidates with this reason.")]
ByState = Annotated[State, typer.Option(help="Those in this state.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
Mode = Annotated[str, typer.Option(help="The failure mode that it is a case of.")]
NewId = Annotated[str, typer.Option("--id", help="The case's id: words with hyphens.")]
Customer = Annotated[str, typer.Option(help="The made-up customer of the case.")]
Wording = Annotated[str, typer.Option("--question", help="The question, reworded.")]
Criteria = Annotated[str, typer.Option(help="Pass and fail in plain words.")]
Expect = Annotated[list[str], typer.Option(help="An expectation as in a case file: `cites: [shipping-times]`. May be repeated.")]
CallId = Annotated[str, typer.Argument(metavar="CALL", help="The call's id, as `octant calls` and a trace show it.")]
Worth = Annotated[str, typer.Option("--reason", help="Why it is worth a case.")]
Why = Annotated[str, typer.Option("--reason", help="Why it is no case.")]


def add_to(app: typer.Typer, failing_closed: Callable[[], AbstractContextManager[None]]) -> None:
    """Add the commands, each within ``failing_closed``."""
    named: dict[str, Callable[..., None]] = {
        "online": online, "candidates": listing, "mark": mark, "unmark": unmark, "promote": promote, "dismiss": dismiss,
        "reopen": reopen,
    }  # fmt: skip
    for name, command in named.items():
        app.command(name)(_within(failing_closed, command))


def _within(block: Callable[[], AbstractContextManager[None]], command: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with block():
            command(*args, **kwargs)

    return run


def online(*, once: Once = False) -> None:
    """Score a sample of production calls as they come, and find candidates."""
    settings = service_settings()
    redactor = Redactor(settings.secret_key.get_secret_value().encode())
    logs.configure(settings.log_level, redact=lambda line: redactor.redact(line, tenant=""))
    worker.run(settings, single=once, tell=print)


def listing(*, reason: ByReason = None, state: ByState = "new", limit: Limit = 20) -> None:
    """Show candidates for cases, the most frequent first."""
    fields = {feature: one.text_fields for one in discovery.chosen() for feature in one.readers}
    with _database() as engine:
        rows = candidates.listed(engine, state, reason, limit)
    for row in rows:
        seen = row["seen"]
        print(f"{row['id']:>6}  {row['at']:%Y-%m-%d}  {row['times']}x  {row['feature']}  {', '.join(row['reasons'])}")
        print(f"        asked: {_line(candidates.question_of(row['asked']))}")
        if answer := candidates.text_of(seen, fields.get(row["feature"], ())):
            print(f"        seen:  {_line(answer)}")
        for found in seen.get("findings", ()):
            print(f"        wrong: {found['scorer']}: {_line(found['words'])}")
        for comment in filter(None, [seen.get("comment"), *(row["comments"] or ())]):
            print(f"        said:  {_line(comment)}")
        for note in row["notes"] or ():
            print(f"        marked: {_line(note)}")
    print(f"{len(rows)} candidates, {state}." if rows else f"No candidates, {state}.")


@changes("evals mark")
def mark(call: CallId, *, why: Worth) -> None:
    """Mark a call of production as worth a case.

    The next round makes it a candidate.
    """
    _done(lambda engine: marks.mark(engine, call, redacted(why)))
    print(f"Marked {call}: the next round makes it a candidate. python -m evals candidates --reason operator")


@changes("evals unmark")
def unmark(call: CallId) -> None:
    """Take a mark back, before a round took it up."""
    _done(lambda engine: marks.unmark(engine, call))
    print(f"{call} is no longer marked.")


@changes("evals promote")
def promote(
    number: Number, *, mode: Mode, case_id: NewId, user: Customer = "ada", question: Wording = "", criteria: Criteria = "",
    expect: Expect = [],  # noqa: B006 - typer's API; never changed
) -> None:  # fmt: skip
    """Write a candidate as a case into the file of its failure mode.

    Without an expectation it is a draft, which `check` refuses.
    """
    wish = promotion.Wish(mode=mode, id=case_id, user=user, question=question, criteria=criteria, expect=_expected(expect))
    with _database() as engine, engine.begin() as connection:
        candidate = candidates.open_candidate(connection, number)
        path, content = promotion.promoted(candidate, wish, promotion.today(), _suite_of(candidate["feature"]))
        candidates.decide(connection, number, "promoted", case=case_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")  # last: a file that cannot be written leaves the candidate as it was
    print(f"Wrote {case_id} to {path}. Read it for names, which no pattern finds, then: python -m evals check")


@changes("evals dismiss")
def dismiss(number: Number, *, why: Why) -> None:
    """Dismiss a candidate, with the reason.

    It does not come back for as long as records are kept.
    """
    with _database() as engine, engine.begin() as connection:
        candidates.open_candidate(connection, number)
        candidates.decide(connection, number, "dismissed", why=redacted(why))
    print(f"Dismissed {number}.")


@changes("evals reopen")
def reopen(number: Number) -> None:
    """Take the dismissal of a candidate back: it waits for a decision again."""
    _done(lambda engine: quality.reopen(engine, number))
    print(f"Candidate {number} waits for a decision again.")


def _done(change: Callable[[AsyncEngine], Coroutine[Any, Any, None]]) -> None:
    """Do what the console does too, in the service's own room. Raises InvalidSuite."""

    async def run() -> None:
        engine = create_async_engine(service_settings().database_url, hide_parameters=True)
        try:
            await change(engine)
        finally:
            await engine.dispose()

    try:
        asyncio.run(run())
    except SQLAlchemyError as error:
        raise InvalidSuite(f"Postgres does not accept it: {type(error).__name__}") from error
    except OctantError as error:
        raise InvalidSuite(error.message) from error


@contextmanager
def _database() -> Generator[Engine, None, None]:
    engine = create_engine(service_settings().database_url, hide_parameters=True)
    try:
        yield engine
    except SQLAlchemyError as error:
        raise InvalidSuite(f"Postgres does not accept it: {type(error).__name__}") from error
    finally:
        engine.dispose()


def _suite_of(feature: str) -> Suite:
    for one in discovery.chosen():
        if feature in one.readers:
            return one
    raise InvalidSuite(f"no suite reads the calls of {feature}")


def _expected(given: Sequence[str]) -> dict[str, Any]:
    """The expectations of the command line, each a line of YAML. Raises InvalidSuite."""
    expect: dict[str, Any] = {}
    for line in given:
        try:
            found, _ = read(line)
        except NotYaml:
            found = None
        if not isinstance(found, dict):
            raise InvalidSuite(f"--expect is `name: value` as in a case file, not {line!r}")
        expect |= found
    return expect


def _line(text: str) -> str:
    return " ".join(text.split())[:110]
