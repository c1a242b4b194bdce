"""`POST /v1/feedback`: a rating of an answer, by the request id that came with it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from app.api.feedback.tables import feedback
from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, RateLimited
from app.domain.user_ids import MOST_USER
from app.edge.answers import json_answer
from app.edge.limits import body_of
from app.edge.middleware import UUID
from app.edge.openapi import takes
from app.edge.parts import parts_of
from app.edge.requests import CallContext, call_context, parsed
from app.security.guard.stored_text import KeptTexts

LONGEST_COMMENT = 2000
MOST_A_MINUTE = 600  # of one tenant: nothing else bounds what a key can fill this table with
Rating = Literal["good", "bad"]
Context = Annotated[CallContext, Depends(call_context)]
_SAYABLE = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$"  # tab and line breaks are text; Postgres cannot hold NUL


class FeedbackRequest(BaseModel):
    """The body. ``request_id`` is the ``x-request-id`` of the answer; ``user`` the person who rates, as in the request."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    request_id: str = Field(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")
    rating: Rating
    comment: str = Field(default="", max_length=LONGEST_COMMENT, pattern=_SAYABLE)
    user: str | None = Field(default=None, min_length=1, max_length=MOST_USER, pattern=r"^[^\x00-\x1F\x7F]+$")


class FeedbackTaken(BaseModel):
    """The answer: what is on record now for this request and user."""

    object: Literal["feedback"] = "feedback"
    request_id: str
    rating: Rating


def router(engine: AsyncEngine, kept: KeptTexts, on_bad: Callable[[Identity, str], None]) -> APIRouter:
    """Build the endpoint. Comments are redacted before they are stored, since pages show them. ``on_bad`` gets bad ratings."""
    routes = APIRouter(tags=["feedback"])

    @routes.post("/v1/feedback", openapi_extra=takes(FeedbackRequest), response_model=FeedbackTaken)
    async def say(request: Request, context: Context) -> Response:
        """Rate an answer. A second rating of the same request and user replaces the first.

        Whether there was such a request is not looked up: its record comes seconds after its answer. A rating
        without a request of this tenant is joined with none, and expires.
        """
        rated = parsed(FeedbackRequest, await body_of(request))
        identity = context.identity_for(rated.user)
        await _keep(engine, rated, identity.tenant.id, kept, identity.user)
        if rated.rating == "bad":
            on_bad(identity, rated.request_id)
        parts_of(request).metrics.feedback.inc(rating=rated.rating)
        return json_answer(FeedbackTaken(request_id=rated.request_id, rating=rated.rating).model_dump())

    return routes


async def _keep(engine: AsyncEngine, rated: FeedbackRequest, tenant: str, kept: KeptTexts, user: str) -> None:
    """Raises RateLimited, DependencyUnavailable. A request id that could be a person's number is redacted: it joins nothing."""
    redact = partial(kept.redactor.redact, tenant=tenant)
    given = rated.request_id if UUID.match(rated.request_id.removeprefix("req_")) else redact(rated.request_id)
    what = {
        "rating": rated.rating,
        "comment": kept.text(rated.comment, tenant=tenant),
        "at": datetime.now(UTC),
        "reviewed_at": None,
    }
    minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    recent = select(func.count()).where(feedback.c.tenant == tenant, feedback.c.at > minute_ago)
    put = insert(feedback).values(tenant=tenant, request_id=given, user=redact(user), **what)
    try:
        async with engine.begin() as connection:
            if (await connection.execute(recent)).scalar_one() >= MOST_A_MINUTE:
                raise RateLimited("Too much feedback in a minute.", retry_after=60.0)
            await connection.execute(put.on_conflict_do_update(index_elements=["tenant", "request_id", "user"], set_=what))
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DependencyUnavailable("Feedback cannot be stored right now.", retry_after=5.0) from error
