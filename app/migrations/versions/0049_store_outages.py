"""When a store was away, as each worker saw it: for the timeline of an incident."""

import sqlalchemy as sa
from alembic import op

revision = "0049_store_outages"
down_revision = "0048_keys_by_end"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "store_outages",
        sa.Column("store", sa.String(16), primary_key=True, comment="Postgres or Valkey"),
        sa.Column("worker", sa.String(255), primary_key=True, comment="that could not read it"),
        sa.Column("began", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False, comment="when it was read the last time"),
        sa.Column(
            "over", sa.Boolean(), nullable=False, comment="it answered then; false: it is still away, or the worker has ended"
        ),
    )
    op.create_index("store_outages_seen", "store_outages", ["seen"])


def downgrade() -> None:
    op.drop_table("store_outages")
