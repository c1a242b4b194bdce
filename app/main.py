"""The application: what the composition root opened, mounted. Importing this module does nothing."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.admin import alarm, alertmanager, calls, incidents, pagerduty
from app.api import chat, embeddings, feedback, jobs, refused, responses
from app.console import routes as console
from app.domain.errors import InvalidRequest
from app.domain.in_flight import InFlight
from app.domain.origins import origins_of
from app.edge import health, reference
from app.edge.admin import AdminSide
from app.edge.cors import Cors
from app.edge.direct import POSTGRES_AWAY, Direct, postgres_away
from app.edge.limits import RequestLimits
from app.edge.middleware import EdgeMiddleware, from_http
from app.edge.openapi import ApiDocument
from app.features.feature import FeatureParts
from app.features.installed import installed
from app.rooms import duties_of
from app.security.redaction.redactor import Redactor
from app.settings import Settings
from app.telemetry import bugs
from app.telemetry.metrics import Metrics
from app.wiring import Parts, open_parts


class Application(FastAPI):
    """FastAPI with the edge around all of its own layers: these would cost every request, and `Direct` goes past them."""

    edge: Callable[[ASGIApp], ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as Starlette does: the framework asks at each request whether to trace it, and the edge has spans of its own."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await Starlette.__call__(self, scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The edge, then the framework, without the layer that answers 500 to errors: the edge knows them."""
        whole = super().build_middleware_stack()
        return self.edge(whole.app if isinstance(whole, ServerErrorMiddleware) else whole)


def create_app(settings: Settings, metrics: Metrics | None = None) -> FastAPI:
    """Build the application. Nothing is connected until its lifespan begins, so a server may fork after this."""
    metrics = metrics or Metrics()
    running, direct = InFlight(), Direct()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        on_bug = partial(metrics.unexpected_errors.inc, cause="task")
        async with bugs.watched(on_bug), open_parts(settings, metrics, running) as parts:
            app.state.edge = parts.edge
            app.state.console = console.Console(parts.console)
            for router in _api(settings, parts):
                document.include(router)
                direct.add(router)
            for router in console.routers(app.state.console):
                app.include_router(router)
            yield

    development = settings.environment == "development"
    # The schema holds no secret, but production needs no public one (ADR 0021).
    openapi_url = "/openapi.json" if development else None
    app = Application(
        title="Octant",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=openapi_url,
        redirect_slashes=False,  # its Location would be built from the Host header, which is the caller's
    )
    app.state.in_flight = running
    document = ApiDocument(app)
    redactor = Redactor(settings.secret)
    app.edge = lambda inner: EdgeMiddleware(
        direct.before(inner),
        metrics=metrics,
        tracing=partial(attrgetter("state.edge.tracing"), app),
        redact=partial(redactor.redact, tenant=""),
        max_body_bytes=settings.max_body_bytes,
        head=RequestLimits(settings.http.max_url_bytes, settings.http.max_headers, settings.http.max_header_bytes),
        admin=AdminSide(port=settings.admin_port, strict_transport=not development),
        running=running,
        cors=Cors(origins_of(settings.http.cors_origins)),
        failed=partial(attrgetter("state.edge.failed"), app),
    )
    app.add_exception_handler(HTTPException, _raise_ours)
    app.add_exception_handler(RequestValidationError, _raise_ours)
    for away in POSTGRES_AWAY:
        app.add_exception_handler(away, _raise_away)
    app.include_router(health.router)
    if development:
        app.include_router(reference.router(document.write, f"http://localhost:{settings.port}"))
    return app


def _api(settings: Settings, parts: Parts) -> tuple[APIRouter, ...]:
    """All routes but the console's."""
    own = parts.features
    return (
        *_answering(own),
        feedback.router(own.engine, own.kept, own.gateway.note_bad_rating),
        refused.router(),
        calls.router(own.engine, parts.actions, own.redactor),
        alarm.router(parts.actions, own.redactor),
        alertmanager.router(parts.paging, parts.alertmanager_token),
        pagerduty.router(parts.paging, parts.pagerduty_secret),
        incidents.router(own.engine, parts.actions, own.redactor, duties_of(settings, own.engine)),
    )


def _answering(parts: FeatureParts) -> tuple[APIRouter, ...]:
    """The vendors' APIs and the products, and the jobs that run them later."""
    own = (chat.router(parts.gateway), responses.router(parts.gateway), embeddings.router(parts.gateway))
    answering = (*own, *(feature.router(parts) for feature in installed()))
    return (*answering, jobs.router(posts(*answering)))


def posts(*routers: APIRouter) -> frozenset[str]:
    """The paths that make model calls: every POST of the vendors' APIs and the products. These can be deferred."""
    routes = (route for router in routers for route in router.routes if isinstance(route, APIRoute))
    return frozenset(route.path for route in routes if "POST" in (route.methods or ()) and "{" not in route.path)


async def _raise_away(_: Request, error: Exception) -> Response:
    """Postgres does not answer, and no room raised an error of its own."""
    raise postgres_away() from error


async def _raise_ours(request: Request, error: Exception) -> Response:
    """Turn the framework's own refusals (no such path, wrong method) into our errors."""
    if isinstance(error, HTTPException):
        raise from_http(error, request.url.path) from None
    raise InvalidRequest("A path or query parameter is not valid.") from error
