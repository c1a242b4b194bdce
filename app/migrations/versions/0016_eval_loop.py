"""Feedback on answers, and what the evals make of calls in production."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_eval_loop"
down_revision = "0015_evals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column(
            "request_id", sa.String(length=128), nullable=False, comment="of the answer; its record may come later, or be gone"
        ),
        sa.Column("user", sa.Text(), nullable=False, comment="empty where the tenant named nobody"),
        sa.Column("rating", sa.String(length=8), nullable=False, comment="good or bad"),
        sa.Column("comment", sa.Text(), nullable=False, comment="redacted"),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True, comment="when the evals made of it what could be made"),
        sa.PrimaryKeyConstraint("tenant", "request_id", "user"),
    )
    op.create_index("feedback_at", "feedback", ["at"])
    op.create_index("feedback_tenant_at", "feedback", ["tenant", "at"])
    new = sa.text("looked_at IS NULL AND rating::text = 'bad'::text")
    op.create_index("feedback_new", "feedback", ["at"], postgresql_where=new)
    op.create_table(
        "eval_scores",
        sa.Column("call_id", sa.String(length=64), nullable=False, comment="the last pass of the request"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="of that call"),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("feature", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False, comment="scorer and words, from redacted text"),
        sa.PrimaryKeyConstraint("call_id"),
    )
    op.create_index("eval_scores_at", "eval_scores", ["at"])
    op.create_index("eval_scores_user", "eval_scores", ["user", "tenant"])
    op.create_table(
        "eval_candidates",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False, comment="of the question as it is compared"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="of the call it was last seen in"),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("feature", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column(
            "reasons", postgresql.ARRAY(sa.String(length=32)), nullable=False,
            comment="low_score, user_feedback, guard_flag, hand_over",
        ),
        sa.Column("times", sa.Integer(), nullable=False, comment="requests it was seen in"),
        sa.Column("asked", postgresql.JSONB(), nullable=False, comment="what was asked, redacted"),
        sa.Column("seen", postgresql.JSONB(), nullable=False, comment="what came of it, redacted"),
        sa.Column("state", sa.String(length=16), server_default="new", nullable=False, comment="new, promoted or dismissed"),
        sa.Column("case", sa.String(length=128), nullable=True, comment="that it was promoted to"),
        sa.Column("why", sa.Text(), nullable=True, comment="it was dismissed"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )  # fmt: skip
    op.create_index("eval_candidates_state", "eval_candidates", ["state", "at"])
    op.create_index("eval_candidates_user", "eval_candidates", ["user", "tenant"])
    op.create_table(
        "eval_position",
        sa.Column("one", sa.Boolean(), nullable=False, comment="true: there is one row"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, comment="calls that began up to here are done with"),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False, comment="when the last round ended"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "eval_drift",
        sa.Column("feature", sa.String(length=64), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False, comment="scores since the test began anew"),
        sa.Column("mean", sa.Float(), nullable=False, comment="share of them that failed"),
        sa.Column("sum", sa.Float(), nullable=False, comment="Page-Hinkley's cumulated deviation"),
        sa.Column("least", sa.Float(), nullable=False, comment="the least that it was"),
        sa.Column("drifted_at", sa.DateTime(timezone=True), nullable=True, comment="when it last found a change for the worse"),
        sa.PrimaryKeyConstraint("feature"),
    )


def downgrade() -> None:
    for table in ("eval_drift", "eval_position", "eval_candidates", "eval_scores", "feedback"):
        op.drop_table(table)
