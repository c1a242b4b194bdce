"""Methods that no route names: HEAD is GET without a body, OPTIONS of the whole service, and the methods beside a 405."""

from starlette.routing import Match
from starlette.types import Scope

METHODS = ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT")


def at_root(scope: Scope) -> list[tuple[bytes, bytes]] | None:
    """The headers that answer a client which looks whether there is a service, before its first call; None for any other request.

    No route: where `/` has no page, a route for these methods alone would make a GET 405 instead of 404. `OPTIONS *` is of the
    server as a whole (RFC 9110, 9.3.7); load balancers check with it.
    """
    method, path = scope["method"], scope["path"]
    looks = (path == "/" and method in ("HEAD", "OPTIONS")) or (path == "*" and method == "OPTIONS")
    return [(b"allow", b"GET, HEAD, OPTIONS")] if looks else None


def method_of_route(scope: Scope) -> str:
    """The method whose route answers: every path that has GET has HEAD (RFC 9110, 9.1). The server sends no body to a HEAD."""
    method: str = scope["method"]
    return "GET" if method == "HEAD" else method


def allowed(scope: Scope) -> str:
    """The methods that the path has, as a 405 must say (RFC 9110, 15.5.6): all its routes' but the refused one."""
    routes = getattr(scope.get("router"), "routes", ())
    methods = {m for m in METHODS if any(route.matches({**scope, "method": m})[0] is Match.FULL for route in routes)}
    methods.discard(scope["method"])
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
