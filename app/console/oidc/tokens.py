"""ID tokens: signature, claims and the role that they give (OpenID Connect Core 3.1.3.7).

Only signatures by the provider's public keys count: neither `none` nor an HMAC, which an attacker can make with a public key.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from app.console.sessions import Role
from app.domain.errors import DependencyUnavailable, Forbidden, Unauthenticated
from app.security.oidc_settings import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
KINDS = ("RSA", "EC", "OKP")
LEEWAY = 60  # seconds that two clocks may differ
LONGEST_SUBJECT = 255  # by the specification
LONGEST_TOKEN = 64 * 1024
MOST_KEYS = 100
NAMES = ("preferred_username", "email", "name")
REFUSED = "The provider's answer is not a valid sign-in"


class UnknownKey(Exception):  # noqa: N818 - the provider may have a newer key
    """The token is signed by a key that is not known here."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A person, as the provider vouches for them. ``name`` is for people to read, and may be anything."""

    subject: str
    name: str
    role: Role


def keys_of(document: Mapping[str, Any]) -> KeySet:
    """The public keys of a key document; others in it are passed over. Raises DependencyUnavailable where it has none."""
    found: list[Key] = []
    listed = document.get("keys")
    for data in listed[:MOST_KEYS] if isinstance(listed, list) else []:
        if not isinstance(data, dict) or data.get("kty") not in KINDS or data.get("use", "sig") != "sig":
            continue
        try:
            found.append(JWKRegistry.import_key(data))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not found:
        raise DependencyUnavailable("The provider of sign-ins shows no public key that can be used.", retry_after=5.0)
    return KeySet(found)


def verified(token: str, keys: KeySet, settings: OidcSettings, *, nonce: str) -> Mapping[str, Any]:
    """The claims of an ID token. Raises UnknownKey, or Unauthenticated for a token that does not count."""
    if len(token) > LONGEST_TOKEN:
        raise Unauthenticated(f"{REFUSED}: it is too long.")
    wanted = jwt.JWTClaimsRegistry(
        leeway=LEEWAY, iss={"essential": True, "value": settings.issuer}, aud={"essential": True, "value": settings.client_id},
        sub={"essential": True}, exp={"essential": True}, iat={"essential": True}, nonce={"essential": True},
    )  # fmt: skip
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        wanted.validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey from error
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unauthenticated(f"{REFUSED}: {_reason(error)}.") from error
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise Unauthenticated(f"{REFUSED}: it belongs to another sign-in.")
    audience, party = claims["aud"], claims.get("azp")
    if (party is not None or (isinstance(audience, list) and len(audience) > 1)) and party != settings.client_id:
        raise Unauthenticated(f"{REFUSED}: it was made for another client.")
    if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
        raise Unauthenticated(f"{REFUSED}: its subject is empty or too long.")
    return claims


def person_of(claims: Mapping[str, Any], settings: OidcSettings) -> Claimed:
    """The person and the role. Raises Forbidden where no claim gives one."""
    values = values_of(claims, settings.claim)
    if settings.claim == "email" and claims.get("email_verified") is not True:
        raise Forbidden("The provider has not verified this e-mail address, so it gives no role here.")
    name = next((str(claims[key]) for key in NAMES if isinstance(claims.get(key), str) and claims[key]), claims["sub"])
    groups: tuple[tuple[Role, frozenset[str]], ...] = (("operator", settings.operators), ("viewer", settings.viewers))
    for role, names in groups:
        if names & values:
            return Claimed(claims["sub"], name, role)
    raise Forbidden(
        f"You are signed in at the provider, but have no role here: no value of the claim {settings.claim!r} may look or act."
        " Ask for membership, or sign in with an API key."
    )


def values_of(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The values of a claim: a text, or the texts of a list. A name with dots is first looked for as it is."""
    found: Any = claims
    for part in (path,) if path in claims else path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return frozenset(value for value in listed if isinstance(value, str) and value)


def _reason(error: Exception) -> str:
    """Why a token does not count, without a word of the token."""
    names = {
        "ExpiredTokenError": "it has expired", "InvalidClaimError": "a claim is not as it must be",
        "MissingClaimError": "a claim is missing", "BadSignatureError": "its signature does not match",
        "UnsupportedAlgorithmError": "its kind of signature is not accepted",
    }  # fmt: skip
    return names.get(type(error).__name__, "it cannot be read")
