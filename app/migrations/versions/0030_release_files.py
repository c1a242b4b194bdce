"""The files that releases pin, and each worker's report of the release that it serves.

Releases that were live before have no kept files: a rollback to one needs them on the machines, as it did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030_release_files"
down_revision = "0027_no_evidence"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "release_files",
        sa.Column("key", sa.String(128), primary_key=True, comment="the hash of a prompt or price table, or an index's version"),
        sa.Column("sha256", sa.String(64), nullable=False, comment="of the content"),
        sa.Column("name", sa.Text(), nullable=False, comment="what the file was called where it was activated"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "worker_reports",
        sa.Column("worker", sa.String(255), primary_key=True),
        sa.Column("release", sa.String(64), nullable=False, comment="what it serves; empty: nothing yet"),
        sa.Column("refused", sa.String(64), nullable=False, comment="the live release that it cannot load; empty: none"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("worker_reports")
    op.drop_table("release_files")
