"""Eval results by manifest, what an activation lacked, scores of production as a metric of canaries, and shadows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0032_release_gate"
down_revision = "0031_canaries"
branch_labels = None
depends_on = None

OF_USER = "of the user's request, which the live release answered"
BEFORE = "{failed,slow,dear,refused,rated_bad}"  # the metrics of all canaries so far


def upgrade() -> None:
    op.add_column(
        "eval_runs", sa.Column("manifest", sa.String(64), nullable=True, comment="sha256 of the manifest that answered")
    )
    op.add_column("eval_runs", sa.Column("result", JSONB(), nullable=True, comment="what the gate of an activation reads"))
    op.create_index("eval_runs_manifest", "eval_runs", ["manifest"])
    for table in ("activations", "canaries"):
        op.add_column(table, sa.Column("unproven", JSONB(), nullable=True, comment="the eval results that it lacked; null: none"))
    names = ARRAY(sa.String(16))
    op.add_column("canaries", sa.Column("metrics", names, nullable=False, comment="that judge it", server_default=BEFORE))
    comment = "whether its sample took no regard of the release"
    op.add_column("eval_scores", sa.Column("fair", sa.Boolean(), nullable=False, comment=comment, server_default="false"))
    op.create_table(
        "shadows",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("release", sa.String(64), sa.ForeignKey("manifests.id"), nullable=False),
        sa.Column("against", sa.String(64), sa.ForeignKey("manifests.id"), nullable=False, comment="what was live at its start"),
        sa.Column("state", sa.String(16), nullable=False, comment="running or stopped"),
        sa.Column("share", sa.Float(), nullable=False, comment="of the calls"),
        sa.Column("budget", sa.BigInteger(), nullable=False, comment="micro-dollars that its answers may cost"),
        sa.Column("spent", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(128), nullable=True),
        sa.Column("why", sa.Text(), nullable=True, comment="why it ended"),
    )
    op.create_index("shadows_running", "shadows", ["state"], unique=True, postgresql_where=sa.text("state = 'running'"))
    op.create_table(
        "shadow_answers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("shadow", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False, comment=OF_USER),
        sa.Column("feature", sa.String(64), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("prompt", sa.String(128), nullable=True),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False, comment="micro-dollars"),
        sa.Column("degraded", ARRAY(sa.Text()), nullable=False),
        sa.Column("request", sa.Text(), nullable=True, comment="redacted; null: thrown away"),
        sa.Column("response", sa.Text(), nullable=True, comment="the same"),
        sa.Column("passed", sa.Boolean(), nullable=True, comment="null: not scored"),
    )
    op.create_index("shadow_answers_shadow", "shadow_answers", ["shadow", "at"])
    waiting = sa.text("request IS NOT NULL")
    op.create_index("shadow_answers_waiting", "shadow_answers", ["at"], postgresql_where=waiting)
    op.create_index("shadow_answers_user", "shadow_answers", ["user", "tenant"])


def downgrade() -> None:
    op.drop_table("shadow_answers")
    op.drop_table("shadows")
    op.drop_column("eval_scores", "fair")
    op.drop_column("canaries", "metrics")
    for table in ("canaries", "activations"):
        op.drop_column(table, "unproven")
    op.drop_index("eval_runs_manifest", "eval_runs")
    op.drop_column("eval_runs", "result")
    op.drop_column("eval_runs", "manifest")
