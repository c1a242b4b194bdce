"""CORS: which web pages may call the API from a browser (fetch.spec.whatwg.org, 3.2). Off unless the settings list origins.

Callers prove themselves by an API key in a header, never by a cookie, so ``Access-Control-Allow-Credentials`` is never sent, and
``*`` opens nothing that a key does not open. The operators' paths, which do know a cookie, are left out.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope

from app.domain.origins import ANY
from app.edge.admin import is_admin

METHODS = "GET, POST, DELETE, OPTIONS"
SECONDS = "7200"  # that a browser may remember a preflight's answer; browsers allow no more
_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,4096}")
_READABLE = re.compile(
    r"octant-|x-request-id$|x-ratelimit-|x-should-retry$|request-id$|retry-after|anthropic-|idempotency-|location$|www-authenticate$"
)


class Cors:
    """The origins that may call, and the headers that say so."""

    def __init__(self, origins: frozenset[str] = frozenset()) -> None:
        """``origins`` as `origins_of` gives them; none: no page may call."""
        self._origins = origins

    def preflight(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        """The headers that answer a browser's question before its request, which has no key; None for any other request."""
        if scope["method"] != "OPTIONS" or (allowed := self._allowed(scope)) is None:
            return None
        sent = Headers(scope=scope)
        if "access-control-request-method" not in sent:
            return None
        wanted = sent.get("access-control-request-headers", "")
        headers = {
            "access-control-allow-origin": allowed,
            "access-control-allow-methods": METHODS,
            "access-control-allow-headers": wanted if _NAMES.fullmatch(wanted) else "authorization, content-type",
            "access-control-max-age": SECONDS,
            "vary": "origin, access-control-request-method, access-control-request-headers",
        }
        return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    def share(self, scope: Scope, message: Message) -> None:
        """Let an allowed page read an answer: its body, and every header of ours that it has."""
        if not self._origins or (allowed := self._allowed(scope)) is None:
            return
        headers = MutableHeaders(raw=message["headers"])
        if "access-control-allow-origin" in headers:
            return
        readable = {name for name in headers if _READABLE.match(name)}
        headers["access-control-allow-origin"] = allowed
        headers["access-control-expose-headers"] = ", ".join(sorted(readable))
        if allowed != ANY:
            headers.add_vary_header("Origin")
        message["headers"] = headers.raw

    def _allowed(self, scope: Scope) -> str | None:
        """The value that lets the page that calls read the answer; None where it may not."""
        if not self._origins or is_admin(scope["path"]):
            return None
        origin = next((str(value, "latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None:
            return None
        return ANY if ANY in self._origins else origin if origin.lower() in self._origins else None
