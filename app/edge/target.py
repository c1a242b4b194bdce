"""Refuse paths, queries and forms with characters that no valid one has (S8).

Postgres cannot store NUL, Valkey and UTF-8 cannot encode half of a surrogate pair, and control characters forge log lines. A path
with one names nothing that exists; a query or form with one is the caller's mistake. JSON has its own models (`parsed`).
"""

import re
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from app.domain.errors import InvalidRequest, NotFound

# Invalid UTF-8 in a path comes as the replacement character.
_NOT_IN_PATHS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_NOT_IN_QUERIES = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # tab and line breaks are text
_PLAIN = re.compile(rb"[!-$&-~]*")


def check_target(scope: Scope) -> None:
    """Raise NotFound for such a path, InvalidRequest for such a query."""
    if _NOT_IN_PATHS.search(scope["path"]):
        raise NotFound("No such path.")
    check_fields(scope.get("query_string") or b"", "query")


def check_fields(encoded: bytes, where: str) -> None:
    """Raise InvalidRequest for such an encoded query, or form. ``where``: which of them, for the message."""
    if _PLAIN.fullmatch(encoded):
        return
    text = unquote_to_bytes(encoded)
    if _NOT_IN_QUERIES.search(text):
        raise InvalidRequest(f"The {where} holds a control character.")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"The {where} is not UTF-8.") from None
