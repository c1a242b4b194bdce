"""A sign-in that has begun: what the browser keeps until it comes back from the provider.

It is a cookie of ten minutes, signed by us. No row is written for a stranger; the session that a sign-in ends in holds its mark,
so that each can end in one session only.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass

from app.domain.errors import Unauthenticated

SECONDS = 600
LONGEST = 3000  # bytes of a sealed one: browsers drop a cookie whose name and value are over 4,096 (RFC 6265bis, 5.6)
AGAIN = "This sign-in has expired, or did not begin in this browser. Begin again."


@dataclass(frozen=True, slots=True)
class Begun:
    """``verifier`` is PKCE's; ``to`` is where the person wanted to go; ``ends`` in seconds since 1970."""

    state: str
    nonce: str
    verifier: str
    to: str
    ends: float

    @property
    def challenge(self) -> str:
        """PKCE's challenge, S256."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def mark(self) -> str:
        """Stands for this sign-in in the table of sessions."""
        return hashlib.sha256(self.state.encode()).hexdigest()


def begin(to: str) -> Begun:
    """A new one."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Begun(state, nonce, verifier, to, time.time() + SECONDS)


class Seal:
    """Signs what a browser keeps. ``secret`` is the service's; a key of its own is derived."""

    def __init__(self, secret: bytes) -> None:
        """Derives the key."""
        self._key = hmac.digest(secret, b"octant console sign-ins", hashlib.sha256)

    def seal(self, begun: Begun) -> str:
        """The cookie's value."""
        body = _text(json.dumps(asdict(begun)).encode())
        return f"{body}.{self._mac(body)}"

    def open(self, value: str, *, state: str) -> Begun:
        """The sign-in that the provider's answer belongs to. Raises Unauthenticated for any other."""
        body, _, mac = value.partition(".")
        if len(value) > LONGEST or not hmac.compare_digest(mac.encode(), self._mac(body).encode()):
            raise Unauthenticated(AGAIN)
        try:
            begun = Begun(**json.loads(base64.urlsafe_b64decode(body + "==")))
        except (ValueError, TypeError, binascii.Error):
            raise Unauthenticated(AGAIN) from None
        if begun.ends < time.time() or not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise Unauthenticated(AGAIN)
        return begun

    def _mac(self, body: str) -> str:
        return hmac.digest(self._key, body.encode(), hashlib.sha256).hex()


def _text(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()
