"""The assistant's tools: typed, scoped by identity, within the shop's rules (S3).

No argument names the owner of an order. A tool never raises for a model's arguments: it answers with an error that the model can
read. No text of a model reaches an interpreter: arguments are validated, statements are parameterised (`shop`).
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.messages import ToolSpec, ToolUse
from app.features.support.shop import NoSuchOrder, Refused, Shop
from app.features.support.tickets import as_the_shop_writes
from app.features.support.wire import NOT_BLANK
from app.security.guard.stored_text import KeptTexts

HAND_OVER = "hand_over_to_human"
UNKNOWN = "unknown"
Code = Literal["ok", "pending", "refused", "not_found", "bad_arguments", "not_allowed", "rate_limited"]
Result = Mapping[str, Any]

_WAITS: Result = {
    "status": "waiting for the customer",
    "message": "Nothing is done yet. The customer sees exactly what would be done and has to confirm it.",
}

LONGEST_REASON = 500
Reason = Annotated[str, Field(min_length=3, max_length=LONGEST_REASON, pattern=NOT_BLANK)]


class Arguments(BaseModel):
    """Arguments of a tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoArguments(Arguments):
    """Takes nothing."""


class OrderArguments(Arguments):
    """Names one order."""

    # A model may copy it as the customer wrote it, in full width or with Arabic digits.
    order_id: Annotated[str, BeforeValidator(lambda name: as_the_shop_writes(name) if isinstance(name, str) else name)] = Field(
        pattern=r"^NW-[0-9]{5}$", description="Order number, such as NW-10001."
    )


class RefundArguments(OrderArguments):
    """Names one order and says why."""

    reason: Reason = Field(description="Why the customer wants a refund, in their words.")


class HandOverArguments(Arguments):
    """Says why."""

    reason: Reason = Field(description="Why a person is needed.")


@dataclass(frozen=True, slots=True)
class Context:
    """The identity and the request. ``kept`` prepares a model's text for storage: many people read a queue."""

    engine: AsyncEngine
    identity: Identity
    request_id: str
    kept: KeptTexts

    @property
    def shop(self) -> Shop:
        """The shop, limited to the caller's orders."""
        return Shop(self.engine, self.identity)

    def reason(self, written: str) -> str:
        """A reason as it is stored and shown."""
        return self.kept.line(written, LONGEST_REASON, tenant=self.identity.tenant.id)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action that waits for the customer: its exact arguments and our description of it."""

    tool: str
    arguments: Mapping[str, Any]
    summary: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A tool's answer: the result for the model, a code for the record, and the order it concerns.

    ``pending``: nothing is done yet.
    """

    name: str
    code: Code
    result: Result
    proposal: Proposal | None = None
    order_id: str | None = None

    @property
    def content(self) -> str:
        """The result as JSON text."""
        return json.dumps(self.result, ensure_ascii=False)

    def as_json(self) -> dict[str, str]:
        """For the caller: the tool, its outcome and the order."""
        return {"name": self.name, "outcome": self.code} | ({"order_id": self.order_id} if self.order_id else {})

    @property
    def is_fact(self) -> bool:
        """Whether an answer may rest on it: the shop's results do, "not found" and "not allowed" included."""
        return self.code in ("ok", "pending", "refused", "not_found")


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. If it has side effects, ``would`` describes them; an empty text means that nothing would change.

    ``per_minute``: how often one customer's assistant may use it.
    """

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Context, Any], Awaitable[Result]]
    would: Callable[[Context, Any], Awaitable[str]] | None = None
    per_minute: int = 300

    def spec(self) -> ToolSpec:
        """As offered to a model. Wrong arguments are answered with an error that the model reads (`call`)."""
        return ToolSpec(self.name, self.description, self.arguments.model_json_schema())


def offered(allowed: Collection[str]) -> tuple[ToolSpec, ...]:
    """The tools that a prompt allows."""
    return tuple(tool.spec() for name, tool in TOOLS.items() if name in allowed)


async def call(use: ToolUse, *, allowed: Collection[str], context: Context, confirmed: bool = True) -> Outcome:
    """Run a model's tool call, if the prompt allows it and the arguments are valid.

    Unless ``confirmed``, a side effect is only proposed. Raises DependencyUnavailable if the shop is away; a model's mistake
    raises nothing. An unknown tool's name is not repeated, because the model made it up.
    """
    tool = TOOLS.get(use.name)
    if tool is None or use.name not in allowed:
        return Outcome(use.name if tool else UNKNOWN, "not_allowed", {"error": "There is no such tool."})
    try:
        arguments = tool.arguments.model_validate_json(use.arguments or "{}")
    except ValidationError as error:
        return Outcome(use.name, "bad_arguments", {"error": f"Call it again with valid arguments. {_describe(error)}"})
    order_id = arguments.order_id if isinstance(arguments, OrderArguments) else None
    try:
        if context.identity.user and not await context.shop.within_rate(use.name, tool.per_minute):
            return Outcome(use.name, "rate_limited", {"error": "Used too often. Answer with what you have."}, order_id=order_id)
        if tool.would and not confirmed and (summary := await tool.would(context, arguments)):
            proposal = Proposal(use.name, arguments.model_dump(), summary)
            return Outcome(use.name, "pending", _WAITS, proposal, order_id)
        return Outcome(use.name, "ok", await tool.run(context, arguments), order_id=order_id)
    except Refused as refusal:
        code: Code = "not_found" if isinstance(refusal, NoSuchOrder) else "refused"
        return Outcome(use.name, code, {"error": str(refusal)}, order_id=order_id)


async def get_order(context: Context, arguments: OrderArguments) -> Result:
    """Look one of the customer's orders up."""
    order = await context.shop.order(arguments.order_id)
    noted = {"note": order.note} if order.note else {}
    return {
        "order_id": order.id,
        "status": order.status,
        "ordered_on": order.ordered_on.isoformat(),
        "delivered_on": order.delivered_on.isoformat() if order.delivered_on else None,
        "carrier": order.carrier,
        "items": list(order.items),
        "total": order.total,
        **noted,
    }


async def list_orders(context: Context, _: NoArguments) -> Result:
    """List the customer's orders, newest first."""
    found = await context.shop.orders()
    if not found:
        return {"message": "This customer has no orders."}
    return {"orders": [{"order_id": o.id, "status": o.status, "ordered_on": o.ordered_on.isoformat()} for o in found]}


async def cancel_order(context: Context, arguments: OrderArguments) -> Result:
    """Cancel an order that has not been shipped."""
    order = await context.shop.cancel(arguments.order_id)
    return {"order_id": order.id, "status": "cancelled", "message": f"Order {order.id} is cancelled."}


async def would_cancel(context: Context, arguments: OrderArguments) -> str:
    """Describe the cancellation."""
    order = await context.shop.would_cancel(arguments.order_id)
    return f"Cancel order {order.id} ({', '.join(order.items)}; {order.total})." if order else ""


async def would_refund(context: Context, arguments: RefundArguments) -> str:
    """Describe the refund, without the reason: a model wrote that."""
    order = await context.shop.would_refund(arguments.order_id)
    return f"Request a refund of {order.total} for order {order.id} ({', '.join(order.items)})." if order else ""


async def request_refund(context: Context, arguments: RefundArguments) -> Result:
    """Ask for a refund of a delivered order, within the time the shop allows."""
    order = await context.shop.request_refund(arguments.order_id, context.reason(arguments.reason))
    return {"order_id": order.id, "message": f"A refund of {order.total} is requested for order {order.id}."}


async def hand_over(context: Context, arguments: HandOverArguments) -> Result:
    """Give the conversation to a person."""
    reason = context.reason(arguments.reason)
    number = await context.shop.hand_over(context.request_id, reason)
    return {"handover_id": number, "reason": reason, "message": "A colleague takes over."}


def _describe(error: ValidationError) -> str:
    """Name the arguments and the rules they broke, without values: this text goes into records."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(
        f"{'.'.join(str(step) for step in e['loc']) or 'arguments'}: {e['type'].replace('_', ' ')}" for e in found[:5]
    )


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("get_order", "Look up one of the customer's own orders by its number.", OrderArguments, get_order),
        Tool("list_orders", "List the customer's own orders, newest first.", NoArguments, list_orders),
        Tool(
            "cancel_order",
            "Cancel an order that has not been shipped yet. Only when the customer asked for it.",
            OrderArguments,
            cancel_order,
            would_cancel,
            per_minute=60,
        ),
        Tool(
            "request_refund",
            "Request a refund for an order delivered in the last 30 days. Only when the customer asked for it.",
            RefundArguments,
            request_refund,
            would_refund,
            per_minute=60,
        ),
        Tool(HAND_OVER, "Hand the conversation over to a human colleague.", HandOverArguments, hand_over),
    )
}
