"""How often a job's worker died or was ended while the job ran: a job that does it again and again is failed.

A default on an existing table is no rewrite; the version before ignores the column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023_jobs_lost"
down_revision = "0018_failed_sorted"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("lost", sa.SmallInteger, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("jobs", "lost")
