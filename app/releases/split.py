"""Which users a canary gets: by a keyed hash, so that a user stays with one release, and no one can choose (B4). Pure."""

import hashlib
import hmac

PLACES = 2**64


def position(key: bytes, canary: str, tenant: str, user: str) -> float:
    """A user's place in [0, 1), even over all users. Another canary deals anew; a growing share keeps those that it has."""
    name = f"{canary}\0{tenant}\0{user}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(key, name, hashlib.sha256)[:8], "big") / PLACES


def has_canary(key: bytes, canary: str, tenant: str, user: str, share: float) -> bool:
    """Whether this user gets the canary's release, of which a ``share`` (0 to 1) of all users gets it."""
    return position(key, canary, tenant, user) < share
