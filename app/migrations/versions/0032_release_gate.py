"""Eval results by manifest, and what an activation lacked when an operator forced it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0032_release_gate"
down_revision = "0031_canaries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "eval_runs", sa.Column("manifest", sa.String(64), nullable=True, comment="sha256 of the manifest that answered")
    )
    op.add_column("eval_runs", sa.Column("result", JSONB(), nullable=True, comment="what the gate of an activation reads"))
    op.create_index("eval_runs_manifest", "eval_runs", ["manifest"])
    for table in ("activations", "canaries"):
        op.add_column(table, sa.Column("unproven", JSONB(), nullable=True, comment="the eval results that it lacked; null: none"))


def downgrade() -> None:
    for table in ("canaries", "activations"):
        op.drop_column(table, "unproven")
    op.drop_index("eval_runs_manifest", "eval_runs")
    op.drop_column("eval_runs", "result")
    op.drop_column("eval_runs", "manifest")
