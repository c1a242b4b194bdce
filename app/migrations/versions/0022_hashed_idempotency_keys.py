"""Idempotency keys are kept as keyed hashes. The service hashes those that are there: the database does not know the secret.

Going back, a key that was hashed is forgotten: the older version looks for it as it was sent, and would keep it without use.
"""

from alembic import op

revision = "0022_hashed_idempotency_keys"
down_revision = "0021_jobs_lost"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("COMMENT ON COLUMN idempotency_keys.key IS 'h1: and HMAC-SHA256 of tenant, user and key as sent'")


def downgrade() -> None:
    op.execute("DELETE FROM idempotency_keys WHERE key LIKE 'h1:%' AND status IS NOT NULL")
    op.execute("COMMENT ON COLUMN idempotency_keys.key IS 'as the caller sent it'")
