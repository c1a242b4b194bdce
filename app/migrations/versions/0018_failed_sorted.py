"""What failed is found by cost and by latency: failures cost nothing, so they lie at the far end of the order of all calls.

On tables that hold records already this builds two small indexes, over what failed alone; writing waits meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018_failed_sorted"
down_revision = "0017_retired_patterns"
branch_labels = None
depends_on = None

FAILED = sa.text("(outcome)::text <> 'ok'::text")


def upgrade() -> None:
    op.create_index("calls_failed_cost", "calls", ["cost", "at"], postgresql_where=FAILED)
    op.create_index("calls_failed_latency", "calls", ["latency_ms", "at"], postgresql_where=FAILED)


def downgrade() -> None:
    for name in ("calls_failed_cost", "calls_failed_latency"):
        op.drop_index(name, table_name="calls")
