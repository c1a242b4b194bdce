"""A call without evidence has the outcome `no_evidence`; it was called `not_asked`.

The version before keeps running while this one starts: a trigger renames the outcome in rows that it writes, and in rows from its
spill files. Until it stops, its searches count renamed rows as failures. Rows are updated `BATCH` at a time, each batch in a
transaction of its own; an interrupted migration continues where it stopped. A later version drops the trigger.
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
    op.execute(f"""
        CREATE OR REPLACE FUNCTION calls_not_asked() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.outcome := '{NOW}';
            RETURN NEW;
        END $$
    """)
    op.execute(f"""
        CREATE OR REPLACE TRIGGER calls_not_asked BEFORE INSERT ON calls
        FOR EACH ROW WHEN (NEW.outcome = '{BEFORE}') EXECUTE FUNCTION calls_not_asked()
    """)
    _rename(BEFORE, NOW)


def downgrade() -> None:
    op.execute("DROP TRIGGER IF EXISTS calls_not_asked ON calls")
    op.execute("DROP FUNCTION IF EXISTS calls_not_asked()")
    _rename(NOW, BEFORE)
