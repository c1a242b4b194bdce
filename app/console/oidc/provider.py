"""The provider of identities: its discovery document, its keys, and the exchange of a code for an ID token.

Each answer is limited in time and size; no redirect is followed, and no address is called that is not https (or this machine).
Discovery and keys are shared: while the provider hangs, clicks on the button wait for one request and take no turn of a sign-in.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from joserfc.jwk import KeySet
from yarl import URL

from app.console.oidc.begun import Begun
from app.console.oidc.shared import Shared
from app.console.oidc.tokens import REFUSED, Claimed, UnknownKey, keys_of, person_of, verified
from app.domain.errors import DependencyUnavailable, Misconfigured, Unauthenticated
from app.domain.proxies import proxy_of
from app.domain.store_errors import why
from app.security.oidc_settings import OidcSettings, is_safe

BACK = "/console/sign-in/oidc/back"
MOST_BYTES = 512 * 1024
KNOWN_FOR = 3600.0  # seconds that discovery and keys count
AGAIN_AFTER = 30.0  # seconds between two reads of the keys for a token whose key is not known
MOST_AT_ONCE, MOST_OF_THE_WAITING = 8, 2  # exchanges; the second are of addresses that sent too many wrong codes
CODES = frozenset({"access_denied", "login_required", "consent_required", "interaction_required", "temporarily_unavailable"})

log = logging.getLogger(__name__)


class OpenIdProvider:
    """See the module. ``client_secret`` returns the secret as it is now; empty for a client without one."""

    def __init__(self, settings: OidcSettings, *, client_secret: Callable[[], str]) -> None:
        """Connects to nothing."""
        self.settings = settings
        self._client_secret = client_secret
        self._turns = {False: asyncio.Semaphore(MOST_AT_ONCE), True: asyncio.Semaphore(MOST_OF_THE_WAITING)}
        self._metadata = Shared(self._discovered)
        self._keys = Shared(self._shown_keys)

    @property
    def back(self) -> str:
        """The address that the provider sends browsers back to."""
        return self.settings.url.rstrip("/") + BACK

    async def address(self, begun: Begun) -> str:
        """The provider's page for this sign-in. Raises DependencyUnavailable."""
        metadata = await self._metadata.get(KNOWN_FOR)
        query = {
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": self.back,
            "scope": " ".join(sorted(self.settings.scopes | {"openid"})), "state": begun.state, "nonce": begun.nonce,
            "code_challenge": begun.challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return str(URL(metadata["authorization_endpoint"]).extend_query(query))

    async def person(self, answer: Mapping[str, str], begun: Begun, *, waiting: bool = False) -> Claimed:
        """The person that the provider's answer is about. ``waiting``: it comes from an address that sent too many wrong ones.

        Raises Unauthenticated, Forbidden for a person without a role, or DependencyUnavailable.
        """
        if error := answer.get("error"):
            raise Unauthenticated(f"The provider did not sign you in ({error if error in CODES else 'error'}). Begin again.")
        metadata = await self._metadata.get(KNOWN_FOR)
        sender = answer.get("iss")  # RFC 9207
        if sender != self.settings.issuer and (sender or metadata.get("authorization_response_iss_parameter_supported")):
            raise Unauthenticated(f"{REFUSED}: it comes from another provider.")
        async with self._limited(waiting=waiting):
            token = await self._exchanged(metadata, answer.get("code", ""), begun)
        claims = await self._claims(token, begun.nonce)
        return person_of(claims, self.settings)

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        try:
            return verified(token, await self._keys.get(KNOWN_FOR), self.settings, nonce=nonce)
        except UnknownKey:
            pass
        try:  # the provider may have a new key
            return verified(token, await self._keys.get(AGAIN_AFTER), self.settings, nonce=nonce)
        except UnknownKey:
            raise Unauthenticated(f"{REFUSED}: it is signed by a key that the provider does not show.") from None

    async def _discovered(self) -> Mapping[str, Any]:
        """The discovery document. Raises DependencyUnavailable where it is not of this issuer, or leads to unsafe addresses."""
        found = await self._read("GET", self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
        addresses = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        here = URL(self.settings.issuer).scheme == "http"
        if found.get("issuer") != self.settings.issuer:
            raise _away("names another issuer than OCTANT_CONSOLE_OIDC__ISSUER")
        if not all(isinstance(one, str) and is_safe(one, here=here) for one in addresses):
            raise _away("names an address that is not https")
        return found

    async def _shown_keys(self) -> KeySet:
        """The keys that the provider shows. Raises DependencyUnavailable where none can be used."""
        return keys_of(await self._read("GET", (await self._metadata.get(KNOWN_FOR))["jwks_uri"]))

    async def _exchanged(self, metadata: Mapping[str, Any], code: str, begun: Begun) -> str:
        """The ID token for a code. Raises Unauthenticated for a code that the provider does not take."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.back, "code_verifier": begun.verifier,
        }  # fmt: skip
        client, secret, headers = self.settings.client_id, self._client_secret(), {}
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in ways:  # each part is encoded first (RFC 6749 2.3.1)
            headers["authorization"] = aiohttp.encode_basic_auth(quote_plus(client), quote_plus(secret))
        else:
            form |= {"client_id": client, **({"client_secret": secret} if secret else {})}
        token = (await self._read("POST", metadata["token_endpoint"], data=form, headers=headers)).get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated(f"{REFUSED}: it brings no ID token.")
        return token

    async def _read(
        self, method: str, address: str, *, data: Mapping[str, str] | None = None, headers: Mapping[str, str] = {}
    ) -> Mapping[str, Any]:
        """The JSON object of an answer. Raises DependencyUnavailable, or Unauthenticated where a code is refused."""
        seconds, to = aiohttp.ClientTimeout(total=self.settings.patience), URL(address)
        accepting = {"accept": "application/json", **headers}
        try:
            proxy = proxy_of(to.scheme, to.host or "")
            async with (
                aiohttp.ClientSession(timeout=seconds, cookie_jar=aiohttp.DummyCookieJar()) as http,
                http.request(method, to, data=data, headers=accepting, allow_redirects=False, proxy=proxy) as answer,
            ):
                body = await _limited_body(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, Misconfigured) as error:
            log.warning("the provider of sign-ins does not answer", extra=why(error))
            raise _away("does not answer") from error
        found = _object(body)
        if method == "POST" and answer.status == 400 and found.get("error") == "invalid_grant":
            raise Unauthenticated("The provider does not take this sign-in: its code was used, or has expired. Begin again.")
        if answer.status != 200 or not found:
            log.warning("the provider of sign-ins refuses", extra={"status": answer.status})
            refused = method == "POST" and answer.status in (400, 401)
            raise _away("refuses Octant's client: check its id and secret" if refused else "answers with an error")
        return found

    @asynccontextmanager
    async def _limited(self, *, waiting: bool) -> AsyncGenerator[None, None]:
        """A few at once, each limited in time with its wait. Raises DependencyUnavailable at the limit."""
        try:
            async with asyncio.timeout(3 * self.settings.patience), self._turns[waiting]:
                yield
        except TimeoutError as error:
            raise _away("does not answer") from error


async def _limited_body(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ValueError beyond the limit."""
    body = await answer.content.read(MOST_BYTES + 1)
    while len(body) <= MOST_BYTES and (piece := await answer.content.read(MOST_BYTES)):
        body += piece
    if len(body) > MOST_BYTES:
        raise ValueError("The answer is too large.")
    return body


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _away(words: str) -> DependencyUnavailable:
    return DependencyUnavailable(f"The provider of sign-ins {words}. Sign in with an API key meanwhile.", retry_after=5.0)
