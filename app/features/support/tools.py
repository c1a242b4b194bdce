"""What the assistant may do: typed, scoped by identity, and only where the shop's rules allow it (S3).

Whose orders are seen follows from who asks, never from an argument: another customer's order does not exist. A tool never
raises for what a model wrote; it answers an error that the model can read. Doing a thing twice does it once.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.messages import ToolSpec
from app.features.support.tables import handovers, order_items, orders, refunds

REFUND_DAYS = 30
HAND_OVER = "hand_over_to_human"


class Arguments(BaseModel):
    """What a model may pass. Anything else is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoArguments(Arguments):
    """Takes nothing."""


class OrderArguments(Arguments):
    """Names one order."""

    order_id: str = Field(pattern=r"^NW-\d{5}$", description="Order number, such as NW-10001.")


class RefundArguments(OrderArguments):
    """Names one order and says why."""

    reason: str = Field(min_length=3, max_length=500, description="Why the customer wants a refund, in their words.")


class HandOverArguments(Arguments):
    """Says why."""

    reason: str = Field(min_length=3, max_length=500, description="Why a person is needed.")


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, in which request."""

    engine: AsyncEngine
    identity: Identity
    request_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool answered: JSON for the model, and a word for the record."""

    name: str
    outcome: str
    content: str
    data: dict[str, Any]


class Refused(Exception):  # noqa: N818 - the shop's rules refuse; the model is told why
    """The shop's rules do not allow it; the message is for the model to pass on."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool."""

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Context, Any], Awaitable[dict[str, Any]]]

    def spec(self) -> ToolSpec:
        """As offered to a model."""
        return ToolSpec(self.name, self.description, self.arguments.model_json_schema())


async def call(name: str, arguments: str, *, allowed: tuple[str, ...], context: Context) -> Outcome:
    """Run a tool that a model asked for, if the prompt allows it and the arguments are valid."""
    tool = TOOLS.get(name)
    if tool is None or name not in allowed:
        return _outcome(name, "not_allowed", {"error": "There is no such tool."})
    try:
        parsed = tool.arguments.model_validate_json(arguments or "{}")
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) or "arguments" for e in error.errors())
        return _outcome(name, "bad_arguments", {"error": f"These arguments are not valid: {fields}."})
    try:
        return _outcome(name, "ok", await tool.run(context, parsed))
    except Refused as refusal:
        return _outcome(name, "refused", {"error": str(refusal)})


async def get_order(context: Context, arguments: OrderArguments) -> dict[str, Any]:
    """Look one of the customer's orders up."""
    order = await _order(context, arguments.order_id)
    statement = select(order_items.c.product, order_items.c.quantity).where(order_items.c.order_id == order["id"])
    async with context.engine.connect() as connection:
        items = [f"{row.quantity} x {row.product}" for row in await connection.execute(statement.order_by(order_items.c.line))]
    return {
        "order_id": order["id"],
        "status": order["status"],
        "ordered_on": order["ordered_on"].isoformat(),
        "delivered_on": order["delivered_on"].isoformat() if order["delivered_on"] else None,
        "carrier": order["carrier"],
        "items": items,
        "total": f"${order['total_cents'] / 100:.2f}",
    }


async def list_orders(context: Context, _: NoArguments) -> dict[str, Any]:
    """List the customer's orders, newest first."""
    statement = select(orders.c.id, orders.c.status, orders.c.ordered_on).where(*_mine(context))
    async with context.engine.connect() as connection:
        rows = await connection.execute(statement.order_by(orders.c.ordered_on.desc(), orders.c.id).limit(10))
        found = [{"order_id": r.id, "status": r.status, "ordered_on": r.ordered_on.isoformat()} for r in rows]
    return {"orders": found} if found else {"message": "This customer has no orders."}


async def cancel_order(context: Context, arguments: OrderArguments) -> dict[str, Any]:
    """Cancel an order that has not been shipped."""
    order = await _order(context, arguments.order_id)
    if order["status"] not in ("processing", "cancelled"):
        raise Refused(f"Order {order['id']} is {order['status']} and can no longer be cancelled. It can be returned instead.")
    statement = update(orders).where(*_mine(context), orders.c.id == order["id"], orders.c.status == "processing")
    async with context.engine.begin() as connection:
        await connection.execute(statement.values(status="cancelled"))
    return {"order_id": order["id"], "status": "cancelled", "message": f"Order {order['id']} is cancelled."}


async def request_refund(context: Context, arguments: RefundArguments) -> dict[str, Any]:
    """Ask for a refund of a delivered order, within the time the shop allows."""
    order = await _order(context, arguments.order_id)
    if order["status"] not in ("delivered", "returned"):
        raise Refused(f"Order {order['id']} is {order['status']}: only delivered orders can be refunded.")
    if _today() - (order["delivered_on"] or _today()) > timedelta(days=REFUND_DAYS):
        raise Refused(f"Order {order['id']} was delivered more than {REFUND_DAYS} days ago, so it cannot be refunded.")
    statement = postgresql.insert(refunds).values(order_id=order["id"], reason=arguments.reason).on_conflict_do_nothing()
    async with context.engine.begin() as connection:
        await connection.execute(statement)
    return {
        "order_id": order["id"],
        "message": f"A refund of ${order['total_cents'] / 100:.2f} is requested for order {order['id']}.",
    }


async def hand_over(context: Context, arguments: HandOverArguments) -> dict[str, Any]:
    """Give the conversation to a person."""
    identity = context.identity
    values = {
        "tenant": identity.tenant.id,
        "user": identity.user,
        "request_id": context.request_id,
        "reason": arguments.reason,
    }
    async with context.engine.begin() as connection:
        number = (await connection.execute(insert(handovers).values(values).returning(handovers.c.id))).scalar_one()
    return {"handover_id": f"H-{number}", "message": "A colleague takes over."}


def _mine(context: Context) -> tuple[Any, ...]:
    """The one condition that makes an order the customer's own."""
    return (orders.c.tenant == context.identity.tenant.id, orders.c.user == context.identity.user)


async def _order(context: Context, order_id: str) -> dict[str, Any]:
    statement = select(orders).where(*_mine(context), orders.c.id == order_id)
    async with context.engine.connect() as connection:
        row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise Refused(f"Order {order_id} was not found among this customer's orders.")
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def _outcome(name: str, outcome: str, data: dict[str, Any]) -> Outcome:
    return Outcome(name, outcome, json.dumps(data, ensure_ascii=False), data)


def _today() -> date:
    return datetime.now(UTC).date()


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("get_order", "Look up one of the customer's own orders by its number.", OrderArguments, get_order),
        Tool("list_orders", "List the customer's own orders, newest first.", NoArguments, list_orders),
        Tool("cancel_order", "Cancel an order that has not been shipped yet.", OrderArguments, cancel_order),
        Tool("request_refund", "Request a refund for a delivered order.", RefundArguments, request_refund),
        Tool(HAND_OVER, "Hand the conversation over to a human colleague.", HandOverArguments, hand_over),
    )
}
