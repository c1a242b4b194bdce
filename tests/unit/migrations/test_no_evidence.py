"""Stored calls without evidence get the outcome `no_evidence` (0027)."""

from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import own_database
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from app import migrations

BEFORE, REVISION = "0026_reviewed_at", "0027_no_evidence"
COLUMNS = (
    'id, request_id, at, trace_id, tenant, "user", key_id, feature, target, release, stream, outcome, latency_ms, overhead_ms,'
    " input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated, cost, held,"
    " fallbacks, degraded, request, response"
)
# `apart` 0: all calls at one time, so that a batch ends among equals.
ROWS = f"""
    INSERT INTO calls ({COLUMNS})
    SELECT :outcome || n, 'r', timestamptz '2026-11-24 23:59' + :apart * n * interval '1 millisecond', 't', 't', 'u', 'k', 'f',
        'm', 'r', false, :outcome, 1, 1, 0, 0, 0, 0, 0, false, 0, 0, 0, '{{}}', '', ''
    FROM generate_series(1, :number) AS n
"""  # noqa: S608 - names of ours


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with own_database(database_url, "no_evidence") as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SELECT records_partition('2026-11-24'), records_partition('2026-11-25')"))
        yield engine
        engine.dispose()


def write(engine: Engine, apart: int = 9, **numbers: int) -> None:
    with engine.begin() as connection:
        for outcome, number in numbers.items():
            connection.execute(text(ROWS), {"outcome": outcome, "number": number, "apart": apart})


def outcomes(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(dict(connection.execute(text("SELECT outcome, count(*) FROM calls GROUP BY outcome")).all()))


def test_no_trigger_slows_the_copy_of_records(engine: Engine) -> None:
    """With a row trigger before the insert, Postgres writes the rows of a COPY one at a time."""
    triggers = (
        "SELECT tgname FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('calls')) AND NOT tgisinternal"
    )
    with engine.connect() as connection:
        assert not connection.execute(text(triggers)).scalars().all()


@pytest.mark.parametrize("apart", [9, 0], ids=["over two days", "all at one time"])
def test_all_rows_are_renamed_in_batches_and_back(engine: Engine, apart: int) -> None:
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, BEFORE)
    write(engine, apart, ok=20, not_asked=12_000, provider_timeout=10)
    migrations.upgrade(url)
    assert outcomes(engine) == {"ok": 20, "no_evidence": 12_000, "provider_timeout": 10}
    migrations.downgrade(url, BEFORE)
    assert outcomes(engine) == {"ok": 20, "not_asked": 12_000, "provider_timeout": 10}


def test_an_interrupted_migration_runs_again(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    migrations.downgrade(url, REVISION)
    with engine.begin() as connection:
        statement = text("UPDATE alembic_version SET version_num = :before WHERE version_num = :here")
        assert connection.execute(statement, {"before": BEFORE, "here": REVISION}).rowcount == 1
    write(engine, not_asked=3)
    migrations.upgrade(url)
    assert outcomes(engine) == {"no_evidence": 3}
