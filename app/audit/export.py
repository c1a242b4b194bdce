"""Records as a file: JSON lines, or Parquet for pandas, DuckDB or Polars (needs the extra ``parquet``)."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import IO, Any

from sqlalchemy import BigInteger, Boolean, DateTime, Float, Integer
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.tables import calls
from app.domain.errors import InvalidRequest

ARROW_TYPES = {Boolean: "bool_", BigInteger: "int64", Integer: "int32", Float: "float64"}


def line_of(row: Mapping[str, Any]) -> str:
    """A record as one line of JSON, without its end."""
    return json.dumps(row, default=datetime.isoformat, ensure_ascii=False)


async def write_jsonl(pages: AsyncIterator[list[dict[str, Any]]], file: IO[bytes]) -> int:
    """Write every record on a line of its own. Returns how many."""
    count = 0
    async for page in pages:
        file.write("".join(line_of(row) + "\n" for row in page).encode())
        count += len(page)
    return count


async def write_parquet(pages: AsyncIterator[list[dict[str, Any]]], file: IO[bytes]) -> int:
    """Write records as Parquet, a row group for each page; without records a file with no rows. Returns how many.

    Raises InvalidRequest where the extra is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InvalidRequest("Parquet needs pyarrow: pip install 'octant[parquet]'. JSON lines need nothing.") from None
    schema = pa.schema([(column.name, _arrow_type(column.type, pa)) for column in calls.columns])
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        async for page in pages:
            writer.write_table(pa.Table.from_pylist(_known(page), schema=schema))
            count += len(page)
    return count


def _arrow_type(kind: Any, arrow: Any) -> Any:  # noqa: ANN401 - pyarrow has no types of its own
    if isinstance(kind, DateTime):
        return arrow.timestamp("us", tz="UTC")
    if isinstance(kind, ARRAY):
        return arrow.list_(arrow.string())
    name = next((name for ours, name in ARROW_TYPES.items() if isinstance(kind, ours)), "string")
    return getattr(arrow, name)()


def _known(page: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{column.name: row[column.name] for column in calls.columns} for row in page]
