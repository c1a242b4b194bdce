"""The kill switch's second memory: what operators have stopped outlives a loss of Valkey's data."""

import sqlalchemy as sa
from alembic import op

revision = "0024_stops"
down_revision = "0023_idempotency_challenges"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stops",
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True, comment="empty for everything"),
        sa.Column("stopped", sa.Boolean, nullable=False, comment="false: released"),
        sa.Column("in_flight", sa.Boolean, nullable=False, comment="calls under way are ended, too"),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, comment="the highest wins where two memories differ"),
    )


def downgrade() -> None:
    op.drop_table("stops")
