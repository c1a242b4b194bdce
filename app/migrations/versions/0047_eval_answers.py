"""Stored eval runs keep the answer of each trial: why a case failed is seen in its words."""

import sqlalchemy as sa
from alembic import op

revision = "0047_eval_answers"
down_revision = "0046_attempts_by_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("eval_results", sa.Column("answer", sa.Text(), nullable=True, comment="redacted and cut; null: not kept"))


def downgrade() -> None:
    op.drop_column("eval_results", "answer")
