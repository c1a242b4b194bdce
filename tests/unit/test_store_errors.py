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


# As Postgres 15 writes them: a server that is full, one that is starting, and one that refuses a password.
LANGUAGES = {
    "de": ("FATAL:  tut mir leid, schon zu viele Verbindungen", "FATAL:  das Datenbanksystem startet", "FATAL:  Passwort"),
    "es": (
        "FATAL:  lo siento, ya tenemos demasiados clientes",
        "FATAL:  el sistema de base de datos está iniciándose",
        "FATAL:  la",
    ),
    "fr": ("FATAL:  désolé, trop de clients sont déjà connectés", "FATAL:  le système de bases de données se lance", "FATAL:  a"),
    "it": ("FATALE:  spiacente, troppi client già connessi", "FATALE:  il database si sta avviando", "FATALE:  autenticazione"),
    "ja": ("FATAL:  現在クライアント数が多すぎます", "FATAL:  データベースシステムは起動処理中です", "FATAL:  ユーザー"),
    "ko": (
        "치명적오류:  최대 동시 접속자 수를 초과했습니다.",
        "치명적오류:  데이터베이스 시스템이 새로 가동 중입니다.",
        "치명적오류:  사용자",
    ),
    "ru": ("ВАЖНО:  извините, уже слишком много клиентов", "ВАЖНО:  система баз данных запускается", "ВАЖНО:  пользователь"),
    "sv": ("FATALT:  ledsen, för många klienter", "FATALT:  databassystemet startar upp", "FATALT:  lösenord"),
    "uk": ("ФАТАЛЬНО:  вибачте, вже забагато клієнтів", "ФАТАЛЬНО:  система бази даних запускається", "ФАТАЛЬНО:  пароль"),
    "zh": ("致命错误:  对不起, 已经有太多的客户", "致命错误:  数据库系统启动中", "致命错误:  用户"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_server_that_speaks_another_language_gets_the_sentence_of_an_english_one(language: str) -> None:
    said = [of_store(of_postgres(psycopg.OperationalError(f"connection failed: {words}"))) or "" for words in LANGUAGES[language]]
    begins = ("Postgres takes no more connections", "Postgres does not answer", "Postgres refuses this")
    assert [sentence.startswith(begin) for sentence, begin in zip(said, begins, strict=True)] == [True] * 3
