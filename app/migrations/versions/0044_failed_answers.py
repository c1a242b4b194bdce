"""Answers of 4xx and 5xx, counted by the minute: also of requests that never became a call."""

import sqlalchemy as sa
from alembic import op

revision = "0044_failed_answers"
down_revision = "0043_errors_searched"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "failed_answers",
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True, comment="the minute"),
        sa.Column("tenant", sa.Text(), primary_key=True, comment="empty where no valid key came"),
        sa.Column("path", sa.Text(), primary_key=True, comment="the route's template"),
        sa.Column("status", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("code", sa.Text(), primary_key=True),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False, comment="of the last one"),
        sa.Column("key_id", sa.Text(), nullable=False, comment="of the last one"),
        sa.Column("message", sa.Text(), nullable=False, comment="of the last one, redacted"),
    )


def downgrade() -> None:
    op.drop_table("failed_answers")
