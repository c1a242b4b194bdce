"""The API's own description (OpenAPI 3.1): each route's input, scope and errors.

Statuses and envelopes come from the one table of errors, scopes from the dependency that enforces them, so neither can drift.
Every router is included here, and a route that needs no scope stops the start.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.domain import errors
from app.domain.errors import Misconfigured, OctantError
from app.edge.errors import SHARED_PATH, TABLE, Dialect, dialect_of
from app.edge.idempotency import IdempotentRoute
from app.edge.identity import Needs, NeedsSignature, NeedsToken

Json = dict[str, Any]
JSON = "application/json"
BODY = "requestBody"
STREAMED: dict[int | str, Json] = {200: {"content": {"text/event-stream": {}}}}
EVERYWHERE: tuple[type[OctantError], ...] = (
    errors.InvalidRequest,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.RequestTooSlow,
    errors.BodyTooLarge,
    errors.UnsupportedEncoding,
    errors.UrlTooLong,
    errors.HeadersTooLarge,
    errors.Internal,
)
WITH_A_KEY = (*EVERYWHERE, errors.Unauthenticated, errors.Forbidden, errors.RateLimited, errors.DependencyUnavailable)
HEADERS: dict[str, Json] = {
    "x-request-id": {"type": "string", "maxLength": 128},
    "octant-deadline-ms": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "idempotency-key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "octant-when-limited": {"type": "string", "enum": ["queue"]},
}


def takes(model: type[BaseModel]) -> Json:
    """``openapi_extra`` for a route that reads its own body as this model.

    `ApiDocument.write` puts the schema in its place: to make all of them took a quarter of a worker's start.
    """
    return {BODY: model}


class ApiDocument:
    """The document of an application, complete once every router is included."""

    def __init__(self, app: FastAPI) -> None:
        """Make ``app`` serve this document as its own."""
        self._app = app
        self._routes: dict[tuple[str, str], APIRoute] = {}
        app.openapi = self.write  # type: ignore[method-assign] # FastAPI's documented way

    def include(self, router: APIRouter) -> None:
        """Serve a router. Raises Misconfigured for a route that needs no key, and for one that another router has."""
        for route in router.routes:
            if not isinstance(route, APIRoute) or not scopes_of(route):
                raise Misconfigured(f"The route {getattr(route, 'path', route)} needs no scope: see app/edge/identity.py.")
            own = {(route.path_format, method.lower()): route for method in route.methods or ()}
            if both := self._routes.keys() & own:
                path, method = min(both)
                raise Misconfigured(f"Two routers serve {method.upper()} {path}: give the product's route another path.")
            self._routes |= own
        self._app.include_router(router)

    def write(self) -> Json:
        """The document."""
        if self._app.openapi_schema is None:
            for route in self._routes.values():
                _complete(route.openapi_extra or {})
            document = get_openapi(title=self._app.title, version=self._app.version, routes=self._app.routes)
            schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
            document["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                **{
                    f"signature of {one.scope}": {"type": "apiKey", "in": "header", "name": one.header}
                    for route in self._routes.values()
                    for one in _needs(route.dependant)
                    if isinstance(one, NeedsSignature)
                },
            }
            for path, item in document["paths"].items():
                for method, operation in item.items():
                    self._describe(path, operation, self._routes.get((path, method)), schemas)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            self._app.openapi_schema = document
        return self._app.openapi_schema

    def _describe(self, path: str, operation: Json, route: APIRoute | None, schemas: Json) -> None:
        """Complete FastAPI's own description of one operation."""
        operation["responses"].pop("422", None)
        parameters: list[Json] = operation.setdefault("parameters", [])
        headers, fails = ["x-request-id"], EVERYWHERE
        if route is not None:
            scopes = sorted(scopes_of(route))
            signed = [one.scope for one in _needs(route.dependant) if isinstance(one, NeedsSignature)]
            operation["security"] = [{f"signature of {name}": []} for name in signed] or [
                {"bearer": scopes}, {"x-api-key": scopes},
            ]  # fmt: skip
            fails = WITH_A_KEY
            if isinstance(route, IdempotentRoute) and "POST" in (route.methods or ()):
                headers, fails = list(HEADERS), tuple(TABLE)
                later = {"description": "It became a job: `octant-when-limited: queue`", "content": {JSON: {"schema": {}}}}
                operation["responses"].setdefault("202", later)
        parameters += [{"name": name, "in": "header", "required": False, "schema": HEADERS[name]} for name in headers]
        dialects: Sequence[Dialect] = ("openai", "anthropic") if path.startswith(SHARED_PATH) else (dialect_of(path),)
        for status, response in failures(fails, *dialects).items():
            operation["responses"].setdefault(status, response)
        body = operation.get(BODY, {}).get("content", {}).get(JSON, {}).get("schema", {})
        schemas |= {f"{body['title']}.{name}": schema for name, schema in body.pop("$defs", {}).items()}


def _complete(extra: Json) -> None:
    """Put the schema of a model that `takes` noted in its place; FastAPI's copies of a route share one ``openapi_extra``."""
    model = extra.get(BODY)
    if isinstance(model, type) and issubclass(model, BaseModel):
        schema = model.model_json_schema(ref_template=f"#/components/schemas/{model.__name__}.{{model}}")
        extra[BODY] = {"required": True, "content": {JSON: {"schema": schema}}}


def scopes_of(route: APIRoute) -> frozenset[str]:
    """The scopes that open this route, any one of them; empty if it needs no key."""
    return frozenset[str]().union(*(found.scopes for found in _needs(route.dependant)))


def failures(leaves: Sequence[type[OctantError]], *dialects: Dialect) -> dict[str, Json]:
    """Responses by status, each with the envelopes and the codes that the table of errors gives it."""
    by_status: dict[int, list[type[OctantError]]] = defaultdict(list)
    for leaf in leaves:
        by_status[TABLE[leaf].status].append(leaf)
    return {
        str(status): {
            "description": " ".join(f"`{leaf.code}`" for leaf in found),
            "content": {JSON: {"schema": _any_of([_envelope(found, dialect) for dialect in dialects])}},
        }
        for status, found in sorted(by_status.items())
    }


def _any_of(schemas: Sequence[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _envelope(leaves: Sequence[type[OctantError]], dialect: Dialect) -> Json:
    """The schema of `app.edge.errors.body`."""
    types = sorted({getattr(TABLE[leaf], dialect) for leaf in leaves})
    fields: Json = {
        "message": {"type": "string"},
        "type": {"enum": types},
        "code": {"enum": sorted(leaf.code for leaf in leaves)},
    }
    if dialect == "openai":
        fields["param"] = {"type": ["string", "null"]}
    inner = {"type": "object", "required": list(fields), "properties": fields}
    outer: Json = {"error": inner}
    if dialect == "anthropic":
        outer |= {"type": {"const": "error"}, "request_id": {"type": "string"}}
    return {"type": "object", "required": list(outer), "properties": outer}


def _needs(dependant: Dependant) -> Iterator[Needs | NeedsToken | NeedsSignature]:
    for part in dependant.dependencies:
        if isinstance(part.call, Needs | NeedsToken | NeedsSignature):
            yield part.call
        yield from _needs(part)
