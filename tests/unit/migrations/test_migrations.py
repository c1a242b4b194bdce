"""The migrations lead to the schema of the code, and back, on a real Postgres."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from app import migrations
from app.domain.errors import Misconfigured
from app.features.installed import installed
from app.migrations.metadata import METADATA


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """A database of its own on the tests' server."""
    server = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE migrating"))
    yield make_url(database_url).set(database="migrating").render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE migrating WITH (FORCE)"))
    server.dispose()


PARTITION = re.compile(r"(calls|attempts)_\d{8}\Z")


def tables_of(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    return {name for name in inspect(engine).get_table_names() if not PARTITION.match(name)} - {"alembic_version"}


def test_the_migrated_schema_is_what_the_code_declares(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    with create_engine(empty_database, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []  # type: ignore[arg-type] # a list is documented
    assert migrations.current(empty_database) == migrations.newest()


def test_every_revision_can_be_taken_back(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    migrations.downgrade(empty_database)
    assert tables_of(empty_database) == set()
    assert migrations.current(empty_database) == ()
    migrations.upgrade(empty_database)
    assert tables_of(empty_database) == {name for metadata in METADATA for name in metadata.tables}


def test_a_products_tables_go_alone_and_leave_the_rest(empty_database: str) -> None:
    """A fork deletes a product with its revisions."""
    migrations.upgrade(empty_database)
    for feature in installed():
        if feature.tables:
            before = tables_of(empty_database)
            migrations.downgrade(empty_database, f"{feature.name}@base")
            assert before - tables_of(empty_database) == set(feature.tables().metadata.tables)
    assert {"tenants", "api_keys", "calls", "attempts", "manifests", "activations"} <= tables_of(empty_database)


def test_workers_that_start_together_migrate_one_after_the_other(empty_database: str) -> None:
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(_upgrade_as_another_process, empty_database)
        _upgrade_as_another_process(empty_database)
        theirs.result(timeout=120)
    assert migrations.current(empty_database) == migrations.newest()


def test_upgrading_what_is_up_to_date_changes_nothing(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    before = tables_of(empty_database)
    migrations.upgrade(empty_database)
    assert tables_of(empty_database) == before


def _upgrade_as_another_process(url: str) -> None:
    """Alembic's context is one for a process."""
    import subprocess
    import sys

    code = "import sys; from app.migrations import upgrade; upgrade(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=120)


def test_a_role_that_may_not_change_the_schema_is_said_so(empty_database: str) -> None:
    server = create_engine(empty_database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text("CREATE ROLE reader LOGIN"))
        try:
            with pytest.raises(Misconfigured, match=r"migrate as the owner of its tables.*permission denied for schema public"):
                migrations.upgrade(make_url(empty_database).set(username="reader").render_as_string(hide_password=False))
        finally:
            connection.execute(text("DROP ROLE reader"))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(database_url: str, encoding: str) -> None:
    """Latin 1 lacks letters of our own comments; SQL_ASCII counts bytes and cuts letters (postgresql.org, multibyte)."""
    server = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE elsewhere ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    try:
        with pytest.raises(Misconfigured, match=f"encoded in {encoding}, and .* ENCODING 'UTF8'"):
            migrations.upgrade(make_url(database_url).set(database="elsewhere").render_as_string(hide_password=False))
    finally:
        with server.connect() as connection:
            connection.execute(text("DROP DATABASE elsewhere WITH (FORCE)"))
        server.dispose()


def test_a_migration_that_hangs_elsewhere_is_waited_for_with_a_limit(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another container that migrates is no error; one that never ends must not keep this one silent for ever."""
    monkeypatch.setattr(migrations, "PATIENCE", 1.0)
    with create_engine(empty_database, poolclass=NullPool).connect() as other:
        other.execute(text(f"SELECT pg_advisory_lock({0x0C7A47})"))
        with pytest.raises(Misconfigured, match=r"for 1 seconds, or hangs: look for its session in pg_stat_activity"):
            migrations.upgrade(empty_database)
        assert "Another process migrates this database" in caplog.text
        other.execute(text("SELECT pg_advisory_unlock_all()"))
        migrations.upgrade(empty_database)
        other.execute(text(f"SELECT pg_advisory_lock({0x0C7A47})"))
        migrations.upgrade(empty_database)  # there is nothing to do, so nothing to wait for
