"""Sample orders of two customers of one tenant, in every state; their days count back from today."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from app.features.support.tables import order_items, orders

TENANT = "acme"
PRODUCTS = (
    ("Fjell 2 tent", 34900),
    ("Ember 2 stove", 8900),
    ("Drizzle rain jacket", 17900),
    ("Cairn Mid hiking boots", 21900),
    ("Larch 25 sleeping bag", 26900),
    ("Traverse 45 backpack", 18900),
    ("Rill water filter", 4900),
    ("Beacon 200 headlamp", 3900),
)
# status, days since ordered, days since delivered
STATES: tuple[tuple[str, int, int | None], ...] = (
    ("shipped", 4, None),
    ("processing", 1, None),
    ("delivered", 12, 8),
    ("delivered", 70, 64),
    ("cancelled", 20, None),
    ("returned", 35, 29),
)
ORDERS_PER_USER = 15


async def seed(engine: AsyncEngine, tenant: str = TENANT) -> int:
    """Insert a tenant's missing sample orders. Returns the size of the sample."""
    today = datetime.now(UTC).date()
    found = [_order(10001 + n, (tenant, "ada" if n % 2 == 0 else "grace"), n // 2, today) for n in range(2 * ORDERS_PER_USER)]
    async with engine.begin() as connection:
        for order, items in found:
            await connection.execute(postgresql.insert(orders).values(order).on_conflict_do_nothing())
            await connection.execute(postgresql.insert(order_items).values(items).on_conflict_do_nothing())
    return len(found)


def _order(number: int, owner: tuple[str, str], position: int, today: date) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    status, ordered, delivered = STATES[position % len(STATES)]
    identity = f"NW-{number}"
    chosen = [PRODUCTS[(number + step) % len(PRODUCTS)] for step in range(1 + number % 2)]
    items = [
        {"order_id": identity, "line": line, "product": product, "quantity": 1, "price_cents": price}
        for line, (product, price) in enumerate(chosen, start=1)
    ]
    order = {
        "id": identity,
        "tenant": owner[0],
        "user": owner[1],
        "status": status,
        "ordered_on": today - timedelta(days=ordered),
        "delivered_on": today - timedelta(days=delivered) if delivered is not None else None,
        "total_cents": sum(price for _, price in chosen),
        "carrier": "Swift Post" if status in ("shipped", "delivered", "returned") else None,
    }
    return order, items
