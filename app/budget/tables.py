"""The ledger of money spent, users' own caps, and budget alerts."""

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, SmallInteger, String, Table, Text, func, text

from app.domain.personal import PersonalData

metadata = MetaData()

ledger = Table(
    "ledger",
    metadata,
    Column("lease", String(64), primary_key=True, comment="the call's id"),
    Column(
        "kind", String(12), primary_key=True, comment="settled; expired: at worst case, its worker died; corrected: it came back"
    ),
    Column("shard", SmallInteger, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("feature", String(64), nullable=False),
    Column("amount", BigInteger, nullable=False, comment="micro-dollars; negative where a correction gives back"),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it was held: its windows are those of this moment"),
    Column("day", String(10), nullable=False, comment="calendar day in the tenant's time zone"),
    Column("month", String(7), nullable=False),
    Column("global_day", String(10), nullable=False, comment="calendar day in UTC"),
    Column("stream_ms", BigInteger, nullable=False, comment="id in the shard's stream, first part"),
    Column("stream_seq", BigInteger, nullable=False, comment="second part"),
    Column("written_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ledger_shard_at", "shard", "at"),
    Index("ledger_tenant_at", "tenant", "at"),
)

user_caps = Table(
    "user_caps",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("user", String(128), primary_key=True),
    Column("daily_cap", BigInteger, nullable=True, comment="micro-dollars; null: the tenant's for its users"),
    Column("monthly_cap", BigInteger, nullable=True),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("user_caps_updated", "updated_at"),
)

alerts = Table(
    "budget_alerts",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("scope", String(16), nullable=False, comment="tenant-day and so on, or cost-drift"),
    Column("tenant", String(64), nullable=False, comment="empty for cost-drift"),
    Column("subject", String(128), nullable=False, comment="the user; for cost-drift the feature"),
    Column("window", String(10), nullable=False),
    Column("share", SmallInteger, nullable=False, comment="percent of the limit that was reached"),
    Column("limit", BigInteger, nullable=False, comment="micro-dollars"),
    Column("spent", BigInteger, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ends_at", DateTime(timezone=True), nullable=False, comment="when the window resets: the alert is resolved then"),
    Column("told_at", DateTime(timezone=True), nullable=True, comment="the webhook took it"),
    Column("resolved_at", DateTime(timezone=True), nullable=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="the webhook's next try"),
    Index("budget_alerts_once", "scope", "tenant", "subject", "window", "share", "limit", unique=True),
    Index("budget_alerts_open", "ends_at", postgresql_where=text("resolved_at IS NULL")),
)

PERSONAL = (
    PersonalData(
        table="ledger",
        columns=("user",),
        erase="SELECT ledger_forget(:tenant, :users, :person)",
        change={"user": ":person"},
        pseudonymous=True,
    ),
    PersonalData(table="user_caps", columns=("user",)),
    PersonalData(
        table="budget_alerts",
        columns=("subject",),
        where="tenant = :tenant AND scope LIKE 'user%' AND subject = ANY(:users)",
        change={"subject": ":person"},
        pseudonymous=True,
    ),
)
NOT_PERSONAL = {"budget_alerts.note": "our own words on a feature, or on a cap that was lowered"}
