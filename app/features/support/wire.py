"""Bodies of the endpoints, and the ticket that a model fills in."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

Category = Literal[
    "shipping", "returns", "refund", "payment", "account", "product", "warranty", "cancellation", "privacy", "other"
]
_PLAIN = r"[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"  # tab and line breaks are text; Postgres cannot hold NUL
NOT_BLANK = rf"^{_PLAIN}*[^\x00-\x20\x7F]{_PLAIN}*$"
MOST_CONVERSATION = 20_000  # characters of all earlier turns together

Words = Annotated[str, Field(min_length=1, max_length=4000, pattern=NOT_BLANK)]
User = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1F\x7F]+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Said(_Body):
    """An earlier turn of the conversation, as the tenant sends it: it is shown to the model as material."""

    role: Literal["customer", "assistant"]
    text: Words


class AnswerRequest(_Body):
    """A customer's question. ``user`` is the tenant's own customer; it decides whose orders are seen."""

    question: Words
    user: User | None = None
    conversation: Annotated[tuple[Said, ...], Field(max_length=20)] = ()
    stream: bool = False

    @field_validator("conversation")
    @classmethod
    def _bounded(cls, conversation: tuple[Said, ...]) -> tuple[Said, ...]:
        if sum(len(turn.text) for turn in conversation) > MOST_CONVERSATION:
            raise PydanticCustomError("too_long", "longer than allowed")
        return conversation


class TicketRequest(_Body):
    """A customer's free text."""

    text: Words
    user: User | None = None


class ActionDecision(_Body):
    """The customer's decision on an offered action. ``user`` as in the question."""

    token: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")
    user: User | None = None


class Ticket(BaseModel):
    """The form that a model fills in. Strict, so that providers can constrain their decoding to it.

    Lengths are not part of the schema, because strict decoding does not know them; `tickets` cuts what is too long.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Category
    priority: Literal["low", "normal", "high", "urgent"]
    order_id: str | None = Field(description="Order number named in the message, such as NW-10001; null if none is.")
    product: str | None = Field(description="Product named in the message; null if none is.")
    sentiment: Literal["negative", "neutral", "positive"]
    language: str = Field(description="Language of the message, ISO 639-1, such as en.")
    summary: str = Field(description="One sentence that says what the customer wants, 200 characters at most.")
