"""Refuse paths and queries with characters that no valid one has (S8).

Postgres cannot store NUL, Valkey and UTF-8 cannot encode half of a surrogate pair, and control characters forge log lines. A path
with one names nothing that exists; a query with one is the caller's mistake. Bodies have their own models (`parsed`).
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
    query: bytes = scope.get("query_string") or b""
    if _PLAIN.fullmatch(query):
        return
    text = unquote_to_bytes(query)
    if _NOT_IN_QUERIES.search(text):
        raise InvalidRequest("The query holds a control character.")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The query is not UTF-8.") from None
