"""Run by Alembic: online only, on the URL that `app.migrations` hands over."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from app.migrations.metadata import METADATA

LOCK = 0x0C7A47  # any number of our own: two replicas starting at once migrate one after the other

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool, connect_args={"connect_timeout": 5})
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=METADATA, compare_type=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
