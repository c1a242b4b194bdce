"""The state of a session that our statements are written for, whatever the server, the database or the role sets by default.

psycopg reads timestamps in the form of ISO alone and fails on any other; money is counted under READ COMMITTED.
"""

import logging

ENCODING = {"client_encoding": "utf8"}  # an option of the connection: what follows may come too late for it
SESSION = (
    "SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
    "SET default_transaction_isolation = 'read committed'"
)
STATEMENT_SECONDS = 10.0  # Postgres itself ends a statement then, unless its transaction sets another limit
LOCK_SECONDS = 2.0  # and then a wait for a lock: a table that a migration has locked must not take up the pool
LIMITS = f"SET statement_timeout = {STATEMENT_SECONDS * 1000:.0f}; SET lock_timeout = {LOCK_SECONDS * 1000:.0f}; "
# SQLSTATEs that psycopg does not count as the server's: a replica or a primary that was demoted; its limits on idle and on long
# transactions, which end the session; a statement that a session has prepared and a migration, or a pooler, has made void; a
# session of a pooler that has another client's statements or search_path (psycopg/psycopg#911, pgbouncer/pgbouncer#452, #1313).
ENDED = frozenset({"25006", "25P03", "25P04", "0A000", "26000", "42P05", "42P01", "3F000"})
# The role has lost a right, or the schema is another version's.
REFUSED = frozenset({"42501", "42703"})
# Classes of errors that a statement of ours or its values may be at fault for. Any other, of the standard or of a server that
# only speaks its protocol, is the server's: a broken disk, a pooler's own code, a trigger or an extension of the operator's.
OF_STATEMENTS = frozenset({"20", "21", "22", "23", "24", "42", "44"})
BACKEND = "SELECT pg_backend_pid()"
log = logging.getLogger(__name__)


def of_server(sqlstate: str | None) -> bool:
    """Whether an error is the server's, whatever the statement was."""
    return bool(sqlstate) and str(sqlstate)[:2] not in OF_STATEMENTS


def refuses(sqlstate: str | None) -> bool:
    """Whether a server with this SQLSTATE counts as away: what it refuses now, it may take later."""
    return sqlstate in ENDED or sqlstate in REFUSED or of_server(sqlstate)


class Sessions:
    """Whether connections keep their sessions: a pooler may be switched while the service runs (`app/stack/pooling.py`)."""

    def __init__(self) -> None:
        """They do."""
        self._shared = False

    def shared_by(self, before: int, now: int) -> bool:
        """Whether one was ever seen on another backend than ``before``, which is 0 where it is not known."""
        if before not in (0, now) and not self._shared:
            self._shared = True
            log.error(
                "a pooler before Postgres gives each transaction another session: no statement is prepared any more, or another"
                " client's would run. Use the pooler's session mode, and restart"
            )
        return self._shared
