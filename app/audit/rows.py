"""From a record to rows, and rows to Postgres by COPY (psycopg 3, "Using COPY TO and COPY FROM")."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import attempts, calls
from app.domain.calls import Attempt, Usage
from app.domain.records import CallRecord


async def write(engine: AsyncEngine, batch: Sequence[CallRecord]) -> None:
    """Write calls and attempts in one transaction: all or none. Raises what SQLAlchemy and psycopg raise."""
    async with engine.begin() as connection:
        await _copy(connection, calls, (_call_row(r) for r in batch))
        await _copy(connection, attempts, (_attempt_row(r.id, a) for r in batch for a in r.attempts))


async def _copy(connection: AsyncConnection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    columns = [c.name for c in table.columns]
    names = ", ".join(f'"{name}"' for name in columns)
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101 - an open connection has a driver connection
    async with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in rows:
            await copy.write_row([_storable(row[name]) for name in columns])


def _storable(value: Any) -> Any:  # noqa: ANN401 - any column value
    """Postgres text holds neither NUL nor half a surrogate pair, and JSON may bring both."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _call_row(record: CallRecord) -> dict[str, Any]:
    own = {c.name: getattr(record, c.name) for c in calls.columns if hasattr(record, c.name)}
    return {**own, **_usage(record.usage), "degraded": list(record.degraded)}


def _attempt_row(call_id: str, attempt: Attempt) -> dict[str, Any]:
    own = {c.name: getattr(attempt, c.name) for c in attempts.columns if hasattr(attempt, c.name)}
    return {**own, **_usage(attempt.usage), "call_id": call_id}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cached_input_tokens": usage.cached_input,
        "cache_write_tokens": usage.cache_write,
        "reasoning_tokens": usage.reasoning,
        "usage_estimated": usage.estimated,
    }
