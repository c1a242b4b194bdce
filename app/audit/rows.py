"""From a record to rows, and rows to Postgres by COPY (psycopg 3, "Using COPY TO and COPY FROM")."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit import erasures, partitions
from app.audit.tables import attempts, calls
from app.domain.calls import Attempt
from app.domain.records import CallRecord
from app.domain.turns import Turns

_USAGE = {
    "input_tokens": "usage.input",
    "output_tokens": "usage.output",
    "cached_input_tokens": "usage.cached_input",
    "cache_write_tokens": "usage.cache_write",
    "reasoning_tokens": "usage.reasoning",
    "usage_estimated": "usage.estimated",
}
PLAIN = frozenset({int, float, bool, type(None), datetime})
Row = Sequence[Any]
# The columns of each table in their order.
_call_row: Callable[[CallRecord], Row] = attrgetter(*(_USAGE.get(column.name, column.name) for column in calls.columns))
_of_attempt: Callable[[Attempt], Row] = attrgetter(
    *(_USAGE.get(column.name, column.name) for column in attempts.columns if column.name not in ("call_id", "at"))
)


class Writer:
    """Writes batches of records."""

    def __init__(self, engine: AsyncEngine, pseudonym: erasures.Pseudonym | None = None) -> None:
        """Connects to nothing yet. ``pseudonym`` identifies erased users: their records are passed over."""
        self._engine = engine
        self._pseudonym = pseudonym
        self._days: set[date] = set()

    async def write(self, batch: Sequence[CallRecord], *, again: bool = False) -> None:
        """Write calls and attempts in one transaction: all or none. Raises what SQLAlchemy and psycopg raise.

        ``again``: some of them may be there already, from a try whose answer was lost; those are passed over.
        """
        days = {record.at.astimezone(UTC).date() for record in batch}
        async with self._engine.begin() as connection:
            await partitions.ensure(connection, days - self._days)
            if self._pseudonym:
                batch = await erasures.without_erased(connection, batch, self._pseudonym)
            await _copy(connection, calls, (_call_row(r) for r in batch), again=again)
            await _copy(connection, attempts, (_attempt_row(r, a) for r in batch for a in r.attempts), again=again)
        yesterday = datetime.now(UTC).date() - timedelta(days=1)  # older ones may be dropped at any time
        self._days = {day for day in self._days | days if day >= yesterday}


async def _copy(connection: AsyncConnection, table: Table, rows: Iterable[Row], *, again: bool) -> None:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    target = table.name
    if again:
        target = f"{table.name}_again"
        await connection.execute(text(f"CREATE TEMPORARY TABLE {target} (LIKE {table.name}) ON COMMIT DROP"))
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101 - an open connection has a driver connection
    async with raw.cursor() as cursor, cursor.copy(f'COPY "{target}" ({names}) FROM STDIN') as copy:
        turns = Turns()
        for row in rows:
            await copy.write_row(_as_copied(row))
            await turns.give()
    if again:
        into = f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {target} ON CONFLICT DO NOTHING'  # noqa: S608 - our own names
        await connection.execute(text(into))


def storable(value: Any) -> Any:  # noqa: ANN401 - any column value
    """Postgres text holds neither NUL nor half a surrogate pair, and JSON may bring both."""
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _as_copied(row: Row) -> Row:
    """A row as COPY takes it. Nearly all values are plain: no function is called for them."""
    return [
        value if type(value) in PLAIN or (type(value) is str and value.isascii() and "\0" not in value) else _copied(value)
        for value in row
    ]


def _copied(value: Any) -> Any:  # noqa: ANN401 - any column value
    """As `storable`; an empty array as its text, because to write it as one costs as much as all the rest of a row."""
    return "{}" if value in ((), []) else storable(value)


def _attempt_row(record: CallRecord, attempt: Attempt) -> Row:
    """The columns of `attempts` in their order: the first is the call's id."""
    number, *rest = _of_attempt(attempt)
    return (record.id, number, record.at, *rest)
