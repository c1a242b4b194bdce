"""Feedback says when it was reviewed, and the scoring's position when it scored: `looked_at` said both.

The version before goes on while this one starts: it reads and writes `looked_at`, and a trigger keeps both columns equal. A later
version drops `looked_at` and the triggers.

Columns and triggers are committed first, then rows are filled `PAGES` pages at a time, each batch in a transaction of its own, so
that feedback is stored meanwhile. Building the index, last, makes writes to `feedback` wait for a moment; CONCURRENTLY would wait
for a second replica that waits for this migration. A statement that waits longer than `LOCK_TIMEOUT` for a lock ends the
migration; an interrupted one does each step again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026_reviewed_at"
down_revision = "0025_provider_keys"
branch_labels = None
depends_on = None

RENAMED = {"feedback": "reviewed_at", "eval_position": "scored_at"}
TIME = sa.DateTime(timezone=True)
PAGES = 200  # thousands of rows
LOCK_TIMEOUT = "2s"  # while one statement waits for an exclusive lock, all others on its table wait behind it


def _new_bad(column: str) -> sa.TextClause:
    return sa.text(f"{column} IS NULL AND rating::text = 'bad'::text")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        reviewed = sa.Column("reviewed_at", TIME, nullable=True, comment="when the evals took it up")
        scored = sa.Column("scored_at", TIME, nullable=True, comment="when the last round ended")
        op.add_column("feedback", reviewed, if_not_exists=True)
        op.add_column("eval_position", scored, if_not_exists=True)
        for table, column in RENAMED.items():
            _keep_equal(table, column)
            _fill(table, column)
        op.alter_column("eval_position", "scored_at", nullable=False)
        op.drop_index("feedback_unreviewed", table_name="feedback", if_exists=True)
        op.create_index("feedback_unreviewed", "feedback", ["at"], postgresql_where=_new_bad("reviewed_at"))
        op.drop_index("feedback_new", table_name="feedback", if_exists=True)
        op.execute("RESET lock_timeout")


def _keep_equal(table: str, column: str) -> None:
    """Make the trigger that writes each of the two columns to the other."""
    op.execute(f"""
        CREATE OR REPLACE FUNCTION {table}_looked_at() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                NEW.{column} := coalesce(NEW.{column}, NEW.looked_at);
                NEW.looked_at := NEW.{column};
            ELSIF NEW.{column} IS DISTINCT FROM OLD.{column} THEN
                NEW.looked_at := NEW.{column};
            ELSE
                NEW.{column} := NEW.looked_at;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute(f"""
        CREATE OR REPLACE TRIGGER {table}_looked_at BEFORE INSERT OR UPDATE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {table}_looked_at()
    """)


def _fill(table: str, column: str) -> None:
    """Copy `looked_at` in batches. Rows written since, on whatever page, are equal by the trigger."""
    connection = op.get_bind()
    pages = connection.execute(
        sa.text("SELECT pg_relation_size(:name) / current_setting('block_size')::int"), {"name": table}
    ).scalar_one()
    for first in range(0, pages, PAGES):
        connection.execute(
            sa.text(
                f"UPDATE {table} SET {column} = looked_at"  # noqa: S608 - names of ours
                f" WHERE ctid >= '({first},0)'::tid AND ctid < '({first + PAGES},0)'::tid AND {column} IS DISTINCT FROM looked_at"
            )
        )


def downgrade() -> None:
    op.create_index("feedback_new", "feedback", ["at"], postgresql_where=_new_bad("looked_at"))
    op.drop_index("feedback_unreviewed", table_name="feedback")
    for table, column in RENAMED.items():
        op.execute(f"DROP TRIGGER {table}_looked_at ON {table}")
        op.execute(f"DROP FUNCTION {table}_looked_at()")
        op.drop_column(table, column)
