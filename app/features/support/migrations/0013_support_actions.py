"""Actions that wait for the customer, how often tools were used, and notes on orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013_support_actions"
down_revision = "0004_support"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "support_actions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("tool", sa.String(length=64), nullable=False),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("tainted_by", postgresql.JSONB(), nullable=False, comment="what the model had read when it asked"),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="keyed, over token, owner, tool and arguments"),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("outcome", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("support_actions_owner", "support_actions", ["tenant", "user"])
    op.create_table(
        "support_tool_use",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("tool", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user", "tool"),
    )
    op.add_column("support_orders", sa.Column("note", sa.Text(), nullable=True, comment="what the customer wrote with the order"))


def downgrade() -> None:
    op.drop_column("support_orders", "note")
    op.drop_table("support_tool_use")
    op.drop_index("support_actions_owner", table_name="support_actions")
    op.drop_table("support_actions")
