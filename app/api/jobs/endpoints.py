"""`/v1/jobs`: a request that is done later. No feature knows that its paths can be deferred."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from app.domain.calls import Identity
from app.domain.errors import InvalidRequest
from app.edge.answers import json_answer
from app.edge.deferral import accepted, as_json
from app.edge.idempotency import IdempotentRoute
from app.edge.identity import authenticated, refuse_if_stopped
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.parts import parts_of
from app.edge.requests import parsed
from app.security.webhooks import check_url
from app.telemetry.spans import current_traceparent

PATH = "/v1/jobs"
MOST_LISTED = 100
Caller = Annotated[Identity, Depends(authenticated)]


class JobRequest(BaseModel):
    """The body: a request, its webhook and the deadline of an attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: str = Field(max_length=128)
    body: dict[str, Any]
    webhook_url: str | None = Field(default=None, max_length=2048, json_schema_extra={"format": "uri"})
    deadline_ms: int | None = Field(default=None, ge=1, lt=10**9)


def router(paths: frozenset[str]) -> APIRouter:
    """The endpoints, for requests to ``paths``. The room they stand for is in the edge's parts."""
    routes = APIRouter(tags=["jobs"], route_class=IdempotentRoute)

    @routes.post(PATH, status_code=202, openapi_extra=takes(JobRequest))
    async def submit(request: Request, caller: Caller) -> Response:
        """Queue a request. Answers 202 with the job, once it is stored."""
        refuse_if_stopped(request, caller)
        wanted = parsed(JobRequest, await body_of(request))
        if wanted.path not in paths:
            raise InvalidRequest(f"path must be one of {', '.join(sorted(paths))}.", param="path")
        if wanted.body.get("stream"):
            raise InvalidRequest("A job has no stream: leave body.stream out.", param="body.stream")
        parts = parts_of(request)
        if wanted.webhook_url is not None:
            check_url(wanted.webhook_url, parts.webhook_hosts)
        body = json.dumps(wanted.body, ensure_ascii=False, allow_nan=False).encode()
        job = await parts.jobs.submit(
            caller,
            wanted.path,
            body,
            deadline_ms=wanted.deadline_ms,
            webhook_url=wanted.webhook_url,
            traceparent=current_traceparent(),
        )
        return accepted(job)

    @routes.get(PATH)
    async def listed(
        request: Request,
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
        after: Annotated[str | None, Query(max_length=64)] = None,
    ) -> Response:
        """The caller's jobs, newest first, without their answers."""
        found = await parts_of(request).jobs.list(caller, limit=limit + 1, after=after)
        data = [{**as_json(job), "response": None} for job in found[:limit]]
        return _private({"object": "list", "data": data, "has_more": len(found) > limit})

    @routes.get(PATH + "/{job_id}")
    async def one(request: Request, caller: Caller, job_id: str) -> Response:
        """One job, with its answer once it is there."""
        return _private(as_json(await parts_of(request).jobs.get(caller, job_id)))

    @routes.post(PATH + "/{job_id}/cancel")
    async def cancel(request: Request, caller: Caller, job_id: str) -> Response:
        """Cancel a job that is not done: a queued one at once, a running one within two seconds."""
        return json_answer(as_json(await parts_of(request).jobs.cancel(caller, job_id)))

    return routes


def _private(content: dict[str, Any]) -> Response:
    """An answer to GET that no cache keeps: one between us knows callers by `Authorization` alone (RFC 9111, 3.5)."""
    answer = json_answer(content)
    answer.headers["cache-control"] = "no-store"
    return answer
