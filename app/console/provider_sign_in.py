"""Signing in at the provider of identities (OpenID Connect, authorization code with PKCE).

The provider sends the browser back from its own site, so the cookie that a sign-in begins with is Lax, and the first page after
it is one of ours that goes on by itself: a strict cookie is not sent along a way that began elsewhere.
"""

import logging

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.actions import clean
from app.console.console import COOKIE, ROUTES, Console, link, safe_way
from app.console.oidc.begun import SECONDS, Begun, begin
from app.console.oidc.provider import OpenIdProvider
from app.console.sessions import Holder
from app.console.sign_in import SETTINGS, form_page, signed_in
from app.domain.errors import DependencyUnavailable, Forbidden, NotFound, RateLimited, Unauthenticated
from app.edge.errors import TABLE
from app.edge.parts import parts_of

log = logging.getLogger(__name__)

BEGUN = "__Host-octant-console-sign-in"
BEGUN_SETTINGS = "Path=/; Secure; HttpOnly; SameSite=Lax"
LONGEST_NAME = 200
LONGEST_WAY = 1000  # beyond it the cookie would not be kept


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console/sign-in/oidc", **ROUTES)

    @made.get("")
    async def leave(request: Request, to: str = "/console") -> Response:
        """Begin a sign-in at the provider, and lead there."""
        provider, begun = _provider(console), begin(safe_way(to) if len(to) <= LONGEST_WAY else "/console")
        try:
            _refuse_guesses(request)
            answer = RedirectResponse(await provider.address(begun), 303)
        except (DependencyUnavailable, RateLimited) as error:
            return form_page(request, begun.to, error.message, status=TABLE[type(error)].status)
        cookie = f"{BEGUN}={console.seal.seal(begun)}; Max-Age={SECONDS}; {BEGUN_SETTINGS}"
        answer.headers.append("set-cookie", cookie)
        return answer

    @made.get("/back")
    async def come_back(request: Request) -> Response:
        """Begin the session of the person whom the provider names."""
        provider, to = _provider(console), "/console"
        try:
            _refuse_guesses(request)
            begun = console.seal.open(request.cookies.get(BEGUN, ""), state=request.query_params.get("state", ""))
            to = safe_way(begun.to)
            token = await signed_in(console, request, await _person(console, provider, request, begun))
        except (Unauthenticated, Forbidden, RateLimited, DependencyUnavailable) as error:
            log.warning("a sign-in at the provider is refused", extra={"why": error.code})
            if isinstance(error, Unauthenticated):
                parts_of(request).failed_logins.failed(parts_of(request).failed_logins.address_of(request))
            answer = form_page(request, to, error.message, status=TABLE[type(error)].status)
        else:
            answer = console.page(request, "arrive.html", None, to=link("/console/sign-in", kept=1, to=to), leads=True)
            answer.headers.append("set-cookie", f"{COOKIE}={token}; {SETTINGS}")
        answer.headers.append("set-cookie", f"{BEGUN}=; Max-Age=0; {BEGUN_SETTINGS}")
        return answer

    return made


def _provider(console: Console) -> OpenIdProvider:
    if console.parts.people is None:
        raise NotFound("No provider of sign-ins is set up here: sign in with an API key.")
    return console.parts.people


def _refuse_guesses(request: Request) -> None:
    """Raise RateLimited for an address that sent too many wrong keys or sign-ins: each costs a request to the provider."""
    logins = parts_of(request).failed_logins
    if wait := logins.wait(logins.address_of(request)):
        raise RateLimited("Too many sign-ins from this address failed. Wait before the next.", retry_after=wait)


async def _person(console: Console, provider: OpenIdProvider, request: Request, begun: Begun) -> Holder:
    """The person, as a session and the operators' log hold them. Raises as `OpenIdProvider.person`."""
    claimed = await provider.person(request.query_params, begun)
    return Holder(
        role=claimed.role, issuer=provider.settings.issuer, subject=clean(claimed.subject, redactor=console.parts.redactor),
        person=claimed.name.replace("\0", "").encode("utf-8", "replace").decode()[:LONGEST_NAME], login=begun.mark,
    )  # fmt: skip
