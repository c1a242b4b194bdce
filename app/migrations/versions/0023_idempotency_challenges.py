"""A claim whose lease ended is challenged before it is taken over: its owner may be alive, and Postgres was away.

Expand only. Workers of the release before take over without a challenge, as they did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023_idempotency_challenges"
down_revision = "0022_hashed_idempotency_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys",
        sa.Column(
            "challenged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when the owner of an ended lease may object",
        ),
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "challenged_at")
