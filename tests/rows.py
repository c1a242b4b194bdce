"""Rows that fit any table: made from the schema alone, so a new table needs nothing here."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, MetaData, Table, insert, text, types
from sqlalchemy.dialects.postgresql import ARRAY

WHEN = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROWS = 2  # one with every column filled, one with the least
# Relations that the schema does not declare: tables by day have no foreign keys.
SAME = {"attempts.call_id": "calls.id", "attempts.at": "calls.at"}


def fill(connection: Connection) -> set[str]:
    """Insert rows into every empty table, parents first. Returns the tables' names."""
    if connection.execute(text("SELECT to_regproc('records_partition')")).scalar():
        connection.execute(text("SELECT records_partition(:day)"), {"day": WHEN.date()})
    schema = MetaData()
    schema.reflect(connection, only=lambda name, _: name != "alembic_version" and not name[-8:].isdigit())
    for table in schema.sorted_tables:
        if not connection.execute(text(f'SELECT count(*) FROM "{table.name}"')).scalar():  # noqa: S608 - of the schema
            for row in _rows(table):
                connection.execute(insert(table).values(row))
    return set(schema.tables)


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as JSON says it, in an order of its own."""
    names = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        )
    ).scalars()
    rows = {name: connection.execute(text(f'SELECT to_jsonb(t) FROM "{name}" AS t')).scalars() for name in names.all()}  # noqa: S608
    return {name: sorted(found, key=str) for name, found in rows.items()}


def columns(found: list[dict[str, Any]], only: frozenset[str]) -> list[dict[str, Any]]:
    """The rows with these columns alone."""
    return sorted(({name: value for name, value in row.items() if name in only} for row in found), key=str)


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    one = any(isinstance(column.type, types.Boolean) for column in table.primary_key)  # the key of a table of one row
    for number in range(1 if one else ROWS):
        yield {column.name: _value(column, number) for column in table.columns if _is_given(column, number)}


def _is_given(column: Column[Any], number: int) -> bool:
    """Whether a row gives a value: the server may make it, and the least row leaves it out."""
    return not (column.computed or (column.identity and column.identity.always) or (number and column.nullable))


def _value(column: Column[Any], number: int) -> Any:  # noqa: ANN401 - of any type
    name = f"{column.table.name}.{column.name}"
    parent = SAME.get(name) or next((key.target_fullname for key in column.foreign_keys), None)
    if parent:
        table, _, other = parent.partition(".")
        return _of_type(column.type, f"{table}-{other}-{number}", number)
    return _of_type(column.type, name.replace(".", "-") + f"-{number}", number)


_PLAIN: Mapping[type, Any] = {
    types.DateTime: lambda number: WHEN + timedelta(seconds=number),
    types.Date: lambda _: date(2026, 11, 24),
    types.Boolean: lambda _: True,
    types.Integer: lambda number: number + 1,
    types.Float: lambda number: number + 0.5,
    types.Numeric: lambda number: number + 1,
    types.LargeBinary: lambda number: bytes([number]),
    types.UUID: lambda number: UUID(int=number + 1),
    types.JSON: lambda number: {"n": number},
}


def _of_type(kind: Any, words: str, number: int) -> Any:  # noqa: ANN401 - SQLAlchemy's types, and values of any
    if isinstance(kind, ARRAY):
        return [_of_type(kind.item_type, words, number)]
    if isinstance(kind, types.String):
        return words if kind.length is None or len(words) <= kind.length else f"{number}{words}"[: kind.length]
    return next(make(number) for plain, make in _PLAIN.items() if isinstance(kind, plain))
