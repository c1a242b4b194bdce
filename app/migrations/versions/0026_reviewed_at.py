"""Feedback says when it was reviewed, and the scoring's position when it scored: `looked_at` said both.

The version before goes on while this one starts: it reads and writes `looked_at`, and a trigger keeps both columns equal. A later
version drops `looked_at` and the triggers. Building the index makes writes to `feedback` wait for a moment.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026_reviewed_at"
down_revision = "0025_provider_keys"
branch_labels = None
depends_on = None

RENAMED = {"feedback": "reviewed_at", "eval_position": "scored_at"}
TIME = sa.DateTime(timezone=True)


def _new_bad(column: str) -> sa.TextClause:
    return sa.text(f"{column} IS NULL AND rating::text = 'bad'::text")


def upgrade() -> None:
    op.add_column("feedback", sa.Column("reviewed_at", TIME, nullable=True, comment="when the evals took it up"))
    op.add_column("eval_position", sa.Column("scored_at", TIME, nullable=True, comment="when the last round ended"))
    for table, column in RENAMED.items():
        op.execute(f"UPDATE {table} SET {column} = looked_at")  # noqa: S608 - names of ours
        op.execute(f"""
            CREATE FUNCTION {table}_looked_at() RETURNS trigger LANGUAGE plpgsql AS $$
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
            CREATE TRIGGER {table}_looked_at BEFORE INSERT OR UPDATE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_looked_at()
        """)
    op.alter_column("eval_position", "scored_at", nullable=False)
    op.create_index("feedback_unreviewed", "feedback", ["at"], postgresql_where=_new_bad("reviewed_at"))
    op.drop_index("feedback_new", table_name="feedback")


def downgrade() -> None:
    op.create_index("feedback_new", "feedback", ["at"], postgresql_where=_new_bad("looked_at"))
    op.drop_index("feedback_unreviewed", table_name="feedback")
    for table, column in RENAMED.items():
        op.execute(f"DROP TRIGGER {table}_looked_at ON {table}")
        op.execute(f"DROP FUNCTION {table}_looked_at()")
        op.drop_column(table, column)
