"""Which code was deployed: a row for each start of a worker, and the code in each worker's report."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033_code_versions"
down_revision = "0032_release_gate"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "code_versions",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("code", sa.Text(), nullable=False, comment="an image by digest, a git commit, or the package's version"),
        sa.Column("version", sa.String(64), nullable=False, comment="the package's"),
        sa.Column("place", sa.Text(), nullable=False, comment="the folder that it ran from"),
        sa.Column("schema", postgresql.ARRAY(sa.String(64)), nullable=False, comment="the database's revisions then"),
        sa.Column("kind", sa.String(16), nullable=False, comment="start, of a worker, or rollback"),
        sa.Column("by", sa.String(255), nullable=False, comment="the worker, or the operator"),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.add_column(
        "worker_reports", sa.Column("code", sa.Text(), nullable=False, server_default="", comment="the code that it runs")
    )


def downgrade() -> None:
    op.drop_column("worker_reports", "code")
    op.drop_table("code_versions")
