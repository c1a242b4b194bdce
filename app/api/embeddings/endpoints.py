"""The path: reads one request, makes one pass through the gateway, writes one answer."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.embeddings import answer as answers
from app.api.embeddings import request as requests
from app.edge.answers import json_answer
from app.edge.idempotency import IdempotentRoute
from app.edge.limits import read_body
from app.edge.openapi import takes
from app.edge.requests import CallContext, call_context
from app.gateway.gateway import Gateway

Context = Annotated[CallContext, Depends(call_context)]


def router(gateway: Gateway) -> APIRouter:
    """The endpoint over ``gateway``."""
    routes = APIRouter(tags=["embeddings"], route_class=IdempotentRoute)

    @routes.post("/v1/embeddings", openapi_extra=takes(requests.EmbeddingsRequest))
    async def embeddings(request: Request, context: Context) -> Response:
        """OpenAI's embeddings."""
        wanted, call = await read_body(request, partial(requests.read, context=context))
        answer = await gateway.complete(call)
        write = partial(
            answers.embeddings,
            answer.reply,
            alias=wanted.model,
            encoding=wanted.encoding_format or "float",
            degraded=answer.receipt.degraded,
        )
        body = await asyncio.to_thread(write) if answers.is_large(answer.reply) else write()
        return json_answer(body, answer.receipt)

    return routes
