"""The shop's orders for the tools: one customer's orders and the actions that rules allow.

Every statement carries the caller's tenant and user, so another customer's order does not exist for the caller. Each action is
one transaction that locks its order, and a repetition changes nothing.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable
from app.features.support.tables import handovers, order_items, orders, refunds, tool_use

REFUND_DAYS = 30
MOST_ORDERS = 20


class Refused(Exception):  # noqa: N818 - the shop's rules refuse; that is an answer, not a fault
    """The shop's rules do not allow it. The message is for the model to pass on."""


class NoSuchOrder(Refused):
    """The customer has no such order; another customer may have it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order. ``items`` are lines such as ``1 x Fjell 2 tent``, empty if only a summary was read."""

    id: str
    status: str
    ordered_on: date
    delivered_on: date | None
    total_cents: int
    carrier: str | None
    items: tuple[str, ...] = ()
    note: str | None = None

    @property
    def total(self) -> str:
        """In dollars."""
        return f"${self.total_cents / 100:.2f}"


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """One transaction. Raises DependencyUnavailable if Postgres is away; other errors are bugs and pass unchanged."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DependencyUnavailable("The shop's orders cannot be reached right now.", retry_after=5.0) from error


class Shop:
    """The shop for one customer."""

    def __init__(self, engine: AsyncEngine, identity: Identity) -> None:
        """``identity`` is the one proven by the API key, with the user that the tenant names."""
        self._engine = engine
        self._tenant = identity.tenant.id
        self._user = identity.user

    async def order(self, order_id: str) -> Order:
        """One order with its items. Raises NoSuchOrder."""
        async with transaction(self._engine) as connection:
            order = await self._find(connection, order_id)
            statement = select(order_items.c.product, order_items.c.quantity).where(order_items.c.order_id == order.id)
            rows = await connection.execute(statement.order_by(order_items.c.line))
            items = tuple(f"{row.quantity} x {row.product}" for row in rows)
        return replace(order, items=items)

    async def orders(self) -> list[Order]:
        """The newest orders without their items, newest first."""
        statement = select(orders).where(self._mine()).order_by(orders.c.ordered_on.desc(), orders.c.id.desc())
        async with transaction(self._engine) as connection:
            rows = await connection.execute(statement.limit(MOST_ORDERS))
            return [_order(row) for row in rows]

    async def cancel(self, order_id: str) -> Order:
        """Cancel an order that has not been shipped; a cancelled one stays cancelled. Raises Refused."""
        async with transaction(self._engine) as connection:
            order = await self._find(connection, order_id, lock=True)
            _cancellable(order)
            statement = update(orders).where(self._mine(), orders.c.id == order.id).values(status="cancelled")
            await connection.execute(statement)
        return order

    async def request_refund(self, order_id: str, reason: str) -> Order:
        """Record a refund request; the first reason stays. Raises Refused outside the shop's time."""
        async with transaction(self._engine) as connection:
            order = await self._find(connection, order_id, lock=True)
            _refundable(order)
            statement = postgresql.insert(refunds).values(order_id=order.id, reason=reason)
            await connection.execute(statement.on_conflict_do_nothing())
        return order

    async def would_cancel(self, order_id: str) -> Order | None:
        """The order that `cancel` would cancel; None if it would change nothing. Raises the errors of `cancel`."""
        order = await self.order(order_id)
        _cancellable(order)
        return None if order.status == "cancelled" else order

    async def would_refund(self, order_id: str) -> Order | None:
        """The order of the refund that `request_refund` would record; None if nothing would change. Raises its errors."""
        order = await self.order(order_id)
        _refundable(order)
        async with transaction(self._engine) as connection:
            noted = await connection.scalar(select(refunds.c.order_id).where(refunds.c.order_id == order.id))
        return None if noted else order

    async def within_rate(self, tool: str, per_minute: int) -> bool:
        """Count one use of a tool; returns whether it is within the minute's limit. Over all replicas."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        fresh = {"tenant": self._tenant, "user": self._user, "tool": tool, "minute": minute, "calls": 1}
        calls = case((tool_use.c.minute == minute, tool_use.c.calls + 1), else_=1)
        statement = postgresql.insert(tool_use).values(fresh)
        counted = statement.on_conflict_do_update(
            index_elements=[tool_use.c.tenant, tool_use.c.user, tool_use.c.tool], set_={"minute": minute, "calls": calls}
        ).returning(tool_use.c.calls)
        async with transaction(self._engine) as connection:
            return int(await connection.scalar(counted) or 0) <= per_minute

    async def hand_over(self, request_id: str, reason: str) -> str:
        """Give a request to a person; a repetition changes nothing. Returns the hand-over's id.

        The conversation itself is not copied: it is in the call records of the same request id, redacted.
        """
        own = (handovers.c.tenant == self._tenant, handovers.c.user == self._user, handovers.c.request_id == request_id)
        async with transaction(self._engine) as connection:
            turn = func.pg_advisory_xact_lock(func.hashtextextended(f"{self._tenant} {self._user} {request_id}", 0))
            await connection.execute(select(turn))
            number = await connection.scalar(select(handovers.c.id).where(*own).limit(1))
            if number is None:
                values = {"tenant": self._tenant, "user": self._user, "request_id": request_id, "reason": reason}
                number = await connection.scalar(insert(handovers).values(values).returning(handovers.c.id))
        return f"H-{number}"

    def _mine(self) -> ColumnElement[bool]:
        """The one condition that makes an order the customer's own."""
        return and_(orders.c.tenant == self._tenant, orders.c.user == self._user)

    async def _find(self, connection: AsyncConnection, order_id: str, *, lock: bool = False) -> Order:
        if not self._user:
            raise NoSuchOrder("No customer is signed in, so no orders can be seen.")
        statement = select(orders).where(self._mine(), orders.c.id == order_id)
        row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        if row is None:
            raise NoSuchOrder(f"Order {order_id} was not found among this customer's orders.")
        return _order(row)


def _order(row: Row[Any]) -> Order:
    return Order(row.id, row.status, row.ordered_on, row.delivered_on, row.total_cents, row.carrier, note=row.note)


def _cancellable(order: Order) -> None:
    if order.status not in ("processing", "cancelled"):
        raise Refused(f"Order {order.id} is {order.status} and can no longer be cancelled.")


def _refundable(order: Order) -> None:
    if order.delivered_on is None:
        raise Refused(f"Order {order.id} is {order.status}: only what was delivered can be refunded.")
    if today() - order.delivered_on > timedelta(days=REFUND_DAYS):
        raise Refused(f"Order {order.id} was delivered more than {REFUND_DAYS} days ago, so it cannot be refunded.")


def today() -> date:
    """The shop's calendar day, in UTC."""
    return datetime.now(UTC).date()
