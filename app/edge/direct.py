"""Requests that make model calls, without the framework between the edge and their endpoint.

Routing, dependency solving and five wrappers of the framework cost a third of such a request's time before its endpoint. The
framework still owns the routes: every other request goes through it, and so does the API's description.
"""

from collections.abc import Mapping

from fastapi import APIRouter
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.errors import DependencyUnavailable
from app.edge.idempotency import Answer, IdempotentRoute

POSTGRES_AWAY = (OperationalError, InterfaceError, PoolTimeout)  # no room raised an error of its own


class Direct:
    """Answers POSTs to paths of the added routers itself, where a route allows it; the framework answers the rest."""

    def __init__(self) -> None:
        """Nothing is answered directly yet."""
        self._routes: dict[str, tuple[IdempotentRoute, Answer]] = {}

    def add(self, router: APIRouter) -> None:
        """Answer the router's routes directly that need only a request and its context."""
        for route in router.routes:
            if isinstance(route, IdempotentRoute) and route.methods == {"POST"} and "{" not in route.path and route.lean:
                self._routes.setdefault(route.path, (route, route.get_route_handler()))

    @property
    def paths(self) -> Mapping[str, IdempotentRoute]:
        """The routes that are answered directly."""
        return {path: route for path, (route, _) in self._routes.items()}

    def before(self, app: ASGIApp) -> ASGIApp:
        """The application that answers directly what it can, and gives the rest to ``app``."""

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            found = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
            if found is None:
                await app(scope, receive, send)
                return
            scope["route"], answer = found
            try:
                response = await answer(Request(scope, receive, send))
                await response(scope, receive, send)
            except POSTGRES_AWAY as error:
                raise postgres_away() from error

        return direct


def postgres_away() -> DependencyUnavailable:
    """The answer where Postgres does not answer."""
    return DependencyUnavailable("Postgres does not answer right now.", retry_after=5.0)
