"""Signing in with an API key, and out."""

import logging

from fastapi import APIRouter
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.actions import SIGN_IN, Action, clean
from app.console.console import (
    COOKIE,
    ROUTES,
    SESSION,
    Console,
    console_of,
    fields_of,
    form_of,
    link,
    safe_way,
    session_of,
    viewer,
)
from app.console.sessions import Holder, Session, holder_of_key
from app.domain.errors import DependencyUnavailable, Forbidden, NotFound, RateLimited, Unauthenticated
from app.domain.store_errors import why
from app.edge.errors import TABLE
from app.edge.identity import holder_of

SETTINGS = "Path=/; Secure; HttpOnly; SameSite=Strict"
FORGOTTEN = "You are signed out in this browser. Postgres does not answer, so a copy of its cookie would stay good for a while."

log = logging.getLogger(__name__)


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", **ROUTES)

    @made.get("/sign-in")
    async def form(request: Request, to: str = "/console", kept: str = "") -> Response:
        """The form. ``kept``: a sign-in went well, so the cookie should be here."""
        if await session_of(request):
            return RedirectResponse(safe_way(to), 303)
        if request.cookies.get(COOKIE) and not kept:
            return form_page(request, to, "", ended=True)
        return form_page(
            request, to, "Your browser did not keep the session: open the console over HTTPS, or at localhost." if kept else ""
        )

    @made.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        """Begin a session."""
        fields = await fields_of(request)
        to = safe_way(fields.get("to", ""))
        try:
            identity = await holder_of(request, fields.get("key", "").strip())
            token = await signed_in(console, request, holder_of_key(identity))
        except (Unauthenticated, Forbidden, RateLimited) as error:
            return form_page(request, to, error.message, status=TABLE[type(error)].status)
        answer = RedirectResponse(link("/console/sign-in", kept=1, to=to), 303)
        answer.headers.append("set-cookie", f"{COOKIE}={token}; {SETTINGS}")
        return answer

    @made.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        """End this session."""
        session = await viewer(request)
        await form_of(request)
        return await signed_out(console, request, session)

    return made


async def signed_out(console: Console, request: Request, session: Session) -> Response:
    """End a session. The browser forgets it in any case: the person may leave a machine that others use."""
    answer: Response = RedirectResponse("/console/sign-in", 303)
    try:
        await console.sessions.end(session.id, by=session.actor)
    except NotFound:
        pass  # it has ended elsewhere
    except (SQLAlchemyError, OSError) as error:
        log.warning("a session cannot be ended", extra=why(error))
        answer = form_page(request, "/console", FORGOTTEN, status=503)
    answer.headers.append("set-cookie", f"{COOKIE}=; Max-Age=0; {SETTINGS}")
    return answer


async def signed_in(console: Console, request: Request, holder: Holder) -> str:
    """Begin a session and record it. Raises Unauthenticated for a used sign-in, DependencyUnavailable while Postgres is away."""
    browser = clean(request.headers.get("user-agent", ""), redactor=console.parts.redactor)
    try:
        token = await console.sessions.begin(holder, browser)
        await console.parts.actions.write(Action(actor=holder.actor, action=SIGN_IN, subject=browser, reason="", outcome="ok"))
    except IntegrityError as error:
        raise Unauthenticated("This sign-in was used already. Begin again.") from error
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable("No one can sign in while Postgres does not answer.", retry_after=5.0) from error
    return token


def form_page(request: Request, to: str, problem: str, *, status: int = 200, ended: bool = False) -> Response:
    """The sign-in page, with what went wrong. ``ended``: the browser brought the cookie of a session that is over."""
    request.scope.pop(SESSION, None)
    people = console_of(request).parts.people
    return console_of(request).page(
        request, "sign_in.html", None, status=status, title="Sign in", to=safe_way(to), problem=problem, ended=ended,
        provider=people.settings.name if people else "",
    )  # fmt: skip
