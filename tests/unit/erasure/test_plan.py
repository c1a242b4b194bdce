"""The plan of erasure names every column that may hold a user's data (O8)."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest
from conftest import ROOT
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from app.erasure.plan import NOT_PERSONAL, PLAN
from app.migrations.metadata import METADATA

USER_LIKE = {"user", "user_id", "subject", "person", "customer", "owner", "email", "phone"}
SHORT = 64  # a word of ours, not a person's text


def could_be_personal(column: Column[object]) -> bool:
    """A user's id, or room for text."""
    if column.name in USER_LIKE or (column.table.name == "users" and column.name == "id"):
        return True
    if isinstance(column.type, LargeBinary | JSONB | Text):
        return True
    return isinstance(column.type, String) and (column.type.length is None or column.type.length > SHORT)


def unnamed(tables: MetaData) -> Iterator[str]:
    named = {f"{data.table}.{column}" for data in PLAN for column in data.columns} | set(NOT_PERSONAL)
    for table in tables.tables.values():
        yield from (
            f"{table.name}.{c.name}" for c in table.columns if could_be_personal(c) and f"{table.name}.{c.name}" not in named
        )


def test_every_column_that_may_hold_a_persons_data_is_named() -> None:
    assert [name for metadata in METADATA for name in unnamed(metadata)] == []


@pytest.mark.parametrize(
    "column", [Column("user", String(10)), Column("remark", Text), Column("body", LargeBinary), Column("x", JSONB)]
)
def test_a_new_table_outside_the_plan_is_found(column: Column[object]) -> None:
    tables = MetaData()
    Table("new_things", tables, Column("id", Integer, primary_key=True), column)
    assert list(unnamed(tables)) == [f"new_things.{column.name}"]


def test_the_plan_names_nothing_that_is_not_there() -> None:
    there = {f"{t.name}.{c.name}" for metadata in METADATA for t in metadata.tables.values() for c in t.columns}
    declared = [f"{data.table}.{column}" for data in PLAN for column in (*data.columns, *data.change, *data.hidden)]
    assert [name for name in (*declared, *NOT_PERSONAL) if name not in there] == []
    assert len({data.table for data in PLAN}) == len(PLAN)


def test_the_page_on_records_says_how_long_each_table_is_kept() -> None:
    section = (ROOT / "docs" / "records.md").read_text().partition("\n## Retention\n")[2].partition("\n## ")[0]
    rows = [row.split(" | ")[1] for row in section.splitlines() if row.startswith("| ")]
    named = [name for cell in rows for name in re.findall(r"`([a-z_*]+)`", cell)]
    tables = {table.name for metadata in METADATA for table in metadata.tables.values()}
    assert sorted(table for table in tables if not any(fnmatch(table, name) for name in named)) == []
    assert [name for name in named if not any(fnmatch(table, name) for table in tables)] == []
