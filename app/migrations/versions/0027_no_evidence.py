"""A call without evidence has the outcome `no_evidence`; it was called `not_asked`.

The version before goes on while this one starts: a trigger renames what it writes, and what comes back from a spill file of its.
Until it is gone it counts the renamed rows as failures when it searches. Rows are updated `BATCH` at a time, each batch in a
transaction of its own; a migration that was interrupted goes on where it stopped. A later version drops the trigger.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0027_no_evidence"
down_revision = "0026_reviewed_at"
branch_labels = None
depends_on = None

BEFORE, NOW = "not_asked", "no_evidence"
BATCH = 1000

# `<> 'ok'` lets the partial index over failures find them, in their order.
RENAME = sa.text("""
    WITH found AS (
        SELECT id, at FROM calls WHERE outcome::text <> 'ok' AND outcome = :before AND at >= :since ORDER BY at LIMIT :batch
    ), renamed AS (
        UPDATE calls SET outcome = :now FROM found WHERE calls.id = found.id AND calls.at = found.at
    )
    SELECT max(at) FROM found
""")


def _rename(before: str, now: str) -> None:
    """Rename in batches, each committed by itself."""
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        at = datetime.fromtimestamp(0, UTC)
        while at is not None:
            at = connection.execute(RENAME, {"before": before, "now": now, "since": at, "batch": BATCH}).scalar_one()


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
