"""Idempotency-Keys and their answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_idempotency"
down_revision = "0003_releases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False, comment="whom the API key is bound to; empty where it is not"),
        sa.Column("key", sa.String(length=255), nullable=False, comment="as the caller sent it"),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="HMAC-SHA256 of method, target and body"),
        sa.Column("token", sa.Uuid(), nullable=False, comment="of the one request that does the work"),
        sa.Column("status", sa.SmallInteger(), nullable=True, comment="null while the work runs"),
        sa.Column("headers", postgresql.JSONB(), nullable=True, comment="[[name, value], …]"),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=True,
            comment="as sent; null while the work runs, or if it was too large to keep",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="end of the lease while the work runs, then of the answer",
        ),
        sa.PrimaryKeyConstraint("tenant", "user", "key"),
        sa.UniqueConstraint("token"),
    )
    op.create_index("idempotency_keys_expiry", "idempotency_keys", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index("idempotency_keys_expiry", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
