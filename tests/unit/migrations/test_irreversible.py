"""A revision that cannot simply go back needs a plan (B6)."""

from pathlib import Path

import pytest

from app.migrations import irreversible

REVISION = '''"""A planted revision."""
from alembic import op

revision = "{name}"
down_revision = None
MORE = ({more!r},)


def upgrade() -> None:
    """This DELETE FROM in a docstring is no statement."""
    {up}


def _further() -> None:
    for statement in MORE:
        op.execute(statement)


def downgrade() -> None:
    {down}
'''
HEAD = "| Revision | The code before it | A downgrade loses | Plan |\n|---|---|---|---|\n"
HARMLESS = 'op.create_index("calls_at", "calls", ["at"])'


def found(folder: Path, rows: str = "", *, up: str = HARMLESS, down: str = "pass", more: str = "SELECT 1") -> list[str]:
    (folder / "0099_planted.py").write_text(REVISION.format(name="0099_planted", up=up, down=down, more=more))
    (folder / "plans.md").write_text(HEAD + rows)
    return irreversible.problems({folder: folder / "plans.md"})


def test_every_revision_of_ours_and_of_the_products_has_its_plan() -> None:
    assert irreversible.problems() == []


def test_a_revision_that_goes_back_without_a_loss_needs_no_plan(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("down", "more"),
    [
        ('op.drop_table("jobs")', ""),
        ('op.drop_column("jobs", "lost")', ""),
        ('raise NotImplementedError("there is no way back")', ""),
        ("op.execute(\"DELETE FROM jobs WHERE status = 'done'\")", ""),
        ('op.execute(f"TRUNCATE {1}jobs")', "TRUNCATE jobs"),
        ("_further()", "ALTER TABLE jobs DROP COLUMN lost"),
    ],
)
def test_a_downgrade_that_loses_data_is_refused_without_a_row(tmp_path: Path, down: str, more: str) -> None:
    if more.startswith("TRUNCATE"):
        down = "_further()"
    (problem,) = found(tmp_path, down=down, more=more)
    assert "no row for 0099_planted" in problem


@pytest.mark.parametrize(
    "up",
    [
        'op.drop_column("calls", "held")',
        'op.rename_table("calls", "records")',
        'op.alter_column("calls", "held", nullable=False)',
        'op.alter_column("calls", "held", new_column_name="kept")',
        'op.add_column("calls", sa.Column("kept", sa.Text(), nullable=False))',
        'op.create_index("calls_once", "calls", ["request_id"], unique=True)',
        "op.execute(\"UPDATE calls SET outcome = 'fine'\")",
        'op.execute("ALTER TABLE calls ALTER COLUMN held SET NOT NULL")',
    ],
)
def test_an_upgrade_that_earlier_code_may_not_survive_is_refused_without_a_row(tmp_path: Path, up: str) -> None:
    (problem,) = found(tmp_path, up=up)
    assert "no row for 0099_planted" in problem


@pytest.mark.parametrize(
    "up",
    [
        'op.add_column("calls", sa.Column("kept", sa.Text(), nullable=False, server_default=""))',
        'op.add_column("calls", sa.Column("kept", sa.Text(), nullable=True))',
        'op.create_table("lamps")\n    op.create_index("lamps_once", "lamps", ["name"], unique=True)',
    ],
)
def test_an_upgrade_that_only_expands_needs_no_row(tmp_path: Path, up: str) -> None:
    assert found(tmp_path, up=up) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| `0099_planted` | works | the jobs | Dump them first, then go. |", ""),
        ("| `0099_planted` | perhaps | the jobs | Dump them first, then go. |", "says `works` or `fails`"),
        ("| `0099_planted` | works | | Dump them first, then go. |", "the row does not say which"),
        ("| `0099_planted` | works | the jobs | |", "has no plan"),
        ("| `0099_planted` | works | all | Dump them first. |\n| `0098_gone` | works | all | Dump them first. |", "there is no"),
    ],
)
def test_a_row_says_all_that_an_operator_needs(tmp_path: Path, row: str, problem: str) -> None:
    problems = found(tmp_path, row + "\n", down='op.drop_table("jobs")')
    assert [problem in line for line in problems] == [True] * bool(problem)


def test_the_plans_between_two_schemas_are_those_of_the_revisions_passed() -> None:
    names = [row.revision for row in irreversible.passed(["0027_no_evidence"], ["0024_stops"])]
    assert names == ["0027_no_evidence", "0026_reviewed_at", "0025_provider_keys"]
    assert irreversible.passed(["0024_stops"], ["0027_no_evidence"]) == []
    far = irreversible.passed(["0009_job_traces"], ["0007_budget"])
    assert [row.revision for row in far if not row.earlier_code_works] == ["0008_partitions"]
