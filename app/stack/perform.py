"""A job's request, made to the application as its caller would have made it, and the application's answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Scope

from app.domain.calls import Identity
from app.domain.errors import Stopped
from app.edge.identity import IDENTITY
from app.jobs.jobs import Job

OURS = "octant-"


@dataclass(frozen=True, slots=True)
class Answer:
    """The application's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def stopped(self) -> bool:
        """Whether an operator's stop refused the job: it waits for the end of the stop, however often it was tried."""
        return self.status == 503 and f'"code": "{Stopped.code}"'.encode() in self.body

    @property
    def again(self) -> float | None:
        """Seconds until the same request may do better; None where it will not.

        A job has time: it also waits where a caller had better not, for what an operator has stopped (503).
        """
        if self.headers.get("x-should-retry") != "true" and self.status != 503:
            return None
        return float(self.headers.get("retry-after", 0))


async def perform(app: ASGIApp, job: Job, identity: Identity, traceparent: str) -> Answer:
    """Make a job's request to the application. Cancelling cancels it all the way to the provider."""
    messages: list[Message] = []
    incoming: list[Message] = [{"type": "http.request", "body": job.body or b"{}", "more_body": False}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await asyncio.Event().wait()  # no client is there that could leave
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)

    await app(_scope(job, identity, traceparent), receive, send)
    headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in messages[0]["headers"]}
    kept = {n: v for n, v in headers.items() if n.startswith(OURS) or n in ("x-should-retry", "retry-after", "content-type")}
    return Answer(messages[0]["status"], kept, b"".join(m.get("body", b"") for m in messages[1:]))


def _scope(job: Job, identity: Identity, traceparent: str) -> Scope:
    headers = {"content-type": "application/json", "x-request-id": job.id, "idempotency-key": job.id, "traceparent": traceparent}
    if job.deadline_ms:
        headers["octant-deadline-ms"] = str(job.deadline_ms)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": job.path,
        "raw_path": job.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": None,
        IDENTITY: identity,
    }
