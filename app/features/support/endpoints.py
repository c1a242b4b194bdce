"""The product's paths."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import OctantError
from app.edge import errors
from app.edge.answers import json_answer, receipt_headers
from app.edge.idempotency import IdempotentRoute
from app.edge.limits import body_of
from app.edge.openapi import STREAMED, takes
from app.edge.requests import CallContext, call_context, parsed
from app.edge.sse import EventStream, event
from app.features.support.support import Event, Support
from app.features.support.wire import ActionDecision, AnswerRequest, TicketRequest

Context = Annotated[CallContext, Depends(call_context)]


def router(support: Support) -> APIRouter:
    """The product's endpoints over ``support``."""
    routes = APIRouter(tags=["support"], route_class=IdempotentRoute)

    @routes.post("/v1/support/answer", openapi_extra=takes(AnswerRequest), responses=STREAMED)
    async def answer(request: Request, context: Context) -> Response:
        """Answer a customer's question from articles and tools, or hand it over to a person."""
        wanted = parsed(AnswerRequest, await body_of(request))
        async with AsyncExitStack() as stack:
            events = support.answer(wanted, context)
            stack.push_async_callback(events.aclose)
            first = await anext(events)
            if wanted.stream:  # the first model has answered: earlier failures became an HTTP status
                headers = receipt_headers(first.receipt, cost_known=False)
                return EventStream(
                    _framed(first, events), headers, stack.pop_all(), frame_error=partial(_failed, context.request_id)
                )
            done = first
            while done.name != "done":
                done = await anext(events)
            return json_answer(done.data, done.receipt)

    @routes.post("/v1/support/actions/{action_id}/confirm", openapi_extra=takes(ActionDecision))
    async def confirm(action_id: str, request: Request, context: Context) -> Response:
        """Do the offered action, as the customer confirms it. A repetition gets the same answer and does nothing more."""
        decision = parsed(ActionDecision, await body_of(request))
        return json_answer(await support.decide(action_id, decision, context, confirm=True))

    @routes.post("/v1/support/actions/{action_id}/cancel", openapi_extra=takes(ActionDecision))
    async def cancel(action_id: str, request: Request, context: Context) -> Response:
        """Cancel the offered action for good."""
        decision = parsed(ActionDecision, await body_of(request))
        return json_answer(await support.decide(action_id, decision, context, confirm=False))

    @routes.post("/v1/support/tickets", openapi_extra=takes(TicketRequest))
    async def tickets(request: Request, context: Context) -> Response:
        """File a typed ticket from a customer's free text."""
        body, receipt = await support.ticket(parsed(TicketRequest, await body_of(request)), context)
        return json_answer(body, receipt)

    return routes


async def _framed(first: Event, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Frame the events. A failure after the first becomes an ``error`` event, without ``done``."""
    yield event(first.data, name=first.name)
    async for later in events:
        yield event(later.data, name=later.name)


def _failed(request_id: str, error: OctantError) -> bytes:
    return event(errors.last_event(error, "openai", request_id), name="error")
