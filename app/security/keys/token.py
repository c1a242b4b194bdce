"""How an API key is written: ``oct_<id>_<secret><checksum>``, so that secret scanners find it and typing errors are seen.

The prefix is the service's own, the id (8 hex digits) is public, the secret is 43 characters of base 62 (256 bits), the checksum
their CRC-32 in 6 more. The form follows what GitHub does with its tokens (github.blog, "Behind GitHub's new authentication token
formats"): one word to a double click, found by `PATTERN`, and distinguished from a look-alike without a look-up.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib

PREFIX = "oct"
PATTERN = r"\boct_[0-9a-f]{8}_[0-9A-Za-z]{49}\b"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET, _CHECKSUM = 43, 6
_FORM = re.compile(PATTERN)


def new() -> str:
    """Make a new key."""
    return write(secrets.token_hex(4), "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET)))


def write(key_id: str, secret: str) -> str:
    """The key of an id and a secret, with its checksum."""
    begun = f"{PREFIX}_{key_id}_{secret}"
    return begun + _checksum(begun)


def key_id_of(token: str) -> str | None:
    """The id in a well-formed key whose checksum holds; None for anything else."""
    if not _FORM.fullmatch(token) or _checksum(token[:-_CHECKSUM]) != token[-_CHECKSUM:]:
        return None
    return token[len(PREFIX) + 1 : len(PREFIX) + 9]


def digest_of(token: str, secret: bytes) -> bytes:
    """The keyed hash under which a key is stored."""
    return hmac.digest(secret, token.encode(), hashlib.sha256)


def _checksum(text: str) -> str:
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
