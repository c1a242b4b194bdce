"""What the endpoints take and give."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import InvalidRequest

Category = Literal[
    "shipping", "returns", "refund", "payment", "account", "product", "warranty", "cancellation", "privacy", "other"
]
Words = Annotated[str, Field(min_length=1, max_length=4000)]
User = Annotated[str, Field(min_length=1, max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Said(_Body):
    """An earlier turn of the conversation."""

    role: Literal["customer", "assistant"]
    text: Words


class AnswerRequest(_Body):
    """A customer's question. ``user`` is the tenant's own customer; whose orders are seen follows from it."""

    question: Words
    user: User | None = None
    conversation: Annotated[list[Said], Field(max_length=20)] = []
    stream: bool = False


class TicketRequest(_Body):
    """A customer's free text."""

    text: Words
    user: User | None = None


class Ticket(BaseModel):
    """What a model fills in. Strict, so that providers can constrain their decoding to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Category
    priority: Literal["low", "normal", "high", "urgent"]
    order_id: str | None = Field(description="Order number named in the message, such as NW-10001; null if none is.")
    product: str | None = Field(description="Product named in the message; null if none is.")
    sentiment: Literal["negative", "neutral", "positive"]
    language: str = Field(description="Language of the message, ISO 639-1, such as en.")
    summary: str = Field(description="One sentence that says what the customer wants, 200 characters at most.")


def parse(model: type[AnswerRequest] | type[TicketRequest], body: bytes) -> AnswerRequest | TicketRequest:
    """Read a body. Raises InvalidRequest naming the field, never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        if found["type"] == "json_invalid":
            raise InvalidRequest("The body is not JSON.") from None
        path = ".".join(str(step) for step in found["loc"])[:64]
        raise InvalidRequest(f"Invalid value for '{path}': {found['type'].replace('_', ' ')}.", param=path) from None
