"""While two versions run, each finds its own column filled (0026)."""

from collections.abc import Iterator

import pytest
from conftest import own_database
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from app import migrations

BEFORE = "0025_provider_keys"
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
