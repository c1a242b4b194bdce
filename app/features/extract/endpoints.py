"""`POST /v1/extract`: a message in, a filled form out. One endpoint, one prompt, one schema."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from app.domain.calls import Call
from app.domain.spelling import plain
from app.edge.answers import json_answer
from app.edge.idempotency import IdempotentRoute
from app.edge.limits import body_of
from app.edge.openapi import takes
from app.edge.outputs import read_output, schema_of
from app.edge.requests import CallContext, call_context, parsed
from app.features.feature import FeatureParts
from app.security.guard.guard import fence, nonce


class ExtractRequest(BaseModel):
    """A message as received. ``user`` is the tenant's own user; caps and records refer to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, max_length=20_000)
    user: str | None = Field(default=None, min_length=1, max_length=128)


OWN_WORDS = "in the model's own words"  # marks fields of the form; the others are copied from the text


class Facts(BaseModel):
    """The form that a model fills. Every field is required, so that providers can hold the model to the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: str | None = Field(description="The sender's full name; null if the message does not say it.")
    company: str | None = Field(description="The sender's company; null if the message does not say it.")
    email: str | None = Field(description="The sender's e-mail address; null if the message has none.")
    phone: str | None = Field(description="The sender's telephone number as written; null if the message has none.")
    request: Annotated[str, OWN_WORDS] = Field(description="One sentence that says what the sender wants.")


IN_OWN_WORDS = frozenset(name for name, field in Facts.model_fields.items() if OWN_WORDS in field.metadata)


def router(parts: FeatureParts) -> APIRouter:
    """The product's one endpoint. `IdempotentRoute` gives it Idempotency-Key and a way into the queue."""
    routes = APIRouter(tags=["extract"], route_class=IdempotentRoute)

    @routes.post("/v1/extract", openapi_extra=takes(ExtractRequest))
    async def extract(request: Request, context: Annotated[CallContext, Depends(call_context)]) -> Response:
        """Read the sender, the contact and the request from a message."""
        wanted = parsed(ExtractRequest, await body_of(request))
        call = Call(
            id=context.request_id,
            identity=context.identity_for(wanted.user),
            feature="extract",
            target="extract/facts",
            deadline=context.deadline,
            variables={"text": fence("message", wanted.text, nonce=nonce())},
            output=schema_of(Facts),
        )
        answer = await parts.gateway.complete(call)
        facts = as_written(read_output(Facts, answer.reply), wanted.text)
        return json_answer(facts.model_dump(), answer.receipt)

    return routes


def as_written(facts: Facts, text: str) -> Facts:
    """Drop the facts that are not in the text: a model made them up."""
    copied, read = facts.model_dump(exclude=set(IN_OWN_WORDS)), plain(text)
    return facts.model_copy(update={name: found_in(read, value) for name, value in copied.items()})


def found_in(read: str, value: str | list[str] | None) -> str | list[str] | None:
    """A value if the plain text ``read`` has it, whatever its case, blanks and width, else None; of a list, the items it has."""
    if isinstance(value, list):
        return [item for item in value if found_in(read, item)]
    return value if value and plain(value) in read else None
