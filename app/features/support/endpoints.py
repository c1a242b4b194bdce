"""The product's paths."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, cast

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import OctantError
from app.edge import errors
from app.edge.answers import json_answer
from app.edge.requests import CallContext, call_context
from app.edge.sse import EventStream, event
from app.features.support.support import Support
from app.features.support.wire import AnswerRequest, TicketRequest, parse

Context = Annotated[CallContext, Depends(call_context)]


def router(support: Support) -> APIRouter:
    """The product's endpoints over ``support``."""
    routes = APIRouter(tags=["support"])

    @routes.post("/v1/support/answer")
    async def answer(request: Request, context: Context) -> Response:
        """Answer a customer's question from articles and tools, or hand it over to a person."""
        wanted = cast("AnswerRequest", parse(AnswerRequest, await request.body()))
        if wanted.stream:
            headers = {"x-request-id": context.request_id}
            return EventStream(_events(support, wanted, context), headers, AsyncExitStack())
        body, receipt = await support.answer(wanted, context)
        return json_answer(body, receipt)

    @routes.post("/v1/support/tickets")
    async def tickets(request: Request, context: Context) -> Response:
        """File a typed ticket from a customer's free text."""
        body, receipt = await support.ticket(cast("TicketRequest", parse(TicketRequest, await request.body())), context)
        return json_answer(body, receipt)

    return routes


async def _events(support: Support, wanted: AnswerRequest, context: CallContext) -> AsyncGenerator[bytes, None]:
    try:
        async for name, data in support.stream(wanted, context):
            yield event(data, name=name)
    except OctantError as error:
        yield event(errors.body(error, "openai", context.request_id), name="error")
