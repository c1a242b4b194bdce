"""The operators' side: its listener and the headers of its answers (S8).

With ``admin_port`` set, operators' paths exist only on that listener, which serves nothing else but health. So a network rule can
keep the public away from them.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope

from app.domain.errors import NotFound

PREFIXES = ("/v1/admin", "/console")
_WITHIN = tuple(f"{prefix}/" for prefix in PREFIXES)
BOTH = frozenset({"/livez", "/readyz", "/version"})
YEAR = 31_536_000
# Only our own sources, nothing inline, no framing, and no referrer to other sites (OWASP's secure headers).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class AdminSide:
    """The operators' paths, their listener and their headers."""

    def __init__(self, *, port: int = 0, strict_transport: bool = False) -> None:
        """``port``: the operators' own listener, 0 for none. ``strict_transport``: demand TLS from browsers from now on."""
        self._port = port
        self._headers = dict(HEADERS)
        if strict_transport:
            self._headers["strict-transport-security"] = f"max-age={YEAR}; includeSubDomains"

    def check(self, scope: Scope) -> None:
        """Raise NotFound if a path is requested on the wrong listener."""
        if not self._port or scope["path"] in BOTH:
            return
        server = scope.get("server")
        if is_admin(scope["path"]) != bool(server and server[1] == self._port):
            raise NotFound("No such path.")

    def harden(self, scope: Scope, message: Message) -> None:
        """Add the headers to an operators' answer; headers that the answer sets itself stay."""
        if is_admin(scope["path"]):
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            message["headers"] = headers.raw


def is_admin(path: str) -> bool:
    """Whether a path is the operators'."""
    return path.startswith(_WITHIN) or path in PREFIXES
