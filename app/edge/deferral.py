"""Deferred calls: jobs as JSON, and a queue for rate-limited calls (G9, R3).

A caller that sends ``octant-when-limited: queue`` would rather wait than be refused: where every provider is limiting our rate,
its request becomes a job, and the answer is a 202 with the job.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import InvalidRequest, ProvidersRateLimited
from app.edge.answers import json_answer
from app.edge.identity import authenticated, refuse_if_stopped
from app.edge.parts import parts_of
from app.jobs.jobs import Job
from app.telemetry.spans import current_traceparent

HEADER, QUEUE = "octant-when-limited", "queue"

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def as_json(job: Job) -> dict[str, Any]:
    """A job as its caller sees it. Times in RFC 3339; ``response`` is the answer of the request."""
    state = "cancelling" if job.cancel_requested and job.state == "running" else job.state
    response = None
    if job.status is not None:
        response = {"status": job.status, "headers": dict(job.headers or {}), "body": _body(job.response or b"")}
    times = {name: at.isoformat() if (at := getattr(job, name)) else None for name in ("created_at", "started_at", "finished_at")}
    return {
        "id": job.id,
        "object": "job",
        "path": job.path,
        "state": state,
        **times,
        "attempts": job.attempts,
        "response": response,
    }


def accepted(job: Job) -> Response:
    """The answer to a request that became a job."""
    response = json_answer(as_json(job), status=202)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return response


def deferring(answer: Answer) -> Answer:
    """Wrap a handler: a rate-limited call becomes a job if the caller allows it."""

    async def or_later(request: Request) -> Response:
        wanted = request.headers.get(HEADER)
        if wanted is None:
            return await answer(request)
        if wanted != QUEUE:
            raise InvalidRequest(f"{HEADER} knows one value: {QUEUE}.", param=HEADER)
        try:
            return await answer(request)
        except ProvidersRateLimited:
            body = await request.body()
            if _streams(body):
                raise
            caller, jobs = await authenticated(request), parts_of(request).jobs
            refuse_if_stopped(request, caller)
            return accepted(await jobs.submit(caller, request.url.path, body, traceparent=current_traceparent()))

    return or_later


def _streams(body: bytes) -> bool:
    return bool(json.loads(body).get("stream"))


def _body(response: bytes) -> Any:  # noqa: ANN401 - any JSON, or text where it is none
    try:
        return json.loads(response)
    except ValueError:
        return response.decode(errors="replace")
