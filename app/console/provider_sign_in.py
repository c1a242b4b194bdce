"""Signing in at the provider of identities (OpenID Connect, authorization code with PKCE).

The provider sends the browser back from its own site, so the cookie that a sign-in begins with is Lax, and the first page after
it is one of ours that goes on by itself: a strict cookie is not sent along a way that began elsewhere.

Any page of the web can lead a browser to both addresses here. So only an answer to what this browser began counts as a failure,
or ends it. No address is refused: one that guesses has its codes exchanged a few at a time (`app/edge/failed_logins.py`).
"""

import logging
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.actions import clean
from app.console.console import COOKIE, ROUTES, Console, link, safe_way
from app.console.oidc.begun import LONGEST, SECONDS, Begun, begin
from app.console.sessions import Holder
from app.console.sign_in import SETTINGS, form_page, signed_in
from app.domain.errors import DependencyUnavailable, Forbidden, NotFound, Unauthenticated
from app.edge.errors import TABLE
from app.edge.parts import parts_of

if TYPE_CHECKING:  # its signatures take ten megabytes of each process, and most services have none
    from app.console.oidc.provider import OpenIdProvider

log = logging.getLogger(__name__)

BEGUN = "__Host-octant-console-sign-in"
BEGUN_SETTINGS = "Path=/; Secure; HttpOnly; SameSite=Lax"
LONGEST_NAME = 200


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console/sign-in/oidc", **ROUTES)

    @made.get("")
    async def leave(request: Request, to: str = "/console") -> Response:
        """Begin a sign-in at the provider, and lead there."""
        provider = _provider(console)
        begun, sealed = _begun(console, safe_way(to))
        try:
            answer = RedirectResponse(await provider.address(begun), 303)
        except DependencyUnavailable as error:
            return form_page(request, begun.to, error.message, status=TABLE[type(error)].status)
        answer.headers.append("set-cookie", f"{BEGUN}={sealed}; Max-Age={SECONDS}; {BEGUN_SETTINGS}")
        return answer

    @made.get("/back")
    async def come_back(request: Request) -> Response:
        """Begin the session of the person whom the provider names."""
        provider, logins = _provider(console), parts_of(request).failed_logins
        try:
            begun = console.seal.open(request.cookies.get(BEGUN, ""), state=request.query_params.get("state", ""))
        except Unauthenticated as error:  # the cookie stays: a page of another site led here, and the sign-in may still end
            return form_page(request, "/console", error.message, status=TABLE[type(error)].status)
        to, address = safe_way(begun.to), logins.address_of(request)
        try:
            holder = await _person(console, provider, request, begun, waiting=logins.wait(address) > 0)
            token = await signed_in(console, request, holder)
        except (Unauthenticated, Forbidden, DependencyUnavailable) as error:
            log.warning("a sign-in at the provider is refused", extra={"why": error.code})
            if isinstance(error, Unauthenticated) and "error" not in request.query_params:  # the person said no: no guess
                logins.failed(address)
            answer = form_page(request, to, error.message, status=TABLE[type(error)].status)
        else:
            answer = console.page(request, "arrive.html", None, to=link("/console/sign-in", kept=1, to=to), leads=True)
            answer.headers.append("set-cookie", f"{COOKIE}={token}; {SETTINGS}")
        answer.headers.append("set-cookie", f"{BEGUN}=; Max-Age=0; {BEGUN_SETTINGS}")
        return answer

    return made


def _provider(console: Console) -> "OpenIdProvider":
    if console.parts.people is None:
        raise NotFound("No provider of sign-ins is set up here: sign in with an API key.")
    return console.parts.people


def _begun(console: Console, to: str) -> tuple[Begun, str]:
    """A new sign-in, and its cookie's value. It leads to the first page where ``to`` makes the cookie too long."""
    begun = begin(to)
    sealed = console.seal.seal(begun)
    if len(sealed) <= LONGEST:
        return begun, sealed
    begun = begin("/console")
    return begun, console.seal.seal(begun)


async def _person(console: Console, provider: "OpenIdProvider", request: Request, begun: Begun, *, waiting: bool) -> Holder:
    """The person, as a session and the operators' log hold them. Raises as `OpenIdProvider.person`."""
    claimed = await provider.person(request.query_params, begun, waiting=waiting)
    return Holder(
        role=claimed.role, issuer=provider.settings.issuer, subject=clean(claimed.subject, redactor=console.parts.redactor),
        person=claimed.name.replace("\0", "").encode("utf-8", "replace").decode()[:LONGEST_NAME], login=begun.mark,
    )  # fmt: skip
