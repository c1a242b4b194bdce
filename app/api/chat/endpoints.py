"""The vendors' paths. Each handler reads one request, makes one pass through the gateway, and writes one answer.

The hot path is lean: the body is parsed once from bytes, the answer is bytes, no response model.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api.chat import anthropic_answer, anthropic_betas, anthropic_request, openai_answer, openai_fields, openai_request
from app.domain.calls import Identity
from app.domain.errors import InvalidRequest, NotFound
from app.edge.answers import json_answer
from app.edge.errors import dialect_for
from app.edge.idempotency import IdempotentRoute
from app.edge.identity import authenticated
from app.edge.limits import read_body
from app.edge.misplaced import misplaced
from app.edge.openapi import STREAMED, takes
from app.edge.requests import CallContext, call_context
from app.edge.sse import event
from app.edge.streaming import streamed
from app.gateway.gateway import Gateway

Context = Annotated[CallContext, Depends(call_context)]
CREATED = 1_700_000_000  # a fixed date: an alias has no creation date of its own, and clients want a number
MOST_LISTED = 1000  # of Anthropic's; OpenAI's list is whole
PING = event({"type": "ping"}, name="ping")  # docs.anthropic.com/en/api/messages-streaming: may come at any place


def router(gateway: Gateway) -> APIRouter:
    """The vendors' endpoints over ``gateway``."""
    routes = APIRouter(tags=["chat"], route_class=IdempotentRoute)

    @routes.post("/v1/chat/completions", openapi_extra=takes(openai_fields.ChatCompletionRequest), responses=STREAMED)
    async def chat_completions(request: Request, context: Context) -> Response:
        """OpenAI's chat completions."""
        wanted, call = await read_body(request, partial(openai_request.read, context=context))
        about: Any = {"request_id": context.request_id, "alias": wanted.model, "legacy": bool(wanted.functions)}
        if call.stream:
            include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            release = gateway.pin_of(call.target, call.identity).release
            writer = openai_answer.ChunkWriter(**about, release=release, include_usage=include_usage)
            return streamed(gateway, call, writer)
        answer = await gateway.complete(call)
        body = openai_answer.completion(answer.reply, **about, release=answer.receipt.release, degraded=answer.receipt.degraded)
        return json_answer(body, answer.receipt)

    @routes.post("/v1/messages", openapi_extra=takes(anthropic_request.MessagesRequest), responses=STREAMED)
    async def messages(request: Request, context: Context) -> Response:
        """Anthropic's messages."""
        betas = anthropic_betas.read(request.headers.getlist(anthropic_betas.HEADER))
        wanted, call = await read_body(request, partial(anthropic_request.read, context=context, betas=betas.allowed))
        about = {"request_id": context.request_id, "alias": wanted.model}
        if call.stream:
            writer = anthropic_answer.EventWriter(**about)
            stream = streamed(gateway, replace(call, on_input=writer.note_input), writer, PING)
            stream.headers.update(betas.headers)
            return stream
        answer = await gateway.complete(call)
        body = anthropic_answer.message(answer.reply, **about, degraded=answer.receipt.degraded)
        whole = json_answer(body, answer.receipt)
        whole.headers.update(betas.headers)
        return whole

    @routes.post("/v1/messages/count_tokens", openapi_extra=takes(anthropic_request.CountRequest))
    async def count_tokens(request: Request, context: Context) -> Response:
        """Anthropic's token counting. Where no vendor counts, our upper bound, and ``octant-estimated: true``."""
        betas = anthropic_betas.read(request.headers.getlist(anthropic_betas.HEADER))
        read = partial(anthropic_request.read, context=context, form=anthropic_request.CountRequest, betas=betas.allowed)
        _, call = await read_body(request, read)
        count, exact = await gateway.count_tokens(call)
        response = json_answer({"input_tokens": count})
        response.headers.update(betas.headers)
        if not exact:
            response.headers["octant-estimated"] = "true"
        return response

    _add_models(routes, gateway)
    return routes


def _add_models(routes: APIRouter, gateway: Gateway) -> None:
    """The list of models, in both vendors' forms."""

    @routes.get("/v1/models")
    async def models(
        request: Request,
        _: Annotated[Identity, Depends(authenticated)],
        limit: Annotated[int | None, Query(ge=1, le=MOST_LISTED)] = None,
        after_id: Annotated[str | None, Query(max_length=128)] = None,
        before_id: Annotated[str | None, Query(max_length=128)] = None,
    ) -> Response:
        """The model aliases of the live release, in the form of the vendor whose header came.

        ``limit``, ``after_id`` and ``before_id`` page through Anthropic's form; without a limit the list is whole.
        """
        if dialect_for(request.scope) == "openai":
            return json_answer({"object": "list", "data": [_openai_model(alias) for alias in gateway.models()]})
        page, more = _page(gateway.models(), limit, after_id, before_id)
        ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
        return json_answer({"data": [_anthropic_model(gateway, alias) for alias in page], "has_more": more, **ends})

    @routes.get("/v1/models/{alias:path}")
    async def model(alias: str, request: Request, _: Annotated[Identity, Depends(authenticated)]) -> Response:
        """One alias or callable prompt."""
        if alias not in gateway.models():
            raise misplaced(request.scope["path"]) or NotFound("No such model.")
        ours = dialect_for(request.scope) == "openai"
        return json_answer(_openai_model(alias) if ours else _anthropic_model(gateway, alias))


def _page(aliases: Sequence[str], limit: int | None, after: str | None, before: str | None) -> tuple[Sequence[str], bool]:
    """One page of the aliases, and whether there are more in its direction. Raises InvalidRequest for an unknown cursor."""
    for name, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in aliases:
            raise InvalidRequest("No model has this id.", param=name)
    first = aliases.index(after) + 1 if after is not None else 0
    last = aliases.index(before) if before is not None else len(aliases)
    found = aliases[first:last]
    if limit is None or len(found) <= limit:
        return found, False
    return (found[-limit:] if before is not None and after is None else found[:limit]), True


def _openai_model(alias: str) -> dict[str, Any]:
    return {"id": alias, "object": "model", "created": CREATED, "owned_by": "octant"}


def _anthropic_model(gateway: Gateway, alias: str) -> dict[str, Any]:
    """An alias in every field of the SDK's `ModelInfo`. Unknown of an alias: its line, its context, what its models can do."""
    return {
        "type": "model",
        "id": alias,
        "display_name": alias,
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": None,
        "max_tokens": gateway.pin_of(alias).route.max_output_tokens,
    }
