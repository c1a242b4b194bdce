"""An attempt's record holds what came back and what was wrong with it, also where it did not give the answer.

Adds two columns without a default: no row is rewritten. Going back drops what they hold.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0019_attempt_responses"
down_revision = "0018_failed_sorted"
branch_labels = None
depends_on = None

RESPONSE = "what came back; null if nothing did, or if it is the call's response"
VIOLATIONS = "what was wrong with it: paths and rules"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("response", sa.Text, nullable=True, comment=RESPONSE))
    op.add_column("attempts", sa.Column("violations", ARRAY(sa.Text), nullable=True, comment=VIOLATIONS))


def downgrade() -> None:
    op.drop_column("attempts", "violations")
    op.drop_column("attempts", "response")
