"""The vendors' paths. Each handler reads one request, makes one pass through the gateway, and writes one answer.

The hot path is lean: the body is parsed once from bytes, the answer is bytes, no response model.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.chat import anthropic_answer, anthropic_request, openai_answer, openai_request
from app.domain.calls import Call, Delta, Done, Identity, Receipt, Reply
from app.domain.errors import NotFound, OctantError
from app.edge.answers import json_answer, receipt_headers
from app.edge.idempotency import IdempotentRoute
from app.edge.identity import authenticated
from app.edge.limits import body_of
from app.edge.openapi import STREAMED, takes
from app.edge.requests import CallContext, call_context
from app.edge.sse import EventStream
from app.gateway.gateway import Gateway, Streaming

Context = Annotated[CallContext, Depends(call_context)]
CREATED = 1_700_000_000  # a fixed date: an alias has no creation date of its own, and clients want a number


class Writer(Protocol):
    """Writes a stream in one vendor's form."""

    def begin(self, degraded: Sequence[str]) -> bytes:
        """Bytes before the first chunk."""
        ...

    def write(self, chunk: Delta) -> bytes:
        """One chunk."""
        ...

    def end(self, reply: Reply, receipt: Receipt) -> bytes:
        """Bytes after the last chunk: stop reason, usage and cost."""
        ...

    def error(self, error: OctantError) -> bytes:
        """A failure in the middle."""
        ...


def router(gateway: Gateway) -> APIRouter:
    """The vendors' endpoints over ``gateway``."""
    routes = APIRouter(tags=["chat"], route_class=IdempotentRoute)

    @routes.post("/v1/chat/completions", openapi_extra=takes(openai_request.ChatCompletionRequest), responses=STREAMED)
    async def chat_completions(request: Request, context: Context) -> Response:
        """OpenAI's chat completions."""
        wanted, call = openai_request.read(await body_of(request), context)
        about = {"request_id": context.request_id, "alias": wanted.model}
        if call.stream:
            include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            release = gateway.pin_of(call.target, call.identity).release
            writer = openai_answer.ChunkWriter(**about, release=release, include_usage=include_usage)
            return await _streamed(gateway, call, writer)
        answer = await gateway.complete(call)
        body = openai_answer.completion(answer.reply, **about, release=answer.receipt.release, degraded=answer.receipt.degraded)
        return json_answer(body, answer.receipt)

    @routes.post("/v1/messages", openapi_extra=takes(anthropic_request.MessagesRequest), responses=STREAMED)
    async def messages(request: Request, context: Context) -> Response:
        """Anthropic's messages."""
        wanted, call = anthropic_request.read(await body_of(request), context)
        about = {"request_id": context.request_id, "alias": wanted.model}
        if call.stream:
            return await _streamed(gateway, call, anthropic_answer.EventWriter(**about))
        answer = await gateway.complete(call)
        body = anthropic_answer.message(answer.reply, **about, degraded=answer.receipt.degraded)
        return json_answer(body, answer.receipt)

    @routes.post("/v1/messages/count_tokens", openapi_extra=takes(anthropic_request.CountRequest))
    async def count_tokens(request: Request, context: Context) -> Response:
        """Anthropic's token counting. Where no vendor counts, our upper bound, and ``octant-estimated: true``."""
        _, call = anthropic_request.read(await body_of(request), context, anthropic_request.CountRequest)
        count, exact = await gateway.count_tokens(call)
        response = json_answer({"input_tokens": count})
        if not exact:
            response.headers["octant-estimated"] = "true"
        return response

    _add_models(routes, gateway)
    return routes


def _add_models(routes: APIRouter, gateway: Gateway) -> None:
    """The list of models, in both vendors' forms."""

    @routes.get("/v1/models")
    async def models(request: Request, _: Annotated[Identity, Depends(authenticated)]) -> Response:
        """The model aliases of the live release, in the form of the vendor whose header came."""
        if "anthropic-version" in request.headers:
            data = [_anthropic_model(alias) for alias in gateway.models()]
            ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
            return json_answer({"data": data, "has_more": False, **ends})
        return json_answer({"object": "list", "data": [_openai_model(alias) for alias in gateway.models()]})

    @routes.get("/v1/models/{alias}")
    async def model(alias: str, request: Request, _: Annotated[Identity, Depends(authenticated)]) -> Response:
        """One model alias."""
        if alias not in gateway.models():
            raise NotFound("No such model.")
        body = _anthropic_model(alias) if "anthropic-version" in request.headers else _openai_model(alias)
        return json_answer(body)


async def _streamed(gateway: Gateway, call: Call, writer: Writer) -> EventStream:
    """Open the stream (errors until its first chunk raise here, as HTTP statuses) and hand it to the response."""
    opened = AsyncExitStack()
    streaming = await opened.enter_async_context(gateway.stream(call))
    headers = receipt_headers(streaming.receipt, cost_known=False)
    return EventStream(_events(streaming, writer), headers, opened, frame_error=writer.error)


async def _events(streaming: Streaming, writer: Writer) -> AsyncGenerator[bytes, None]:
    yield writer.begin(streaming.receipt.degraded)
    try:
        async for chunk in streaming.chunks:
            framed = writer.end(chunk.reply, streaming.receipt) if isinstance(chunk, Done) else writer.write(chunk)
            if framed:
                yield framed
    except OctantError as error:
        error.receipt = streaming.receipt
        raise


def _openai_model(alias: str) -> dict[str, Any]:
    return {"id": alias, "object": "model", "created": CREATED, "owned_by": "octant"}


def _anthropic_model(alias: str) -> dict[str, Any]:
    return {"type": "model", "id": alias, "display_name": alias, "created_at": "2023-11-14T22:13:20Z"}
