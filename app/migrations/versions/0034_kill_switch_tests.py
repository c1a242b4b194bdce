"""The kill switch's messages to callers and its self-tests; triggers of a rollback."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0034_kill_switch_tests"
down_revision = "0033_code_versions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "stops", sa.Column("message", sa.String(200), nullable=False, server_default="", comment="what callers read besides")
    )
    op.create_table(
        "switch_sightings",
        sa.Column("worker", sa.String(255), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="of the newest flip of the self-test that it has seen"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="by Postgres' clock"),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "switch_tests",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("by", sa.String(128), nullable=False, comment="an operator, or octant for the daily one"),
        sa.Column("passed", sa.Boolean(), nullable=True, comment="null: it runs, or its worker died"),
        sa.Column("flips", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("workers", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("p50", sa.Float(), nullable=True, comment="seconds from a flip until a worker has seen it"),
        sa.Column("p99", sa.Float(), nullable=True),
        sa.Column("slowest", sa.Float(), nullable=True),
        sa.Column(
            "missing", ARRAY(sa.String(255)), nullable=False, server_default="{}", comment="workers that did not see a flip"
        ),
        sa.Column("problem", sa.Text(), nullable=False, server_default="", comment="why it failed"),
    )
    op.create_table(
        "triggers",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("kind", sa.String(16), nullable=False, comment="eval_drift, cost_drift or escalation"),
        sa.Column("subject", sa.String(128), nullable=False, comment="a feature; of an escalation, a tenant"),
        sa.Column("key", sa.String(160), nullable=False, unique=True, comment="one finding is stored once"),
        sa.Column("text", sa.Text(), nullable=False, comment="what was found, or what the customer says, redacted"),
        sa.Column("by", sa.String(128), nullable=False, comment="an operator, or octant"),
        sa.Column("release", sa.String(64), nullable=False, comment="what was live then; empty: nothing"),
        sa.Column("command", sa.Text(), nullable=False, comment="the rollback to run; empty where there is no way back"),
        sa.Column("evidence", JSONB(), nullable=False, comment="figures and ids of records, no texts of calls"),
    )


def downgrade() -> None:
    op.drop_table("triggers")
    op.drop_table("switch_tests")
    op.drop_table("switch_sightings")
    op.drop_column("stops", "message")
