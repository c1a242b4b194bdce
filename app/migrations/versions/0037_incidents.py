"""Incidents, their events, and the sent hand-over messages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0037_incidents"
down_revision = "0036_paging"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False, unique=True, comment="what people call it"),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False, comment="sev1 to sev4"),
        sa.Column("status", sa.String(8), nullable=False, comment="open or closed"),
        sa.Column("commander", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("dedup_key", sa.Text(), nullable=True, comment="of the page that opened it"),
        sa.Column(
            "runbook_page", sa.Text(), nullable=True, comment="the page that the incident changed; null: none, or still open"
        ),
        sa.Column("runbook_change", sa.Text(), nullable=True, comment="the change in one sentence, or why there is none"),
    )
    op.create_index(
        "incidents_open_key", "incidents", ["dedup_key"], unique=True, postgresql_where=sa.text("status::text = 'open'::text")
    )
    op.create_index("incidents_opened", "incidents", ["opened_at"])
    op.create_table(
        "incident_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("incident_id", sa.Uuid(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when it happened, which may be before it was noted"),
        sa.Column("kind", sa.String(16), nullable=False, comment="opened, note, commander, severity, link or closed"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
    )
    op.create_index("incident_events_of", "incident_events", ["incident_id", "at"])
    op.create_table(
        "handoffs",
        sa.Column("changed_at", sa.DateTime(timezone=True), primary_key=True, comment="when the shift changed"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("handoffs")
    op.drop_table("incident_events")
    op.drop_table("incidents")
