"""Run by Alembic: online only, on the URL that `app.migrations` hands over."""

import logging

from alembic import context
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import OperationalError

from app.domain.errors import Misconfigured
from app.domain.postgres_session import ENCODING, SESSION
from app.migrations import PATIENCE
from app.migrations.metadata import METADATA

LOCK = 0x0C7A47  # any number of our own: two replicas starting at once migrate one after the other
UNLIMITED = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"  # a migration takes what it takes

log = logging.getLogger(__name__)


def take_turn(connection: Connection) -> None:
    """Wait for another process that migrates, and say so. Raises Misconfigured where it does not end."""
    if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}).scalar_one():
        return
    log.warning("Another process migrates this database; waiting for its end.")
    connection.execute(text(f"SET lock_timeout = '{PATIENCE:.0f}s'"))
    try:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise Misconfigured(
            f"Another process has been migrating this database for {PATIENCE:.0f} seconds, or hangs: look for its session in"
            " pg_stat_activity (it holds an advisory lock), and run `octant migrate` again."
        ) from error
    connection.execute(text("RESET lock_timeout"))


engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool, connect_args={"connect_timeout": 5, **ENCODING})
with engine.connect() as connection:
    connection.execute(text(f"{UNLIMITED}; {SESSION}"))
    connection.commit()
    take_turn(connection)
    connection.commit()
    context.configure(connection=connection, target_metadata=METADATA, compare_type=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
