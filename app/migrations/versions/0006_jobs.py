"""Jobs: deferred calls and what came of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_jobs"
down_revision = "0005_idempotency"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False, comment="whom the API key is bound to; empty where it is not"),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("path", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="as sent; null once the job is done"),
        sa.Column("deadline_ms", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False, comment="queued, running, succeeded, failed or cancelled"),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True, comment="of the last attempt"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, comment="queued: not before; running: end of the lease"),
        sa.Column("status", sa.SmallInteger(), nullable=True, comment="HTTP status of the answer"),
        sa.Column("headers", postgresql.JSONB(), nullable=True, comment="the answer's octant-* headers"),
        sa.Column("response", sa.LargeBinary(), nullable=True, comment="the answer's body"),
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("webhook_due_at", sa.DateTime(timezone=True), nullable=True, comment="null: none to send, sent, or given up"),
        sa.Column("webhook_attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_tenant_created", "jobs", ["tenant", "created_at"])
    op.create_index("jobs_due", "jobs", ["due_at"], postgresql_where=sa.text("finished_at IS NULL"))
    op.create_index("jobs_webhooks_due", "jobs", ["webhook_due_at"], postgresql_where=sa.text("webhook_due_at IS NOT NULL"))
    op.create_index("jobs_finished", "jobs", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("jobs")
