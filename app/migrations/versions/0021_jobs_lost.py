"""How often a job's worker died or was ended while the job ran: a job that does it again and again is failed.

A default on an existing table is no rewrite; the version before ignores the column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021_jobs_lost"
down_revision = "0020_replays"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs",
        sa.Column(
            "lost", sa.SmallInteger, nullable=False, server_default=sa.text("0"), comment="attempts whose worker died or hung"
        ),
    )


def downgrade() -> None:
    op.drop_column("jobs", "lost")
