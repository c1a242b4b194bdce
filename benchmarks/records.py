"""`make bench-records`: how soon records are found, their cost, and the time of each kind of search at ten million.

With `--write` the tables go into `docs/records.md` between the markers, the machine's load beside them. Exit code 1 where the p99
from a call's end to found is over five seconds, or a record is dropped. A search over `SLOW` is reported, and is no failure: it
depends on the machine.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.migrations import upgrade
from app.stack.embedded import embedded_postgres
from benchmarks import record_fill, record_lag, record_queries
from benchmarks.record_lag import SIZES, Lag
from benchmarks.record_queries import WARM, Timed

PAGE = Path("docs/records.md")
LONGEST_LAG = 5.0
SLOW = 200.0


def main() -> int:
    """Run the chosen measurements."""
    options = _options()
    page = PAGE.read_text()
    failed = False
    if options.rate:
        with embedded_postgres(None) as url:
            upgrade(url)
            lag = asyncio.run(record_lag.measure(url, options.rate, options.seconds, options.writers))
        table = _lag_table(lag)
        print(table)
        page = _between(page, "lag", table)
        failed = lag.p99 > LONGEST_LAG or lag.dropped > 0
    if options.rows:
        table = _queries(options.rows, options.folder)
        print(table)
        page = _between(page, "queries", table)
    if options.write:
        PAGE.write_text(page)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500, help="calls a second; 0 leaves the lag out")
    parser.add_argument("--seconds", type=float, default=60, help="for how long")
    parser.add_argument("--writers", type=int, default=2, help="batches that the recorder has under way at a time")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows to search in; 0 leaves the searches out")
    parser.add_argument("--folder", type=Path, help="keep the filled database here, and use it if it is there")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE}")
    return parser.parse_args()


def _queries(rows: int, folder: Path | None) -> str:
    """Fill a database unless it exists, and search it."""
    place = folder or Path(tempfile.mkdtemp(prefix="octant-records-"))
    try:
        filled = place / "filled"
        if not filled.exists():
            with embedded_postgres(place / "postgres") as url:
                upgrade(url)
                record_fill.configure(url)
        with embedded_postgres(place / "postgres") as url:
            engine = create_engine(url)
            if not filled.exists():
                record_fill.fill(engine, rows, lambda step: print(step, flush=True))
                filled.touch()
            with engine.connect() as connection:
                sizes = connection.execute(text(SIZE)).one()
            engine.dispose()
            return _query_table(asyncio.run(_ask(url)), rows, sizes)
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


SIZE = """
SELECT pg_size_pretty(sum(pg_table_size(inhrelid))), pg_size_pretty(sum(pg_indexes_size(inhrelid)))
FROM pg_inherits WHERE inhparent = 'calls'::regclass
"""


async def _ask(url: str) -> list[Timed]:
    engine = create_async_engine(url)
    try:
        return await record_queries.measure(engine)
    finally:
        await engine.dispose()


def _lag_table(lag: Lag) -> str:
    return "\n".join((
        f"{lag.records:,} records at {lag.rate:.0f} a second ({SIZES}). {_load()}", "",
        "| figure | value |", "|---|---|",
        f"| from a call's end until found: p50 / p99 / longest | {lag.p50:.2f} s / {lag.p99:.2f} s / {lag.longest:.2f} s |",
        f"| CPU per record in the worker, redaction included | {lag.cpu_us:.0f} µs |",
        f"| dropped | {lag.dropped} |",
        f"| bytes per call on disk: rows / long texts / indexes | {lag.heap:,} / {lag.toast:,} / {lag.index:,} |",
    ))  # fmt: skip


def _query_table(found: Sequence[Timed], rows: int, sizes: Sequence[object]) -> str:
    settings = ", ".join(f"`{name} = {value}`" for name, value in record_fill.SETTINGS.items() if "fsync" not in name)
    slow = [timed.name for timed in found if timed.p50 > SLOW or timed.rows < 0]
    lines = [
        f"{rows:,} calls over {record_fill.DAYS} days, {sizes[0]} of rows and texts, {sizes[1]} of indexes; {settings}.",
        _load(),
        f"Milliseconds as a caller of `find_calls` sees them, one page of 50: the first time, then p50 and worst of {WARM}.",
        f"Over {SLOW:.0f} ms at p50: {', '.join(slow) or 'none'}.", "",
        "| search | rows | first | p50 | worst | plan |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for t in found:
        row_count = "ended" if t.rows < 0 else str(t.rows)
        lines.append(f"| {t.name} | {row_count} | {t.first:.0f} | {t.p50:.0f} | {t.worst:.0f} | {t.plan.replace('|', '/')} |")
    return "\n".join(lines)


def _load() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} meanwhile."


def _between(page: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    sys.exit(main())
