"""Jobs remember the trace of the request that submitted them."""

import sqlalchemy as sa
from alembic import op

revision = "0009_job_traces"
down_revision = "0008_partitions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs",
        sa.Column(
            "traceparent", sa.String(length=55), nullable=True, comment="of the request that submitted it (W3C Trace Context)"
        ),
    )


def downgrade() -> None:
    op.drop_column("jobs", "traceparent")
