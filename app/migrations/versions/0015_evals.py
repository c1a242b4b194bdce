"""Eval runs and how each case went."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015_evals"
down_revision = "0014_key_rotation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "eval_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False, comment="the release that answered"),
        sa.Column("label", sa.Text(), nullable=False, comment="what answered: the simulator, or real models"),
        sa.Column("replay", sa.Boolean(), nullable=False, comment="whether it was a recording"),
        sa.Column("code", sa.Integer(), nullable=False, comment="0 passed, 1 below or worse, 2 not judged"),
        sa.Column("passed", sa.Float(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cost_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("report", postgresql.JSONB(), nullable=False, comment="without its cases"),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("eval_runs_release", "eval_runs", ["release", "at"])
    op.create_table(
        "eval_results",
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("case", sa.String(length=128), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("failure_mode", sa.String(length=64), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False, comment="redacted"),
        sa.Column("broken", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["eval_runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "case", "trial"),
    )


def downgrade() -> None:
    op.drop_table("eval_results")
    op.drop_table("eval_runs")
