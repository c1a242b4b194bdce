"""Pages, their events, timers and deliveries; maintenance windows; the marks of the dead-man's switch."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0036_paging"
down_revision = "0035_covers"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False, comment: str | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, comment=comment)


def upgrade() -> None:
    op.create_table(
        "pages",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("labels", JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="triggered, acknowledged or resolved"),
        _time("triggered_at"),
        _time("acknowledged_at", nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        _time("ack_expires_at", nullable=True),
        _time("resolved_at", nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("test", sa.Boolean(), nullable=False),
    )
    op.create_index("pages_by_key", "pages", ["dedup_key", "triggered_at"])
    op.create_index("pages_open", "pages", ["dedup_key"], unique=True, postgresql_where=sa.text("status <> 'resolved'"))
    op.create_table(
        "page_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("page_id", sa.Uuid(), sa.ForeignKey("pages.id"), nullable=False),
        _time("at"),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
    )
    op.create_index("page_events_of", "page_events", ["page_id", "id"])
    op.create_table(
        "page_timers",
        sa.Column("page_id", sa.Uuid(), sa.ForeignKey("pages.id"), primary_key=True),
        _time("due_at", nullable=True, comment="the page goes out again then; null: not again"),
        sa.Column("round", sa.Integer(), nullable=False, comment="how often it went out"),
        sa.Column("links", JSONB(), nullable=False, comment="addresses of runbook, dashboard and source"),
    )
    op.create_index("page_timers_due", "page_timers", ["due_at"])
    op.create_table(
        "page_deliveries",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("page_id", sa.Uuid(), sa.ForeignKey("pages.id"), nullable=False),
        sa.Column("receiver", sa.String(32), nullable=False),
        sa.Column("action", sa.String(16), nullable=False, comment="trigger, acknowledge or resolve"),
        sa.Column("key", sa.String(64), nullable=False, comment="the receiver's dedup key: of the page and its round"),
        sa.Column("message", JSONB(), nullable=False, comment="what is sent, in our own form"),
        sa.Column("state", sa.String(16), nullable=False, comment="waiting, sent or cancelled"),
        sa.Column("tries", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("due_at", comment="not before; while it is being sent: end of the lease"),
        _time("sent_at", nullable=True),
        sa.Column("last_error", sa.String(64), nullable=True, comment="a status or the type of an error"),
        sa.UniqueConstraint("page_id", "receiver", "action", "key", name="page_deliveries_once"),
    )
    op.create_index("page_deliveries_due", "page_deliveries", ["due_at"], postgresql_where=sa.text("state = 'waiting'"))
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("matchers", JSONB(), nullable=False, comment="labels and their values; empty for every alert"),
        _time("begins_at"),
        _time("ends_at"),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "paging_marks",
        sa.Column("name", sa.String(16), primary_key=True, comment="watchdog or heartbeat"),
        _time("at", comment="the last one"),
    )


def downgrade() -> None:
    tables = ("paging_marks", "maintenance_windows", "page_deliveries", "page_timers", "page_events", "pages")
    for table in tables:
        op.drop_table(table)
