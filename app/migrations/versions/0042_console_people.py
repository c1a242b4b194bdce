"""Sessions of people who sign in at a provider of identities, without an API key."""

import sqlalchemy as sa
from alembic import op

revision = "0042_console_people"
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


def downgrade() -> None:
    for column, _, _ in COLUMNS:
        op.drop_column("console_sessions", column)
    for column, comment in BEFORE:
        op.alter_column("console_sessions", column, comment=comment, existing_comment=f"{comment}; empty for a person")
