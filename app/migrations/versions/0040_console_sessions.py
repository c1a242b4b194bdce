"""Sessions of the console."""

import sqlalchemy as sa
from alembic import op

revision = "0040_console_sessions"
down_revision = "0037_incidents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_sessions",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="HMAC-SHA256 of the cookie's token"),
        sa.Column("key_id", sa.String(16), nullable=False, comment="of the API key that signed in"),
        sa.Column("tenant", sa.String(64), nullable=False, comment="whose key it is"),
        sa.Column("role", sa.String(16), nullable=False, comment="viewer or operator"),
        sa.Column("browser", sa.Text(), nullable=False, comment="as it names itself, redacted"),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False, comment="to the minute"),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False, comment="however much it is used"),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
    )
    op.create_index("console_sessions_ends", "console_sessions", ["ends_at"])


def downgrade() -> None:
    op.drop_table("console_sessions")
