"""The shop's data that the worked example works on: orders, refunds, hand-overs, tickets."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

orders = Table(
    "support_orders",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False),
    Column("status", String(16), nullable=False, comment="processing, shipped, delivered, cancelled, returned"),
    Column("ordered_on", Date, nullable=False),
    Column("delivered_on", Date, nullable=True),
    Column("total_cents", Integer, nullable=False),
    Column("carrier", String(64), nullable=True),
    Column("note", Text, nullable=True, comment="what the customer wrote with the order"),
    Index("support_orders_owner", "tenant", "user"),
)

order_items = Table(
    "support_order_items",
    metadata,
    Column("order_id", String(16), ForeignKey("support_orders.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("product", String(128), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price_cents", Integer, nullable=False),
)

refunds = Table(
    "support_refunds",
    metadata,
    Column("order_id", String(16), ForeignKey("support_orders.id", ondelete="CASCADE"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

handovers = Table(
    "support_handovers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

actions = Table(
    "support_actions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("tool", String(64), nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("tainted_by", JSONB, nullable=False, comment="what the model had read when it asked"),
    Column("token_hash", LargeBinary, nullable=False, comment="keyed, over token, owner, tool and arguments"),
    Column("status", String(16), nullable=False, server_default="pending"),
    Column("outcome", JSONB(none_as_null=True), nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=True),
    Index("support_actions_owner", "tenant", "user"),
)

tool_use = Table(
    "support_tool_use",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("user", String(128), primary_key=True),
    Column("tool", String(64), primary_key=True),
    Column("minute", DateTime(timezone=True), nullable=False),
    Column("calls", Integer, nullable=False),
)

tickets = Table(
    "support_tickets",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False),
    Column("category", String(32), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("order_id", String(16), nullable=True),
    Column("product", String(128), nullable=True),
    Column("sentiment", String(16), nullable=False),
    Column("language", String(8), nullable=False),
    Column("summary", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

_ORDERS = 'order_id IN (SELECT id FROM support_orders WHERE tenant = :tenant AND "user" = ANY(:users))'
# Orders are the shop's accounts: they stay, under a pseudonym. Texts about them go.
PERSONAL = (
    PersonalData(table="support_refunds", columns=("reason",), where=_ORDERS, change={"reason": "''"}),
    PersonalData(table="support_orders", columns=("user", "note"), change={"user": ":person", "note": "NULL"}),
    PersonalData(
        table="support_actions",
        columns=("user", "request_id", "arguments", "outcome"),
        hidden=("token_hash",),
    ),
    PersonalData(table="support_tool_use", columns=("user",)),
    PersonalData(table="support_handovers", columns=("user", "request_id", "reason")),
    PersonalData(table="support_tickets", columns=("user", "product", "summary")),
)
NOT_PERSONAL = {
    "support_order_items.product": "the shop's name for what it sells",
    "support_actions.tainted_by": "names of the untrusted texts a model had read",
    "support_actions.token_hash": "a keyed hash",
}
