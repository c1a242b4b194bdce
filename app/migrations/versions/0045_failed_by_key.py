"""How many failed answers of a kind each key got."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0045_failed_by_key"
down_revision = "0044_failed_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "failed_answers",
        sa.Column("keys", JSONB(), nullable=False, server_default="{}", comment="answers by key, of those with the most"),
    )


def downgrade() -> None:
    op.drop_column("failed_answers", "keys")
