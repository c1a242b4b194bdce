"""A tenant's pattern that was removed stays as long as records that it wrote: erasing needs it to find them."""

import sqlalchemy as sa
from alembic import op

revision = "0017_retired_patterns"
down_revision = "0016_eval_loop"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "redaction_patterns",
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True, comment="since when it is in force no more"),
    )
    op.drop_constraint("redaction_patterns_tenant_id_name_key", "redaction_patterns", type_="unique")
    op.create_index(
        "redaction_patterns_in_force",
        "redaction_patterns",
        ["tenant_id", "name"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM redaction_patterns WHERE removed_at IS NOT NULL")
    op.drop_index("redaction_patterns_in_force", "redaction_patterns")
    op.create_unique_constraint("redaction_patterns_tenant_id_name_key", "redaction_patterns", ["tenant_id", "name"])
    op.drop_column("redaction_patterns", "removed_at")
