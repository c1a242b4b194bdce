"""Answers given again under an Idempotency-Key leave a record that names the request which they repeat.

Adds a column without a default: no row is rewritten. Going back drops it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020_replays"
down_revision = "0019_attempt_responses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "request id whose stored answer was given again"
    op.add_column("calls", sa.Column("replay_of", sa.String(128), nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_column("calls", "replay_of")
