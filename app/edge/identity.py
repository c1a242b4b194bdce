"""Find a caller's identity from a header. Every path understands both vendors' ways of sending a key."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from starlette.requests import Request

from app.domain.calls import Identity
from app.domain.errors import BodyTooLarge, Forbidden, RateLimited, Stopped, Unauthenticated
from app.edge.parts import parts_of
from app.security.keys.token import key_id_of

MOST_SIGNATURES = 8
IDENTIFIED = "octant.identified"  # set in a request's scope, to its identity or True: its key is valid
IDENTITY = "octant.identity"  # in the scope of a request that this service makes to itself: no client can put it there


@dataclass(frozen=True)
class Needs:
    """A dependency: the caller's identity, if the key has one of ``scopes``. A test finds one on every route."""

    scopes: frozenset[str]

    async def __call__(self, request: Request) -> Identity:
        """Return the identity. Raises Unauthenticated without a valid key, Forbidden if it has none of the scopes."""
        identity: Identity = request.scope.get(IDENTITY) or await holder(request)
        request.scope[IDENTIFIED] = identity
        if not self.scopes & identity.scopes:
            names = " or ".join(f"`{name}`" for name in sorted(self.scopes))
            raise Forbidden(f"This API key does not have the scope {names}.")
        return identity


@dataclass(frozen=True)
class NeedsToken:
    """A dependency for one program of the operator's own: its token, compared in constant time. Works without any store.

    ``scope`` names the program in the API's description.
    """

    scope: str
    token: Callable[[], str]

    @property
    def scopes(self) -> frozenset[str]:
        """As `Needs` has them."""
        return frozenset({self.scope})

    async def __call__(self, request: Request) -> None:
        """Raise Unauthenticated without the token, or RateLimited for an address that guesses; Forbidden where none is set."""
        wanted = self.token()
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if wanted and scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), wanted.encode()):
            request.scope[IDENTIFIED] = True
            return
        if not wanted:
            raise Forbidden(f"No token of {self.scope} is set here.")
        _count_guess(request)
        raise Unauthenticated(f"The token of {self.scope} is missing or wrong. Send it as `Authorization: Bearer TOKEN`.")


@dataclass(frozen=True)
class NeedsSignature:
    """A dependency for a vendor's webhooks: the body's HMAC-SHA256 in hex, as ``v1=…`` in a header, one of a list with commas.

    Works without any store. ``scope`` names the vendor in the API's description.
    """

    scope: str
    header: str
    secret: Callable[[], str]
    most_bytes: int

    @property
    def scopes(self) -> frozenset[str]:
        """As `Needs` has them."""
        return frozenset({self.scope})

    async def __call__(self, request: Request) -> None:
        """Raise Unauthenticated for a wrong signature, RateLimited for an address that guesses, Forbidden without a secret.

        Raises BodyTooLarge before the body is hashed.
        """
        secret = self.secret()
        if not secret:
            raise Forbidden(f"No signing secret of {self.scope} is set here.")
        sent = [one.strip().removeprefix("v1=") for one in request.headers.get(self.header, "").split(",") if "v1=" in one]
        announced = request.headers.get("content-length", "")
        large = announced.isdigit() and int(announced) > self.most_bytes
        body = await request.body() if sent and not large else b""
        if large or len(body) > self.most_bytes:
            raise BodyTooLarge(f"The body is over {self.most_bytes:,} bytes.")
        expected = hmac.digest(secret.encode(), body, hashlib.sha256).hex().encode()
        matches = [hmac.compare_digest(one.encode(), expected) for one in sent[:MOST_SIGNATURES]]
        if not any(matches):
            _count_guess(request)
            raise Unauthenticated(f"The signature of {self.scope} in `{self.header}` is missing or wrong.")


def _count_guess(request: Request) -> None:
    """Count a wrong secret. Raises RateLimited for an address that sent too many."""
    parts = parts_of(request)
    address = parts.failed_logins.address_of(request)
    if wait := parts.failed_logins.wait(address):
        parts.metrics.bad_keys.inc(outcome="rate_limited")
        raise RateLimited("Too many wrong tokens came from this address. Wait before the next.", retry_after=wait)
    parts.metrics.bad_keys.inc(outcome="refused")
    parts.failed_logins.failed(address)


authenticated = Needs(frozenset({"call"}))
reader = Needs(frozenset({"admin", "read"}))
operator = Needs(frozenset({"admin"}))


def refuse_if_stopped(request: Request, identity: Identity) -> None:
    """Raise Stopped if an operator has stopped calls of this tenant or user: for work that is accepted now and done later."""
    parts = parts_of(request)
    try:
        parts.switch.check(tenant=identity.tenant.id, user=identity.user)
    except Stopped:
        parts.metrics.kill_switch_refusals.inc()
        raise


async def holder(request: Request) -> Identity:
    """Return the key's holder, whatever its scopes. Raises Unauthenticated, or RateLimited for an address that guesses.

    A valid key is never refused because of others at its address; a key that never came before may have to queue.
    """
    return await holder_of(request, _token(request))


async def holder_of(request: Request, token: str) -> Identity:
    """As `holder`, of a key that came in another way."""
    parts = parts_of(request)
    if (fresh := parts.keys.fresh(token)) is not None:
        return fresh
    known = parts.keys.knows(token)
    wait = 0.0 if known else parts.failed_logins.wait(parts.failed_logins.address_of(request))
    try:
        async with nullcontext() if known else parts.failed_logins.turn(waiting=wait > 0):
            return await parts.keys.authenticate(token)
    except Unauthenticated as error:
        address = parts.failed_logins.address_of(request)
        wait = wait or parts.failed_logins.wait(address)
        if wait and error.guess:
            parts.metrics.bad_keys.inc(outcome="rate_limited")
            raise RateLimited("Too many wrong API keys came from this address. Wait before the next.", retry_after=wait) from None
        parts.metrics.bad_keys.inc(outcome="refused")
        if error.guess:
            parts.failed_logins.failed(address)
        raise


def _token(request: Request) -> str:
    """The key as sent: ``x-api-key`` (Anthropic) or ``Authorization: Bearer`` (OpenAI).

    A client may send both, one of them a vendor's own key from its environment: then the one in our form counts.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    sent = [key for key in (request.headers.get("x-api-key", ""), bearer) if key]
    if not sent:
        raise Unauthenticated("No API key. Send it as `Authorization: Bearer KEY` or as `x-api-key: KEY`.")
    return sent[0] if len(sent) == 1 else next((key for key in sent if key_id_of(key)), sent[0])
