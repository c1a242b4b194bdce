"""Attempts are found by their time.

They are written in the order of time, so an index of ranges of pages (BRIN) is enough: it has a few kilobytes a day, and costs a
write next to nothing.
"""

from alembic import op

revision = "0046_attempts_by_time"
down_revision = "0045_failed_by_key"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with_ = {"pages_per_range": 32, "autosummarize": True}
    op.create_index("attempts_at", "attempts", ["at"], postgresql_using="brin", postgresql_with=with_)


def downgrade() -> None:
    op.drop_index("attempts_at", table_name="attempts")
