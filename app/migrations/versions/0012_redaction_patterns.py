"""Patterns that tenants add to redaction."""

import sqlalchemy as sa
from alembic import op

revision = "0012_redaction_patterns"
down_revision = "0011_operators"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "redaction_patterns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False, comment="the kind that tokens show"),
        sa.Column("pattern", sa.String(length=200), nullable=False, comment="RE2"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "name"),
    )


def downgrade() -> None:
    op.drop_table("redaction_patterns")
