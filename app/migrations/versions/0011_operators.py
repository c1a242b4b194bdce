"""What operators did, chained and append-only; who asked to be forgotten, and the one change that the ledger takes for them."""

import sqlalchemy as sa
from alembic import op

revision = "0011_operators"
down_revision = "0010_found"
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE FUNCTION actions_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log of operators'' actions is append-only'; END $$
"""
TRIGGER = """
CREATE TRIGGER actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON actions
FOR EACH STATEMENT EXECUTE FUNCTION actions_are_append_only()
"""
HEAD_STAYS = """
CREATE TRIGGER actions_head_stays BEFORE DELETE OR TRUNCATE ON actions_head
FOR EACH STATEMENT EXECUTE FUNCTION actions_are_append_only()
"""

# The ledger takes one change: a user's id becomes a pseudonym, by this function, in rows that say the same otherwise.
LEDGER = (
    "DROP TRIGGER ledger_append_only ON ledger",
    """
CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('octant.forgetting', true) = 'on'
        AND NEW."user" ~ '^user#[0-9a-f]{24}$' AND to_jsonb(NEW) - 'user' = to_jsonb(OLD) - 'user' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only';
END $$
""",
    "CREATE TRIGGER ledger_append_only BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()",
    """
CREATE TRIGGER ledger_nothing_goes BEFORE DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()
""",
    """
CREATE FUNCTION ledger_forget(of_tenant text, users text[], pseudonym text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    PERFORM set_config('octant.forgetting', 'on', true);
    UPDATE ledger SET "user" = pseudonym WHERE tenant = of_tenant AND "user" = ANY(users);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM set_config('octant.forgetting', 'off', true);
    RETURN changed;
END $$
""",
)
BEFORE = (
    "DROP FUNCTION ledger_forget(text, text[], text)",
    "DROP TRIGGER ledger_nothing_goes ON ledger",
    "DROP TRIGGER ledger_append_only ON ledger",
    """
CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$
""",
    """
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()
""",
)


def upgrade() -> None:
    op.create_table(
        "actions",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False, comment="without gaps: the place in the chain"),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="os:user@host or key:id"),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False, comment="ok or an error's code"),
        sa.Column("mac", sa.String(length=64), nullable=False, comment="HMAC-SHA256 of the row and of the mac before it"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "actions_head",
        sa.Column("one", sa.Boolean(), nullable=False, comment="true: there is one row"),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="of the newest action"),
        sa.Column("mac", sa.String(length=64), nullable=False, comment="HMAC-SHA256 of the newest action's number and mac"),
        sa.PrimaryKeyConstraint("one"),
    )
    for statement in (APPEND_ONLY, TRIGGER, HEAD_STAYS):
        op.execute(statement)
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=False, comment="pseudonym: the id itself is forgotten"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="records of calls up to here are not written"),
        sa.PrimaryKeyConstraint("tenant", "person"),
    )
    for statement in LEDGER:
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
    for table in ("erasures", "actions_head", "actions"):
        op.drop_table(table)
    op.execute("DROP FUNCTION actions_are_append_only()")
