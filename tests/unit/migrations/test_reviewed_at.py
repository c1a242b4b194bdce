"""While two versions run, each finds its own column filled (0026)."""

from collections.abc import Iterator

import pytest
from conftest import own_database
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from app import migrations
from app.domain.errors import Misconfigured

BEFORE, AFTER, NEXT = "0025_provider_keys", "0026_reviewed_at", "0027_no_evidence"
STAMP = "UPDATE alembic_version SET version_num = :before WHERE version_num LIKE '0027%'"
RATE = """
    INSERT INTO feedback (tenant, request_id, "user", rating, comment, {column}) VALUES ('t', :id, '', 'bad', '', NULL)
    ON CONFLICT (tenant, request_id, "user") DO UPDATE SET {column} = NULL
"""
ROUND = """
    INSERT INTO eval_position (one, until, {column}) VALUES (true, now(), :at)
    ON CONFLICT (one) DO UPDATE SET {column} = excluded.{column}
"""
OLD, NEW = ("looked_at", "looked_at"), ("reviewed_at", "scored_at")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with own_database(database_url, "reviewed") as url:
        engine = create_engine(url, poolclass=NullPool)
        yield engine
        engine.dispose()


def times(engine: Engine, statement: str) -> list[str | None]:
    with engine.connect() as connection:
        return [row and row.isoformat()[:10] for row in connection.execute(text(statement)).one()]


@pytest.mark.parametrize("version", [OLD, NEW], ids=["the version before", "this version"])
def test_what_either_version_writes_both_read(engine: Engine, version: tuple[str, str]) -> None:
    reviewed, scored = version
    with engine.begin() as connection:
        connection.execute(text(RATE.format(column=reviewed)), {"id": "req_1"})
        connection.execute(text(f"UPDATE feedback SET {reviewed} = '2026-11-24'"))  # noqa: S608 - a name of ours
        for day in ("2026-11-24", "2026-11-25"):
            connection.execute(text(ROUND.format(column=scored)), {"at": day})
    assert times(engine, "SELECT looked_at, reviewed_at FROM feedback") == ["2026-11-24"] * 2
    assert times(engine, "SELECT looked_at, scored_at FROM eval_position") == ["2026-11-25"] * 2
    with engine.begin() as connection:
        connection.execute(text(RATE.format(column=reviewed)), {"id": "req_1"})
    assert times(engine, "SELECT looked_at, reviewed_at FROM feedback") == [None, None], "rated again, so reviewed again"


def test_nothing_is_lost_on_the_way_there_and_back(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, BEFORE)
    with engine.begin() as connection:
        connection.execute(text(RATE.format(column="looked_at")), {"id": "req_1"})
        connection.execute(text("UPDATE feedback SET looked_at = '2026-11-24'"))
        connection.execute(text(ROUND.format(column="looked_at")), {"at": "2026-11-24"})
    migrations.upgrade(url)
    assert times(engine, "SELECT reviewed_at FROM feedback") == ["2026-11-24"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE feedback SET reviewed_at = '2026-11-26'"))
        connection.execute(text(ROUND.format(column="scored_at")), {"at": "2026-11-26"})
    migrations.downgrade(url, BEFORE)
    assert times(engine, "SELECT looked_at FROM feedback") == ["2026-11-26"]
    assert times(engine, "SELECT looked_at FROM eval_position") == ["2026-11-26"]


MANY = """
    INSERT INTO feedback (tenant, request_id, "user", rating, comment, {column})
    SELECT 't', 'req_' || n, '', 'bad', repeat('x', 400), '2026-11-24' FROM generate_series(1, 8000) AS n
"""
LOG_CHANGES = """
    CREATE TABLE changes (tag text, transaction bigint DEFAULT txid_current());
    CREATE FUNCTION log_change() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO changes (tag) VALUES (tg_tag);
    END $$;
    CREATE EVENT TRIGGER log_change ON ddl_command_end EXECUTE FUNCTION log_change();
"""


def test_columns_index_and_batches_of_rows_are_committed_each_by_itself(engine: Engine) -> None:
    """One transaction for all would keep feedback from being stored until the last row is filled."""
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, BEFORE)
    with engine.begin() as connection:
        connection.execute(text(MANY.format(column=OLD[0])))
        connection.execute(text(LOG_CHANGES))
    migrations.upgrade(url, AFTER)
    with engine.connect() as connection:
        rows = "SELECT xmin::text::bigint, count(*) FROM feedback WHERE reviewed_at IS NOT NULL GROUP BY 1"
        batches = {row[0]: row[1] for row in connection.execute(text(rows))}
        changes = connection.execute(text("SELECT tag, transaction FROM changes")).all()
    assert sum(batches.values()) == 8000
    assert len(batches) > 1
    assert not set(batches) & {transaction for _, transaction in changes}
    assert len({transaction for _, transaction in changes}) == len(changes)
    assert {"ALTER TABLE", "CREATE TRIGGER", "CREATE INDEX"} <= {tag for tag, _ in changes}


def test_an_interrupted_migration_runs_again(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, NEXT)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE feedback DISABLE TRIGGER USER"))
        connection.execute(text(MANY.format(column=OLD[0])))
        connection.execute(text("ALTER TABLE feedback ENABLE TRIGGER USER"))
        connection.execute(text(STAMP), {"before": BEFORE})
    migrations.upgrade(url)
    assert times(engine, "SELECT min(reviewed_at), max(reviewed_at) FROM feedback") == ["2026-11-24"] * 2
    assert migrations.current(url) == migrations.newest()


def test_a_transaction_that_keeps_the_table_locked_ends_the_migration_soon(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, BEFORE)
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE feedback IN ACCESS SHARE MODE"))
        with pytest.raises(Misconfigured, match="run `octant migrate` again"):
            migrations.upgrade(url)
    migrations.upgrade(url)
    assert migrations.current(url) == migrations.newest()
