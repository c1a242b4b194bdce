"""Sessions of people who sign in at a provider of identities, calls marked for the evals, and steps of a request.

The columns of calls have no default: no row is rewritten.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042_people_and_marks"
down_revision = "0040_console_sessions"
branch_labels = None
depends_on = None

COLUMNS = (
    ("issuer", sa.Text(), "of the person who signed in, where no key did"),
    ("subject", sa.Text(), "the person there, redacted"),
    ("person", sa.Text(), "the name that the issuer gives"),
    ("login", sa.String(64), "SHA-256 of the sign-in's state: one session each"),
)
BEFORE = (("key_id", "of the API key that signed in"), ("tenant", "whose key it is"))


def upgrade() -> None:
    for column, kind, comment in COLUMNS:
        op.add_column("console_sessions", sa.Column(column, kind, nullable=True, comment=comment))
    for column, comment in BEFORE:
        op.alter_column("console_sessions", column, comment=f"{comment}; empty for a person", existing_comment=comment)
    op.create_unique_constraint("console_sessions_login_key", "console_sessions", ["login"])
    op.add_column("calls", sa.Column("before_ms", sa.Float(), nullable=True, comment="from the request's arrival to this call"))
    steps = "retrieval and tools since the request's last call, as JSON; null for none"
    op.add_column("calls", sa.Column("steps", sa.Text(), nullable=True, comment=steps))
    op.create_table(
        "eval_marks",
        sa.Column("call_id", sa.String(64), primary_key=True, comment="the call that an operator marked"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="of the call"),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="the operator's reason, redacted"),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True, comment="when a round took it up"),
        sa.Column("candidate", sa.BigInteger(), nullable=True, comment="that it became; null: no suite could read the call"),
    )
    op.create_index("eval_marks_at", "eval_marks", ["at"])
    op.create_index("eval_marks_user", "eval_marks", ["user", "tenant"])


def downgrade() -> None:
    op.drop_table("eval_marks")
    for column in ("steps", "before_ms"):
        op.drop_column("calls", column)
    for column, _, _ in COLUMNS:
        op.drop_column("console_sessions", column)
    for column, comment in BEFORE:
        op.alter_column("console_sessions", column, comment=comment, existing_comment=f"{comment}; empty for a person")
