"""A call without evidence has the outcome `no_evidence`; it was called `not_asked`.

Stored rows only. What a worker of the version before writes later, or leaves in its spill files, keeps the old name and counts
as a failure in searches; until such a worker stops, its own searches count renamed rows as failures. A trigger could rename those
rows too, but with one Postgres writes the rows of a COPY one at a time, for every record. Rows are updated `BATCH` at a time,
each batch in a transaction of its own; an interrupted migration continues where it stopped.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027_no_evidence"
down_revision = "0026_reviewed_at"
branch_labels = None
depends_on = None

BEFORE, NOW = "not_asked", "no_evidence"
BATCH = 5000

PARTITIONS = sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'calls'::regclass ORDER BY 1")
# `<> 'ok'` lets the partial index over failures find the rows; by `ctid` they are updated without a search.
RENAME = """
    UPDATE {partition} SET outcome = :now WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {partition} WHERE outcome::text <> 'ok' AND outcome = :before LIMIT {batch}
    ))
"""


def _rename(before: str, now: str) -> None:
    """Rename in batches, day by day, each batch committed by itself."""
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        for partition in connection.execute(PARTITIONS).scalars().all():
            statement = sa.text(RENAME.format(partition=partition, batch=BATCH))
            while connection.execute(statement, {"before": before, "now": now}).rowcount:
                pass


def upgrade() -> None:
    _rename(BEFORE, NOW)


def downgrade() -> None:
    _rename(NOW, BEFORE)
