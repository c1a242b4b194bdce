"""Covers of the on-call rotation: overrides that operators enter by command."""

import sqlalchemy as sa
from alembic import op

revision = "0035_covers"
down_revision = "0034_kill_switch_tests"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "covers",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("instead_of", sa.String(64), nullable=False, comment="a key of the rotation's people"),
        sa.Column("by", sa.String(64), nullable=False, comment="the same: takes the duties"),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_by", sa.String(128), nullable=False, comment="an operator"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "entered_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="a later one is stronger",
        ),
    )
    op.create_index("covers_ends_at", "covers", ["ends_at"])


def downgrade() -> None:
    op.drop_table("covers")
