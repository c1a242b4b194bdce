"""Every revision goes back and forth on tables with data, on a real Postgres (B6).

What the schema on both sides of a revision knows is still there afterwards; losses are those that its row admits.
"""

from collections.abc import Iterator

import pytest
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from conftest import own_database
from rows import columns, contents, fill
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from app import migrations
from app.migrations import irreversible

STEPS = {step.revision: step for folder in irreversible.folders() for step in irreversible.steps(folder)}
DELETES = "DELETE FROM"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with own_database(database_url, "with_data") as url:
        engine = create_engine(url, poolclass=NullPool)
        yield engine
        engine.dispose()


class Schema:
    """Moves a database one revision, without reading all revisions anew each time."""

    def __init__(self, engine: Engine) -> None:
        self._config = migrations.config(engine.url.render_as_string(hide_password=False))
        self.script = ScriptDirectory.from_config(self._config)

    def up(self, revision: str) -> None:
        self._run(lambda heads, _: self.script._upgrade_revs(revision, heads))

    def down(self, revision: str, before: str | None) -> None:
        self._run(lambda heads, _: self.script._downgrade_revs(before or f"{revision}@base", heads))

    def _run(self, steps: object) -> None:
        with EnvironmentContext(self._config, self.script, fn=steps):
            self.script.run_env()


@pytest.mark.timeout(900)
def test_data_that_both_sides_of_a_revision_know_survives_the_way_back(engine: Engine) -> None:
    schema = Schema(engine)
    with engine.begin() as connection:
        filled = fill(connection)
        high = contents(connection)
    assert filled == set(high)
    assert all(high.values()), "a table has no row"
    lost = set()
    for revision in schema.script.walk_revisions():
        name, before = revision.revision, revision.down_revision
        assert before is None or isinstance(before, str)
        schema.down(name, before)
        with engine.connect() as connection:
            low = contents(connection)
        schema.up(name)
        with engine.connect() as connection:
            again = contents(connection)
        assert set(again) == set(high), f"{name}: other tables after the way back and forth"
        for table in set(high) & set(low):
            known = frozenset(high[table][0]) & frozenset(low[table][0]) if low[table] and high[table] else frozenset[str]()
            if DELETES in STEPS[name].loses:
                assert [row for row in columns(low[table], known) if row not in columns(high[table], known)] == []
            else:
                assert columns(low[table], known) == columns(high[table], known), f"{name}: {table} on the way back"
            assert columns(again[table], known) == columns(low[table], known), f"{name}: {table} on the way forth"
        if again != high:
            lost.add(name)
        schema.down(name, before)
        high = low
    assert high == {}
    assert lost <= {step.revision for step in STEPS.values() if step.loses}, "a loss that the source does not show"
    assert len(lost) > 15, "nothing was lost where tables went: the rows were not there"
