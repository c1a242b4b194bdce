"""The paths of the Responses API. Each handler reads one request, makes one pass through the gateway, and writes one answer."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.responses import request as requests
from app.api.responses.answer import Frame, whole
from app.api.responses.events import EventWriter
from app.domain.calls import Identity
from app.domain.errors import MethodNotAllowed, NotFound, NoWebSocket
from app.edge.answers import json_answer
from app.edge.idempotency import IdempotentRoute
from app.edge.identity import authenticated
from app.edge.limits import read_body
from app.edge.openapi import STREAMED, takes
from app.edge.requests import CallContext, call_context
from app.edge.streaming import streamed
from app.gateway.gateway import Gateway

PATH = "/v1/responses"
ONE = PATH + "/{response_id}"
Context = Annotated[CallContext, Depends(call_context)]
Caller = Annotated[Identity, Depends(authenticated)]


def router(gateway: Gateway) -> APIRouter:
    """The endpoints over ``gateway``."""
    routes = APIRouter(tags=["chat"], route_class=IdempotentRoute)

    @routes.post(PATH, openapi_extra=takes(requests.ResponsesRequest), responses=STREAMED)
    async def responses(request: Request, context: Context) -> Response:
        """OpenAI's responses."""
        wanted, call = await read_body(request, partial(requests.read, context=context))
        frame = Frame(wanted, request_id=context.request_id)
        if call.stream:
            return streamed(gateway, call, EventWriter(frame))
        answer = await gateway.complete(call)
        return json_answer(whole(frame, answer.reply, answer.receipt.degraded), answer.receipt)

    @routes.post(PATH + "/input_tokens", openapi_extra=takes(requests.CountRequest))
    async def input_tokens(request: Request, context: Context) -> Response:
        """OpenAI's token counting. Where no vendor counts, our upper bound, and ``octant-estimated: true``."""
        count, exact = await gateway.count_tokens(await read_body(request, partial(requests.read_count, context=context)))
        response = json_answer({"object": "response.input_tokens", "input_tokens": count})
        if not exact:
            response.headers["octant-estimated"] = "true"
        return response

    _add_websocket(routes)
    _add_stored(routes)
    return routes


def _add_websocket(routes: APIRouter) -> None:
    """The vendor answers over a WebSocket too. Codex tries that first where it takes this service for the vendor."""

    @routes.get(PATH, include_in_schema=False)
    async def websocket(request: Request, _: Caller) -> Response:
        """Answer 426, after which a client goes on by HTTP."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise NoWebSocket("This path answers over HTTP alone: send POST.")
        raise MethodNotAllowed("This path does not take that method.")


def _add_stored(routes: APIRouter) -> None:
    """The paths of stored responses, of which there are none."""

    @routes.get(ONE)
    @routes.delete(ONE)
    @routes.get(ONE + "/input_items")
    @routes.post(ONE + "/cancel")
    async def stored(response_id: str, _: Caller) -> Response:
        """Answer 404: nothing is stored."""
        del response_id
        raise NotFound("Responses are not stored by this service, so none can be retrieved, deleted or cancelled.")
