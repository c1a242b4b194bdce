"""Keys that ended lately are found by their end.

Each worker asks for them twice a second: without these indexes the whole table is read each time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0048_keys_by_end"
down_revision = "0047_eval_answers"
branch_labels = None
depends_on = None

ENDS = ("revoked_at", "expires_at")


def upgrade() -> None:
    for column in ENDS:
        op.create_index(f"api_keys_{column}", "api_keys", [column], postgresql_where=sa.text(f"{column} IS NOT NULL"))


def downgrade() -> None:
    for column in ENDS:
        op.drop_index(f"api_keys_{column}", table_name="api_keys")
