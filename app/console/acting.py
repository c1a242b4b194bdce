"""Actions: each shows its command and effect, wants a reason, is recorded before it happens, and says how to undo it.

The way is a form on the page, a page that asks once more, and the act. All three work without scripts.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.actions import Action, clean, subject_of
from app.console.commanded import REASON
from app.console.console import ROUTES, SAID, Console, form_of, operator, safe_way
from app.console.sessions import Session
from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound, OctantError
from app.domain.store_errors import why

MOST_REASON = 500
BEGUN = "begun"  # the outcome of an action that goes on, as commands that wait write it, too
NOTED_WITHIN = 5.0  # seconds: a command may hold the file while it waits for Postgres

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the page that asks once more says: a title, the effect in a sentence, and the same as a command.

    ``undo``: the command that takes it back, ``undo_at``: the page that asks for the same. ``strong``: it stops or changes what
    users get. ``harm``: sentences below the effect, in red; ``facts``: others. ``settled``: fields that the page fills in, so
    that what it says is what happens, though things change meanwhile. ``refused``: why the service would refuse it, in red
    above the button, the head first. ``instead``: the action that its button does after a tick at ``confirm``, where there is
    one by force. ``reason``: what its field holds at first, where the address has none; ``asks``: its label, where that is not
    the action's. ``page``: the title and the address of the page of the runbook that it is about.
    """

    title: str
    effect: str
    command: str
    undo: str = ""
    undo_at: str = ""
    button: str = "Do it"
    strong: bool = True
    settled: Mapping[str, str] = field(default_factory=dict)
    harm: Sequence[str] = ()
    facts: Sequence[str] = ()
    refused: Sequence[str] = ()
    instead: str = ""
    confirm: str = ""
    reason: str = ""
    asks: str = ""
    page: tuple[str, str] = ("", "")


Choices = Mapping[str, Sequence[tuple[str, str]]]
"""Values by field, each with the words that a person reads."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action in one line. ``noted``: for the operators' log besides, such as what was set before."""

    words: str
    noted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One action. ``name`` is its address and how the log calls it, with `-` for a space.

    ``fields``: the names of its form's fields, but for the reason. ``ask`` describes it, ``do`` does it and returns one line on
    what came of it, or `Done`; both raise an OctantError for a value that does not fit. ``ask`` raises `Elsewhere` where there is
    nothing to do. ``action``: how the log calls it, where the name does not say. Not ``reasoned``: the reason may be left out,
    where what was done says why, and seconds count.

    The rest is for its buttons beside commands, and for the page that asks for a value which is left. ``label``: the words of
    the button. ``typed``: the command with the options that make it this one, where that is not how the log calls it.
    ``positional``: the fields that the command takes without an option, where these are not its needed ones. ``options``: the
    field of an option that is called otherwise; `reason` is the reason itself. ``asks``: the label of the reason's field.
    ``choices``: what a field can be.
    """

    name: str
    fields: tuple[str, ...]
    ask: Callable[[Mapping[str, str]], Awaitable[Asked]]
    do: Callable[[Mapping[str, str], str, Session], Awaitable[str | Done]]
    back: str = "/console"
    optional: tuple[str, ...] = field(default=())
    action: str = ""
    reasoned: bool = True
    label: str = ""
    typed: str = ""
    positional: tuple[str, ...] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    asks: str = ""
    choices: Callable[[Mapping[str, str]], Awaitable[Choices]] | None = None

    @property
    def command(self) -> str:
        """The words of its command, and the options that make it this one."""
        return self.typed or self.logged

    @property
    def arguments(self) -> tuple[str, ...]:
        """The fields that its command takes without an option."""
        return tuple(name for name in self.fields if name not in self.optional) if self.positional is None else self.positional

    def way_back(self, values: Mapping[str, str]) -> str:
        """The page that it leads back to. ``back`` may name fields: ``/console/traces/{trace}``."""
        return safe_way(self.back.format(**{name: quote(value, safe="") for name, value in values.items()}))

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.label or self.logged.capitalize()

    @property
    def logged(self) -> str:
        """How the operators' log calls it: as the command."""
        return self.action or self.name.replace("-", " ")


def router(console: Console, actions: Mapping[str, Act]) -> APIRouter:
    """The routes of all actions."""
    made = APIRouter(prefix="/console/do", **ROUTES)

    @made.get("/{name}")
    async def ask(request: Request, name: str) -> Response:
        """Ask once more, with the effect and the command."""
        await operator(request)
        act, query = _found(actions, name), request.query_params
        if left := _left(act, query):
            return await _fill(console, request, act, left)
        values = _values(act, query)
        asked = await act.ask(values)
        reason, came = (query.get(REASON) or asked.reason)[:MOST_REASON], query.get("back", "")
        return _page(console, request, act, {**values, **asked.settled}, asked, reason=reason, came=came)

    @made.post("/{name}")
    async def act(request: Request, name: str) -> Response:
        """Record the action, do it, and show what came of it."""
        session = await operator(request)
        return await perform(console, request, _found(actions, name), session)

    return made


async def perform(console: Console, request: Request, act: Act, session: Session) -> Response:
    """Do the action of a form, with its begin and its end in the operators' log. Without its begin there nothing is done."""
    fields = await form_of(request)
    values, reason, came_from = _values(act, fields), fields.get(REASON, "").strip(), fields.get("back", "")
    asked = await act.ask(values)
    values |= asked.settled
    if (act.reasoned and not reason) or len(reason) > MOST_REASON:
        problem = f"Give a reason of up to {MOST_REASON} characters."
        return _page(console, request, act, values, asked, problem=problem, status=400, reason=reason, came=came_from)
    row = _row(console, act, values, reason, session)
    await _begun(console, row)
    try:
        came = await act.do(values, reason, session)
    except OctantError as error:
        await _ended(console, replace(row, outcome=error.code))
        return _page(console, request, act, values, asked, problem=error.message, status=409, reason=reason, came=came_from)
    except BaseException as error:
        await _ended(console, replace(row, outcome=type(error).__name__))
        raise
    done = came if isinstance(came, Done) else Done(came)
    noted = clean(done.noted, redactor=console.parts.redactor)
    lacks = await _ended(console, replace(row, outcome="ok", subject=", ".join(filter(None, (row.subject, noted)))))
    way, words = safe_way(came_from or act.way_back(values)), f"{done.words}{lacks}"
    said = (words, asked.undo, asked.undo_at, str(int(time.time())))
    return RedirectResponse(_saying(way, dict(zip(SAID, (*said, session.signed(*said)), strict=True))), 303)


def _saying(way: str, said: Mapping[str, str]) -> str:
    """The address of a page with the words on what was done. It leads to the top of the page, where they stand."""
    page = urlsplit(way)
    kept = [(name, value) for name, value in parse_qsl(page.query) if name not in SAID]
    return f"{page.path}?{urlencode([*kept, *((name, value) for name, value in said.items() if value)])}"


def _found(actions: Mapping[str, Act], name: str) -> Act:
    if name not in actions:
        raise NotFound("No such action.")
    return actions[name]


def _values(act: Act, fields: Mapping[str, str]) -> dict[str, str]:
    """The action's own fields. Raises InvalidRequest where one is missing."""
    missing = [name for name in act.fields if name not in act.optional and not fields.get(name, "").strip()]
    if missing:
        raise InvalidRequest(f"The field {missing[0]!r} is missing.", param=missing[0])
    return {name: fields.get(name, "").strip() for name in act.fields}


def _left(act: Act, query: Mapping[str, str]) -> list[str]:
    """The fields that have no value yet: those that it needs, and those that its button leaves to fill in."""
    wanted = [name for name in act.fields if name not in act.optional or name in query.get("fill", "").split(",")]
    return [name for name in wanted if not query.get(name, "").strip()]


async def _fill(console: Console, request: Request, act: Act, left: Sequence[str]) -> Response:
    """The page that asks for the values that are left, and leads to the one that asks once more."""
    kept = {name: value for name, value in request.query_params.items() if name not in left and value}
    choices: Choices = await act.choices(kept) if act.choices else {}
    back = safe_way(kept.get("back") or act.back)
    return console.page(request, "fill.html", None, title=act.title, act=act, kept=kept, left=left, choices=choices, back=back)


def _page(
    console: Console,
    request: Request,
    act: Act,
    values: Mapping[str, str],
    asked: Asked,
    *,
    problem: str = "",
    status: int = 200,
    reason: str = "",
    came: str = "",
) -> Response:
    """The page that asks once more. ``came``: the page that its button was on, to which it leads back."""
    shown = {"act": act, "values": values, "asked": asked, "problem": problem, "reason": reason}
    back = safe_way(came) if came else act.way_back(values)
    return console.page(request, "ask.html", None, title=asked.title, status=status, back=back, **shown)


def _row(console: Console, act: Act, values: Mapping[str, str], reason: str, session: Session) -> Action:
    """The row of an action that begins."""
    redactor = console.parts.redactor
    return Action(
        actor=session.actor, action=act.logged, subject=subject_of(values, redactor=redactor),
        reason=clean(reason, redactor=redactor), outcome=BEGUN,
    )  # fmt: skip


async def _begun(console: Console, row: Action) -> None:
    """Write the begin. Raises DependencyUnavailable: nothing happens unrecorded."""
    try:
        await console.parts.actions.write(row)
    except (SQLAlchemyError, OSError) as error:
        message = f"The operators' log cannot be written, so the console does nothing. In the terminal: octant {row.action}"
        raise DependencyUnavailable(message, retry_after=5.0) from error


async def _ended(console: Console, row: Action) -> str:
    """Write how it ended, as a row of its own; while Postgres is away into the local file, as a command does.

    Returns what the log lacks then. Never raises for a store: the action is done or refused, and its operator must read that.
    """
    row = replace(row, at=datetime.now(UTC), id=uuid.uuid4())
    try:
        await console.parts.actions.write(row)
    except (SQLAlchemyError, OSError) as error:
        log.warning("the end of an action is not in the operators' log", extra={**why(error), "action": row.action})
    else:
        return ""
    try:
        async with asyncio.timeout(NOTED_WITHIN):
            await asyncio.to_thread(console.parts.actions.note, row)
    except OSError as error:
        log.exception("the end of an action is noted nowhere", extra={**why(error), "action": row.action, "outcome": row.outcome})
        return " The operators' log has its begin alone: Postgres does not answer, and no file can be written."
    return " The operators' log gets its end later: Postgres does not answer."
