"""The schema's history: one revision file per room and change. `octant migrate` and the tests call it; no ``alembic.ini``.

A product's revisions lie in its own folder and are a branch of their own, so that they come and go with it.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, LockNotAvailable, ReadOnlySqlTransaction
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from app.domain.errors import Misconfigured
from app.domain.postgres_session import ENCODING, of_server
from app.domain.store_errors import POSTGRES, away, reason
from app.features.installed import installed

HERE = Path(__file__).resolve().parent
PATIENCE = 600.0  # seconds to wait for another process that migrates
_REFUSED = (InsufficientPrivilege, InvalidSchemaName, ReadOnlySqlTransaction)


def config(database_url: str) -> Config:
    """Alembic's configuration for a database, given as ``postgresql+psycopg://…`` (unix sockets by ``?host=/path``)."""
    made = Config()
    made.set_main_option("script_location", str(HERE).replace("%", "%%"))  # configparser would interpolate a single %
    made.set_main_option("path_separator", "newline")
    folders = (HERE / "versions", *(feature.migrations for feature in installed() if feature.migrations))
    made.set_main_option("version_locations", "\n".join(map(str, folders)).replace("%", "%%"))
    made.attributes["url"] = database_url
    return made


def upgrade(database_url: str, revision: str = "heads") -> None:
    """Bring the schema to ``revision``. Safe to run from several processes at once: they take turns.

    Raises Misconfigured where Postgres does not answer, where another transaction keeps a lock that a migration needs, where the
    role may not change the schema, where newer code migrated the database, and where the database cannot hold every text.
    """
    try:
        present = current(database_url)
        _refuse_unknown(present)
        if revision == "heads" and present == newest():
            return  # without a turn: a pooler by transactions may leave the lock of a process that has ended
        command.upgrade(config(database_url), revision)
    except DBAPIError as error:
        if isinstance(error.orig, _REFUSED):
            raise Misconfigured(
                "The schema cannot be changed here: migrate as the owner of its tables, with CREATE on the schema, on a primary."
                f" ({reason(error)})"
            ) from error
        if isinstance(error.orig, LockNotAvailable):
            message = "Another transaction keeps a table of the migration locked: run `octant migrate` again when it has ended."
            raise Misconfigured(message) from error
        if not isinstance(error, OperationalError) and not of_server(getattr(error.orig, "sqlstate", None)):
            raise
        raise Misconfigured(away(POSTGRES, error)) from error


def _refuse_unknown(present: tuple[str, ...]) -> None:
    """Raise Misconfigured for a schema that this code has no migrations for."""
    known = {script.revision for script in ScriptDirectory.from_config(config("")).walk_revisions()}
    if unknown := sorted(set(present) - known):
        raise Misconfigured(
            f"The database has the schema {', '.join(unknown)}, which this code does not know: newer code migrated it,"
            " or code with another product (`docs/your-own-feature.md`, section 7)."
            " Run that code, or a newer one; a demo's state can be removed with `make reset`."
        )


def downgrade(database_url: str, revision: str = "base") -> None:
    """Take the schema back to ``revision``. Data of the tables that go is lost."""
    command.downgrade(config(database_url), revision)


def current(database_url: str) -> tuple[str, ...]:
    """The revisions that the database has, none for an empty one. Raises Misconfigured where it is not in UTF-8."""
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"connect_timeout": 5, **ENCODING})
    try:
        with engine.connect() as connection:
            encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
            if encoding != "UTF8":  # of another, a text of some caller has no place in it, or is cut in the middle of a letter
                raise Misconfigured(
                    f"The database is encoded in {encoding}, and texts of callers in every script need UTF8:"
                    " CREATE DATABASE octant ENCODING 'UTF8' TEMPLATE template0."
                )
            return tuple(sorted(MigrationContext.configure(connection).get_current_heads()))
    finally:
        engine.dispose()


def newest() -> tuple[str, ...]:
    """The revisions that this code expects."""
    return tuple(sorted(ScriptDirectory.from_config(config("")).get_heads()))
