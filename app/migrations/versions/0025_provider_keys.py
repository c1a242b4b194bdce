"""An attempt's record says with which of our keys the provider was asked, as a fingerprint.

Adds a column without a default: no row is rewritten. Going back drops what it holds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025_provider_keys"
down_revision = "0024_stops"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attempts", sa.Column("provider_key", sa.String(8), nullable=True, comment="fingerprint of our key at the provider")
    )


def downgrade() -> None:
    op.drop_column("attempts", "provider_key")
