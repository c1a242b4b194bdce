"""Actions: each shows its command and effect, wants a reason, is recorded before it happens, and says how to undo it.

The way is a form on the page, a page that asks once more, and the act. All three work without scripts.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.actions import Action, clean, subject_of
from app.console.console import ROUTES, Console, form_of, link, operator, safe_way
from app.console.sessions import Session
from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound, OctantError

MOST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the page that asks once more says: a title, the effect in a sentence, and the same as a command.

    ``undo``: the command that takes it back, ``undo_at``: the page that asks for the same. ``strong``: it stops or changes what
    users get. ``harm``: sentences below the effect. ``settled``: fields that the page fills in, so that what it says is what
    happens, though things change meanwhile.
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
    """

    name: str
    fields: tuple[str, ...]
    ask: Callable[[Mapping[str, str]], Awaitable[Asked]]
    do: Callable[[Mapping[str, str], str, Session], Awaitable[str | Done]]
    back: str = "/console"
    optional: tuple[str, ...] = field(default=())
    action: str = ""
    reasoned: bool = True

    def way_back(self, values: Mapping[str, str]) -> str:
        """The page that it leads back to. ``back`` may name fields: ``/console/traces/{trace}``."""
        return safe_way(self.back.format(**{name: quote(value, safe="") for name, value in values.items()}))

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
        act = _found(actions, name)
        values = _values(act, request.query_params)
        asked = await act.ask(values)
        return _page(console, request, act, {**values, **asked.settled}, asked)

    @made.post("/{name}")
    async def perform(request: Request, name: str) -> Response:
        """Record the action, do it, and show what came of it."""
        session = await operator(request)
        fields = await form_of(request)
        act = _found(actions, name)
        values, reason = _values(act, fields), fields.get("reason", "").strip()
        asked = await act.ask(values)
        values |= asked.settled
        if (act.reasoned and not reason) or len(reason) > MOST_REASON:
            return _page(
                console, request, act, values, asked, problem=f"Give a reason of up to {MOST_REASON} characters.", status=400
            )
        try:
            await _record(console, act, values, reason, session, "begun")
            came = await act.do(values, reason, session)
        except OctantError as error:
            await _record(console, act, values, reason, session, error.code)
            return _page(console, request, act, values, asked, problem=error.message, status=409)
        done = came if isinstance(came, Done) else Done(came)
        await _record(console, act, values, reason, session, "ok", noted=done.noted)
        way = safe_way(fields.get("back") or act.way_back(values))
        said_at = str(int(time.time()))
        signed = session.signed(done.words, asked.undo, asked.undo_at, said_at)
        said = link(way, done=done.words, undo=asked.undo, undo_at=asked.undo_at, said_at=said_at, signed=signed)
        return RedirectResponse(said if "?" not in way else way, 303)

    return made


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


def _page(
    console: Console,
    request: Request,
    act: Act,
    values: Mapping[str, str],
    asked: Asked,
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    shown = {"act": act, "values": values, "asked": asked, "problem": problem}
    return console.page(request, "ask.html", None, title=asked.title, status=status, back=act.way_back(values), **shown)


async def _record(
    console: Console, act: Act, values: Mapping[str, str], reason: str, session: Session, outcome: str, *, noted: str = ""
) -> None:
    """A row of the operators' log. Raises DependencyUnavailable: nothing happens unrecorded."""
    parts = console.parts
    subject = ", ".join(filter(None, (subject_of(values, redactor=parts.redactor), clean(noted, redactor=parts.redactor))))
    action = Action(
        actor=session.actor, action=act.logged, subject=subject, reason=clean(reason, redactor=parts.redactor),
        outcome=outcome,
    )  # fmt: skip
    try:
        await parts.actions.write(action)
    except (SQLAlchemyError, OSError) as error:
        command = f"octant {act.logged}"
        message = f"The operators' log cannot be written, so the console does nothing. In the terminal: {command}"
        raise DependencyUnavailable(message, retry_after=5.0) from error
