"""Requests that make model calls go past the framework, and nothing about their answers differs."""

from types import SimpleNamespace
from typing import Annotated, Any, cast

import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Scope

from app.api import chat, embeddings, responses
from app.domain.calls import Identity, Tenant
from app.domain.errors import DependencyUnavailable, Unauthenticated
from app.domain.money import ZERO
from app.edge.direct import Direct
from app.edge.idempotency import IdempotentRoute
from app.edge.requests import CallContext, call_context
from app.gateway.gateway import Gateway

Context = Annotated[CallContext, Depends(call_context)]


class Keys:
    def fresh(self, _: str) -> None:
        return None

    def knows(self, _: str) -> bool:
        return True

    async def authenticate(self, token: str) -> Identity:
        if token != "right":
            raise Unauthenticated("No.")
        return Identity(tenant=Tenant("t", "T", ZERO, ZERO), key_id="k", user="")


@pytest.fixture
def routes() -> APIRouter:
    routes = APIRouter(route_class=IdempotentRoute)

    @routes.post("/v1/x")
    async def answer(request: Request, context: Context) -> Response:
        body = await request.body()
        if body == b"away":
            raise OperationalError("SELECT", None, Exception("gone"))
        return Response(body + context.identity.tenant.id.encode(), headers={"x-own": "1"})

    @routes.post("/v1/x/{name}")
    async def with_name(name: str, request: Request, context: Context) -> Response:
        return Response(f"{name} {context.identity.key_id}")

    @routes.post("/v1/query")
    async def with_query(request: Request, context: Context, much: int = 1) -> Response:
        return Response(str(much))

    @routes.get("/v1/x")
    async def read(request: Request, context: Context) -> Response:
        return Response("read")

    return routes


async def post(
    app: ASGIApp, state: FastAPI, body: bytes, *, method: str = "POST", path: str = "/v1/x", key: str = "right"
) -> Any:  # noqa: ANN401
    """The messages of the answer, or the error that the edge would answer, by its kind."""
    scope: Scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "http_version": "1.1",
        "headers": [(b"authorization", f"Bearer {key}".encode())], "scheme": "http", "server": ("test", 80), "root_path": "",
        "client": ("192.0.2.1", 1), "app": state, "octant.request_id": "req_1",
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - both ways must fail alike
        return type(error)
    return sent, getattr(scope.get("route"), "path", None)


@pytest.fixture
def ways(routes: APIRouter) -> tuple[FastAPI, ASGIApp, ASGIApp]:
    """The application, by the framework alone and with the direct way before it."""
    app, direct = FastAPI(), Direct()
    app.include_router(routes)
    app.state.edge = SimpleNamespace(keys=Keys(), failed_logins=SimpleNamespace(address_of=str, wait=lambda _: 0.0, failed=str),
        metrics=SimpleNamespace(bad_keys=SimpleNamespace(inc=lambda **_: None)), request_deadline=5.0)  # fmt: skip
    direct.add(routes)
    return app, app.router, direct.before(app.router)


def test_routes_that_need_a_request_and_its_context_are_direct_and_no_others(routes: APIRouter) -> None:
    direct = Direct()
    direct.add(routes)
    assert set(direct.paths) == {"/v1/x"}


def test_every_vendors_way_to_call_a_model_is_direct() -> None:
    direct, gateway = Direct(), cast("Gateway", None)
    for router in (chat.router(gateway), responses.router(gateway), embeddings.router(gateway)):
        direct.add(router)
    assert set(direct.paths) >= {"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"}


@pytest.mark.parametrize(
    "request_of",
    [
        {"body": b"hello "},
        {"body": b"", "key": "wrong"},
        {"body": b"", "method": "GET"},
        {"body": b"", "method": "PUT"},
        {"body": b"", "path": "/v1/x/"},
        {"body": b"", "path": "/v1/x/ada"},
        {"body": b"", "path": "/v1/query"},
        {"body": b"", "path": "/v1/nothing"},
    ],
    ids=str,
)
async def test_both_ways_answer_alike(ways: tuple[FastAPI, ASGIApp, ASGIApp], request_of: dict[str, Any]) -> None:
    state, framework, direct = ways
    assert await post(direct, state, **request_of) == await post(framework, state, **request_of)


async def test_a_postgres_that_is_away_is_a_503(ways: tuple[FastAPI, ASGIApp, ASGIApp]) -> None:
    state, _, direct = ways
    assert await post(direct, state, b"away") is DependencyUnavailable
