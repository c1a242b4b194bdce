"""The texts of errors, a call's own and its attempts', are searched.

The column has no default, so no row is rewritten: records from before are found by the codes of their errors alone. The index is
built over a new column, so it begins empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0043_errors_searched"
down_revision = "0042_people_and_marks"
branch_labels = None
depends_on = None

VECTOR = """to_tsvector('simple'::regconfig, translate("left"(errors, 50000), '<>'::text, '  '::text))"""


def upgrade() -> None:
    comment = "the texts of its error and its attempts' errors, to search in; null for none"
    op.add_column("calls", sa.Column("errors", sa.Text(), nullable=True, comment=comment))
    op.create_index(
        "calls_errors", "calls", [sa.text(VECTOR)], postgresql_using="gin", postgresql_where=sa.text("errors IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("calls_errors", table_name="calls")
    op.drop_column("calls", "errors")
