"""Words on a store's error: for an operator's terminal, and for a line in the logs."""

import psycopg
import pytest
from redis.exceptions import AuthenticationError, MovedError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as ValkeyConnectionError
from sqlalchemy.exc import DataError, OperationalError, StatementError

from app.domain.errors import DependencyUnavailable
from app.domain.store_errors import of_store, why


def of_postgres(error: psycopg.Error) -> OperationalError:
    return OperationalError("SELECT", None, error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (of_postgres(psycopg.OperationalError("refused")), "Postgres does not answer; look at OCTANT_DATABASE_URL. (refused)"),
        (
            of_postgres(psycopg.errors.QueryCanceled("too slow")),
            "Postgres refuses this; look at OCTANT_DATABASE_URL. (too slow)",
        ),
        (of_postgres(psycopg.errors.AdminShutdown("bye")), "Postgres does not answer; look at OCTANT_DATABASE_URL. (bye)"),
        (
            of_postgres(psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "x"')),
            (
                "Postgres refuses this; look at OCTANT_DATABASE_URL. "
                '(connection failed: FATAL:  password authentication failed for user "x")'
            ),
        ),
        (
            of_postgres(psycopg.OperationalError("FATAL:  the database system is starting up")),
            "Postgres does not answer; look at OCTANT_DATABASE_URL. (FATAL:  the database system is starting up)",
        ),
        *(
            (
                of_postgres(psycopg.OperationalError(words)),
                (
                    "Postgres takes no more connections, as all are used: `octant runbook too many clients` says how to find "
                    f"their holder. ({words})"
                ),
            )
            for words in (
                "FATAL:  sorry, too many clients already",
                "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
                'FATAL:  too many connections for role "octant"',
                "FATAL:  no more connections allowed (max_client_conn)",  # PgBouncer
            )
        ),
        (ValkeyConnectionError("no such host"), "Valkey does not answer; look at OCTANT_VALKEY_URL. (no such host)"),
        (AuthenticationError("wrong password"), "Valkey refuses this; look at OCTANT_VALKEY_URL. (wrong password)"),
        (
            MovedError("13907 127.0.0.1:6379"),
            (
                "Valkey refuses this; look at OCTANT_VALKEY_URL. "
                "(this server is one of a cluster, and holds some keys alone: the service needs one that holds all)"
            ),
        ),
        (ReadOnlyError("a replica"), "Valkey refuses this; look at OCTANT_VALKEY_URL. (a replica)"),
    ],
)
def test_a_store_that_answers_no_is_not_said_to_be_away(error: Exception, said: str) -> None:
    assert of_store(error) == said


def test_a_log_line_has_the_reason_of_a_store_and_no_value_that_it_quotes() -> None:
    assert why(ValkeyConnectionError("CERTIFICATE_VERIFY_FAILED\nmore")) == {
        "error_type": "ConnectionError",
        "reason": "CERTIFICATE_VERIFY_FAILED",
    }
    assert (
        why(psycopg.errors.ReadOnlySqlTransaction("read-only"))["reason"] == "read-only"
    )  # of a copy, which SQLAlchemy does not see
    full = OperationalError("SELECT", None, psycopg.OperationalError("FATAL: sorry, too many clients already"))
    assert why(full) == {"error_type": "OperationalError", "reason": "FATAL: sorry, too many clients already"}
    assert why(StatementError("INSERT 'Ada'", "", None, ValueError("'Ada'"))) == {"error_type": "StatementError"}
    assert why(DependencyUnavailable("Not read yet."))["reason"] == "Not read yet."
    assert why(PermissionError(13, "Permission denied", "/secret"))["reason"] == "Permission denied"
    assert why(DataError("INSERT", None, psycopg.DataError("invalid: 'Ada'"))) == {"error_type": "DataError"}
    quoted = psycopg.errors.InvalidTextRepresentation("invalid input syntax for type json: 'Ada'")
    assert why(quoted) == {"error_type": "InvalidTextRepresentation"}
    unknown = ResponseError("unknown command 'EVALSHA', with args beginning with: 'octant:acme:user:ada'")
    assert why(unknown)["reason"] == "unknown command 'EVALSHA'"
    assert why(ValueError("Ada")) == {"error_type": "ValueError"}
