"""Eval results by manifest, what an activation lacked, and scores of production as a metric of canaries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0032_release_gate"
down_revision = "0031_canaries"
branch_labels = None
depends_on = None

BEFORE = "{failed,slow,dear,refused,rated_bad}"  # the metrics of all canaries so far


def upgrade() -> None:
    op.add_column(
        "eval_runs", sa.Column("manifest", sa.String(64), nullable=True, comment="sha256 of the manifest that answered")
    )
    op.add_column("eval_runs", sa.Column("result", JSONB(), nullable=True, comment="what the gate of an activation reads"))
    op.create_index("eval_runs_manifest", "eval_runs", ["manifest"])
    for table in ("activations", "canaries"):
        op.add_column(table, sa.Column("unproven", JSONB(), nullable=True, comment="the eval results that it lacked; null: none"))
    judged_by = sa.Column("metrics", ARRAY(sa.String(16)), nullable=False, comment="that judge it", server_default=BEFORE)
    op.add_column("canaries", judged_by)
    comment = "whether its sample took no regard of the release"
    op.add_column("eval_scores", sa.Column("fair", sa.Boolean(), nullable=False, comment=comment, server_default="false"))


def downgrade() -> None:
    op.drop_column("eval_scores", "fair")
    op.drop_column("canaries", "metrics")
    for table in ("canaries", "activations"):
        op.drop_column(table, "unproven")
    op.drop_index("eval_runs_manifest", "eval_runs")
    op.drop_column("eval_runs", "result")
    op.drop_column("eval_runs", "manifest")
