"""Canaries of releases: one at a time, its users counted once a metric."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0031_canaries"
down_revision = "0030_release_files"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("release", sa.String(64), sa.ForeignKey("manifests.id"), nullable=False),
        sa.Column("against", sa.String(64), sa.ForeignKey("manifests.id"), nullable=False, comment="what was live at its start"),
        sa.Column("state", sa.String(16), nullable=False, comment="running, stopped or promoted"),
        sa.Column("shares", ARRAY(sa.Float()), nullable=False, comment="of the users, one for each step so far"),
        sa.Column("tenants", ARRAY(sa.String(64)), nullable=False, comment="that always get it, and are not judged"),
        sa.Column("limits", JSONB(), nullable=False, comment="the live release's p95 of latency and cost, by target"),
        sa.Column("cap", sa.BigInteger(), nullable=False, comment="micro-dollars that the canary's calls may cost"),
        sa.Column("spent", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False, comment="without a verdict then, an operator decides"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(128), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True, comment="why it ended"),
        sa.Column("evidence", JSONB(), nullable=True, comment="the counts as they were then"),
    )
    op.create_index("canaries_running", "canaries", ["state"], unique=True, postgresql_where=sa.text("state = 'running'"))
    op.create_table(
        "canary_users",
        sa.Column("canary", sa.BigInteger(), sa.ForeignKey("canaries.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("metric", sa.String(16), primary_key=True, comment="of a bad event, or `seen`"),
        sa.Column("digest", sa.String(32), primary_key=True, comment="a keyed hash of tenant and user"),
        sa.Column("has_canary", sa.Boolean(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("canary_users")
    op.drop_table("canaries")
