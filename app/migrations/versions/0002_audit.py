"""Records of calls and attempts, with full-text search."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_audit"
down_revision = "0001_security"
branch_labels = None
depends_on = None

SEARCH_VECTOR = (
    r"""to_tsvector('simple'::regconfig, translate(replace(("left"(request, 50000) || ' '::text) || "left"(response, 50000),"""
    r""" '\n'::text, ' '::text), '<>'::text, '  '::text))"""
)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("feature", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("prompt", sa.String(length=128), nullable=True),
        sa.Column("prompt_version", sa.String(length=32), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("model_answered", sa.Text(), nullable=True),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("ttft_ms", sa.Float(), nullable=True),
        sa.Column("overhead_ms", sa.Float(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_input_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("usage_estimated", sa.Boolean(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False, comment="micro-dollars"),
        sa.Column("held", sa.BigInteger(), nullable=False, comment="micro-dollars"),
        sa.Column("fallbacks", sa.Integer(), nullable=False),
        sa.Column("degraded", postgresql.ARRAY(sa.String(length=64)), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("calls_at", "calls", ["at"], unique=False)
    op.create_index(
        "calls_failed_at", "calls", ["outcome", "at"], unique=False, postgresql_where=sa.text("(outcome)::text <> 'ok'::text")
    )
    op.create_index("calls_request", "calls", ["request_id"], unique=False)
    op.create_index("calls_search", "calls", [sa.text(SEARCH_VECTOR)], unique=False, postgresql_using="gin")
    op.create_index("calls_tenant_at", "calls", ["tenant", "at"], unique=False)
    op.create_index("calls_tenant_user_at", "calls", ["tenant", "user", "at"], unique=False)
    op.create_index("calls_trace", "calls", ["trace_id"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_answered", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_ms", sa.Float(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("ttft_ms", sa.Float(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_input_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("usage_estimated", sa.Boolean(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False, comment="micro-dollars"),
        sa.Column("provider_request_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "number"),
    )


def downgrade() -> None:
    op.drop_table("attempts")
    op.drop_index("calls_trace", table_name="calls")
    op.drop_index("calls_tenant_user_at", table_name="calls")
    op.drop_index("calls_tenant_at", table_name="calls")
    op.drop_index("calls_search", table_name="calls", postgresql_using="gin")
    op.drop_index("calls_request", table_name="calls")
    op.drop_index("calls_failed_at", table_name="calls", postgresql_where=sa.text("(outcome)::text <> 'ok'::text"))
    op.drop_index("calls_at", table_name="calls")
    op.drop_table("calls")
