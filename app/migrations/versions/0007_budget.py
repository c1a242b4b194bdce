"""Budget: the ledger, further caps, rate limits, alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0007_budget"
down_revision = "0006_jobs"
branch_labels = None
depends_on = None

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")


def upgrade() -> None:
    for name in ("monthly_cap", "user_monthly_cap", "request_cap"):
        op.add_column("tenants", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("tenants", sa.Column("time_zone", sa.String(length=64), server_default="UTC", nullable=False))
    for table in ("tenants", "api_keys"):
        for name in LIMITS:
            op.add_column(table, sa.Column(name, sa.Integer(), nullable=True))
    _ledger()
    op.create_table(
        "user_caps",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("daily_cap", sa.BigInteger(), nullable=True, comment="micro-dollars; null: the tenant's for its users"),
        sa.Column("monthly_cap", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user"),
    )
    op.create_index("user_caps_updated", "user_caps", ["updated_at"])
    _alerts()


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("lease", sa.String(length=64), nullable=False, comment="the call's id"),
        sa.Column(
            "kind",
            sa.String(length=12),
            nullable=False,
            comment="settled; expired: at worst case, its worker died; corrected: it came back",
        ),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("feature", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="micro-dollars; negative where a correction gives back"),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, comment="when it was held: its windows are those of this moment"
        ),
        sa.Column("day", sa.String(length=10), nullable=False, comment="calendar day in the tenant's time zone"),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("global_day", sa.String(length=10), nullable=False, comment="calendar day in UTC"),
        sa.Column("stream_ms", sa.BigInteger(), nullable=False, comment="id in the shard's stream, first part"),
        sa.Column("stream_seq", sa.BigInteger(), nullable=False, comment="second part"),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("lease", "kind"),
    )
    op.create_index("ledger_shard_at", "ledger", ["shard", "at"])
    op.create_index("ledger_tenant_at", "ledger", ["tenant", "at"])
    op.execute(
        "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()"
    )


def _alerts() -> None:
    op.create_table(
        "budget_alerts",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False, comment="tenant-day and so on, or cost-drift"),
        sa.Column("tenant", sa.String(length=64), nullable=False, comment="empty for cost-drift"),
        sa.Column("subject", sa.String(length=128), nullable=False, comment="the user; for cost-drift the feature"),
        sa.Column("window", sa.String(length=10), nullable=False),
        sa.Column("share", sa.SmallInteger(), nullable=False, comment="percent of the limit that was reached"),
        sa.Column("limit", sa.BigInteger(), nullable=False, comment="micro-dollars"),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "ends_at", sa.DateTime(timezone=True), nullable=False, comment="when the window resets: the alert is resolved then"
        ),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True, comment="the webhook took it"),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="the webhook's next try",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    once = ["scope", "tenant", "subject", "window", "share", "limit"]
    op.create_index("budget_alerts_once", "budget_alerts", once, unique=True)
    op.create_index("budget_alerts_open", "budget_alerts", ["ends_at"], postgresql_where=sa.text("resolved_at IS NULL"))


def downgrade() -> None:
    op.drop_table("budget_alerts")
    op.drop_table("user_caps")
    op.drop_table("ledger")
    op.execute("DROP FUNCTION ledger_is_append_only()")
    for table in ("api_keys", "tenants"):
        for name in LIMITS:
            op.drop_column(table, name)
    for name in ("time_zone", "request_cap", "user_monthly_cap", "monthly_cap"):
        op.drop_column("tenants", name)
