"""What every page shares: who looks, how a page is written, and what becomes of an error."""

import hmac
import json
import logging
import shlex
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import Depends
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app import __version__
from app.audit.query import input_of
from app.budget.alert_words import reached
from app.console import formats, operators, unbroken
from app.console.assets import asset
from app.console.commanded import Buttons, Commanded, no_buttons
from app.console.known import LastKnown
from app.console.moments import moments
from app.console.navigation import PAGES, Page
from app.console.oidc.begun import Seal
from app.console.parts import ConsoleParts
from app.console.places import Place, places
from app.console.ranges import DEFAULT, EVENTS, PRESETS, Range, range_of
from app.console.sessions import Session, Sessions
from app.console.unbroken import measure
from app.console.waiting import Waiting, waiting
from app.domain.errors import DependencyUnavailable, Forbidden, InvalidRequest, OctantError
from app.domain.records import REFUSALS
from app.domain.store_errors import takes_no_more, why
from app.domain.unseen import revealed
from app.edge.errors import TABLE
from app.edge.identity import IDENTIFIED
from app.edge.middleware import from_http
from app.edge.target import check_fields

TEMPLATES = Path(__file__).with_name("templates")
COOKIE = "__Host-octant-console"  # the prefix makes browsers insist on Secure, on the path / and on no domain
SESSION = "octant.console.session"
WAITING = "octant.console.waiting"
HERE = "octant.console"
MOST_FIELDS = 100
MOST_OF_A_FORM = 256 * 1024  # bytes
NAMES_KEPT = 10.0  # seconds
LIVE = "/console/live/"  # what pages ask by themselves
BADGE = f"{LIVE}badge"
EVENTS_WAIT = 1.0  # seconds: a page has the rest to read, and other ranges

log = logging.getLogger(__name__)


class Console:
    """The console of one service."""

    def __init__(self, parts: ConsoleParts) -> None:
        """Connects to nothing."""
        self.parts = parts
        issuer = parts.people.settings.issuer if parts.people else ""
        self.sessions = Sessions(parts.engine, secret=parts.secret, idle=parts.idle, lifetime=parts.lifetime, issuer=issuer)
        self.seal = Seal(parts.secret)
        self.known = LastKnown()
        self.commanded = Commanded()
        self.names: Mapping[str, str] = {}  # of operators, by key and subject
        self._named_at = -NAMES_KEPT
        self._environment = templates()

    def page(
        self,
        request: Request,
        template: str,
        page: Page | None,
        *,
        status: int = 200,
        title: str = "",
        **values: Any,  # noqa: ANN401 - by template
    ) -> Response:
        """Write a page. ``values`` are the template's own."""
        session: Session | None = request.scope.get(SESSION)
        waiting: Waiting = request.scope.get(WAITING) or Waiting()
        shared = {
            "places": [_filled(place) for place in self._places(session, waiting)] if session else [],
            "waiting": waiting,
            "page": page, "pages": PAGES, "title": title or (page.title if page else "Octant"), "session": session,
            "request": request,
            "environment": self.parts.environment, "version": __version__, "now": datetime.now(UTC),
            "presets": PRESETS, "events": EVENTS,
            "stopped": self.parts.switch.stopped_words, "said_in": SAID,
            "query": _asked(request), "here": _here(request), "done": _done(request, session), "names": self.names,
        }  # fmt: skip
        return HTMLResponse(revealed(self._environment.get_template(template).render(**(shared | values))), status)

    def _places(self, session: Session, waiting: Waiting) -> list[Place]:
        drills = self.parts.environment == "development"
        return places(self.parts.providers, may_act=session.may_act, waiting=waiting.pages, drills=drills)

    def buttons(self, session: Session, back: str, words: Mapping[str, str] = {}) -> Buttons:
        """The buttons of commands for this person; none for one who may not act. ``back``: the page that they are on."""
        return partial(self.commanded.button, words=words, back=back) if session.may_act else no_buttons

    async def waiting(self) -> Waiting:
        """Pages without an answer and open incidents, as they are or were last known."""
        if time.monotonic() - self._named_at > NAMES_KEPT:
            self._named_at = time.monotonic()
            self.names = (await self.known.read("names", operators.names(self.parts.engine), wait=EVENTS_WAIT)).value or {}
        return (await self.known.read("waiting", waiting(self.parts.engine), wait=EVENTS_WAIT)).value or Waiting()

    async def range(self, query: Mapping[str, str], default: str = DEFAULT) -> Range:
        """The range of an address, which may begin with an event that Postgres knows."""
        known = await self.known.read("moments", moments(self.parts.engine), wait=EVENTS_WAIT)
        return range_of(query, default=default, moments=known.value or {})

    def fragment(self, template: str, **values: Any) -> str:  # noqa: ANN401 - by template
        """Write a part of a page."""
        return revealed(self._environment.get_template(template).render(names=self.names, **values))


@dataclass(frozen=True)
class SignedIn:
    """A dependency: the session, in one of the roles. A test finds one on every route of the console."""

    scopes: frozenset[str]

    async def __call__(self, request: Request) -> Session:
        """Return the session. Raises Forbidden for another role, or `_SignInFirst` without a session."""
        session = await session_of(request)
        if session is None:
            raise SignInFirst(request)
        request.scope[SESSION] = session
        request.scope[IDENTIFIED] = True
        if session.role not in self.scopes:
            raise Forbidden(
                "Your session may look, not act. Sign in with a key of the scope `admin`, or in a group of operators."
            )
        console = console_of(request)
        request.scope[WAITING] = await console.waiting()
        if SAID[-1] in request.query_params:  # an action has just been done: a stop stands above the page at once
            with suppress(OctantError):
                await console.parts.switch.status()
        return session


viewer = SignedIn(frozenset({"viewer", "operator"}))
operator = SignedIn(frozenset({"operator"}))


class Elsewhere(Exception):  # noqa: N818 - it is a way, not an error
    """Another page answers this request: one that says why there is nothing to do, or the same at a shorter address."""

    def __init__(self, to: str) -> None:
        """``to``: the address of that page."""
        super().__init__()
        self.to = to


class SignInFirst(Exception):  # noqa: N818 - it is a way, not an error
    """No session: the sign-in page comes first."""

    def __init__(self, request: Request) -> None:
        """Remembers where the person wanted to go."""
        super().__init__()
        self.to = _here(request) if request.method == "GET" else "/console"


async def session_of(request: Request) -> Session | None:
    """The session of a request's cookie. Raises DependencyUnavailable while Postgres is away and it is not known."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    try:
        return await console_of(request).sessions.find(token, used=not request.url.path.startswith(LIVE))
    except DataError:
        return None
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable(
            "Sessions cannot be read right now, and this one is not known here.", retry_after=5.0
        ) from error


def console_of(request: Request) -> Console:
    """The running application's console."""
    console: Console = request.app.state.console
    return console


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that was sent from our own page. Raises Forbidden for any other, InvalidRequest for no form.

    Two checks, each enough by itself: where the browser says that the request comes from, and the token in the form (OWASP's
    cheat sheet on cross-site request forgery).
    """
    session: Session = request.scope[SESSION]
    fields = await fields_of(request)
    if not hmac.compare_digest(fields.pop("csrf", "").encode(), session.csrf.encode()):
        raise Forbidden("This form has expired, or did not come from the console. Load the page again.")
    return fields


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form of the same site. Raises Forbidden or InvalidRequest."""
    if not _same_site(request):
        raise Forbidden("This form did not come from the console.")
    body = await request.body()
    if len(body) > MOST_OF_A_FORM:
        raise InvalidRequest(f"The form is over {MOST_OF_A_FORM:,} bytes.")
    check_fields(body, "form")
    try:
        text = body.decode()
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_FIELDS))
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None


def _same_site(request: Request) -> bool:
    """Where a browser says that a request comes from. One that does not say is let through to the other check."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


class ConsoleRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's."""
        handler = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                _chosen_alone(request)
                return await handler(request)
            except SignInFirst as first:
                return _sign_in_first(request, first.to)
            except Elsewhere as page:
                return RedirectResponse(page.to, 303)
            except (OctantError, HTTPException) as error:
                return _error_page(request, from_http(error) if isinstance(error, HTTPException) else error)
            except DataError:
                return _error_page(request, InvalidRequest("A value in the address cannot be stored or looked for."))
            except (SQLAlchemyError, OSError) as error:
                log.warning("a page's store does not answer", extra=why(error))
                state = "takes no more connections" if takes_no_more(error) else "does not answer"
                return _error_page(request, DependencyUnavailable(f"Postgres {state} right now.", retry_after=5.0))

        return with_pages


def _chosen_alone(request: Request) -> None:
    """Raise `Elsewhere` to the address without the empty fields that a browser sends with a form, where it has some.

    The address of a sign-in may be a provider's answer, so it stays as it is.
    """
    query = request.query_params.multi_items()
    chosen = [(name, value) for name, value in query if value]
    if request.method == "GET" and len(chosen) < len(query) and not request.url.path.startswith("/console/sign-in"):
        raise Elsewhere(request.url.path + (f"?{urlencode(chosen)}" if chosen else ""))


def _sign_in_first(request: Request, to: str) -> Response:
    """The sign-in page; but a link from elsewhere brings no strict cookie along, so our own page asks once more."""
    if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
        return console_of(request).page(request, "arrive.html", None, to=to, leads=False)
    return RedirectResponse(f"/console/sign-in?to={quote(to, safe='')}", 303)


def _error_page(request: Request, error: OctantError) -> Response:
    status = TABLE[type(error)].status
    values = {
        "code": status, "phrase": HTTPStatus(status).phrase.capitalize(), "message": error.message,
        "request_id": request.scope["octant.request_id"],
        "runbook": "postgres-away" if isinstance(error, DependencyUnavailable) else "",
        "back": _form_of(request) if request.url.path.startswith("/console/do/") else "",
    }  # fmt: skip
    return console_of(request).page(request, "error.html", None, status=status, title=values["phrase"], **values)


def _form_of(request: Request) -> str:
    """The page of ours with the form that was sent; empty where the browser does not say, or names the failing page itself."""
    sent = urlsplit(request.headers.get("referer", ""))
    way = sent.path + (f"?{sent.query}" if sent.query else "")
    return way if way and safe_way(way) == way != _here(request) else ""


def _filled(place: Place) -> dict[str, Any]:
    """A place for the palette, which is in every page: without what is empty."""
    return {name: value for name, value in asdict(place).items() if value}


SAID = ("done", "undo", "undo_at", "said_at", "signed")
"""The parts of an address that say what came of an action. The console's script takes them out of the address."""
SAID_FOR = 60.0  # seconds: later the page may show another state than these words
TAKEN_BACK = "taken back"  # the reason that its form holds at first


def _done(request: Request, session: Session | None) -> tuple[str, str, str] | None:
    """The outcome of this session's own newest action, and how to take it back; a link's words need the session's signature."""
    done, undo, undo_at, said_at, signed = (request.query_params.get(name, "") for name in SAID)
    if not session or not hmac.compare_digest(signed.encode(), session.signed(done, undo, undo_at, said_at).encode()):
        return None
    if time.time() - int(said_at) >= SAID_FOR:
        return None
    back = {"back": link(request.url.path, _asked(request)), "reason": TAKEN_BACK}
    return done, undo, f"{undo_at}{'&' if '?' in undo_at else '?'}{urlencode(back)}" if undo_at else ""


def _asked(request: Request) -> dict[str, str]:
    """The fields of an address, without the words on an action."""
    return {name: value for name, value in request.query_params.items() if name not in SAID}


def safe_way(to: str) -> str:
    """A way within the console; anything else leads to its first page."""
    inside = to == "/console" or to.startswith(("/console/", "/console?", "/console#"))
    return to if inside and not {"\\", "\r", "\n"} & set(to) and "/." not in to else "/console"


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def link(path: str, values: Mapping[str, Any] = {}, **more: Any) -> str:  # noqa: ANN401 - of a query
    """An address with its query: what is None or empty is left out."""
    wanted = {name: value for name, value in {**values, **more}.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(wanted, doseq=True)}" if wanted else path


def first_page(request: Request, skip: int, rows: Collection[Any] | None) -> None:
    """Raise `Elsewhere` to a list's first page where it has become too short for the one in the address. ``rows``: None: away."""
    if skip and rows is not None and not rows:
        raise Elsewhere(link(request.url.path, request.query_params, skip=None))


@cache
def templates() -> Environment:
    """Templates escape everything; a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "count": formats.count, "number": formats.number, "usd": formats.usd, "estimated": formats.estimated,
        "ms": measure(formats.ms), "share": measure(formats.share), "used": measure(formats.used), "size": measure(formats.size),
        "span": measure(formats.span), "seconds": measure(formats.seconds), "charted": formats.charted,
        "browser": formats.browser, "rehearsed": formats.rehearsed, "at_most": formats.at_most, "moment": formats.moment,
        "utc": formats.utc, "iso": lambda at: at.isoformat(timespec="milliseconds") if at else "", "data": _data,
        "words": unbroken.words, "unproven": formats.unproven, "unbroken": unbroken.unbroken, "path": unbroken.path,
        "command": unbroken.command, "lead": formats.lead, "verdict": formats.verdict, "points": formats.points,
        "plain": formats.plain, "parted": formats.parted, "requests": unbroken.requests,
        "input_of": input_of, "new_id": lambda name: f"{name}-{uuid.uuid4().hex[:8]}", "unprefixed": str.removeprefix,
        "named": _named, "reached": reached, "shell": shlex.quote,
    }  # fmt: skip
    made.tests["day"] = formats.is_day
    made.globals |= {"asset": asset, "link": link, "refusals_of": REFUSALS}
    return made


@pass_context
def _named(context: Context, text: str) -> str:
    """A text with the names of operators."""
    return operators.named(text, context.get("names") or {})


def _data(value: Any) -> str:  # noqa: ANN401 - what JSON takes
    """JSON for an attribute; the template escapes it."""
    return json.dumps(value, default=str, separators=(",", ":"))


ROUTES: dict[str, Any] = {"route_class": ConsoleRoute, "include_in_schema": False}
VIEWING = [Depends(viewer)]
