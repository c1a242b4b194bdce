"""API keys remember when they were last used and what a rotation made of them."""

import sqlalchemy as sa
from alembic import op

revision = "0014_key_rotation"
down_revision = "0012_redaction_patterns"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True, comment="to the minute"))
    op.add_column(
        "api_keys",
        sa.Column("replaced_by", sa.String(length=16), nullable=True, comment="the key that a rotation made of this one"),
    )


def downgrade() -> None:
    op.drop_column("api_keys", "replaced_by")
    op.drop_column("api_keys", "last_used_at")
