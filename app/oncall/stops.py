"""Operators' stops, kept in two stores: Valkey for speed, Postgres because Valkey can lose its data.

Every entry carries a version, and the newest wins wherever two memories meet. A release is an entry, too: otherwise the memory
that missed it would bring the stop back. Where versions are equal, the stop wins.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from redis.asyncio import Redis
from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import InvalidRequest
from app.oncall.tables import stops

_ALL = select(stops)  # read every second: built once, because building it costs as much as sending it

KEY = "octant:stops"
COMPLETE = "complete"  # a field of the hash: what it says is all there is. Gone with the rest when Valkey loses its data
LONGEST_MESSAGE = 200
_PUT = (Path(__file__).parent / "put_stops.lua").read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The newest entry of one scope and name. ``in_flight``: calls under way are ended, too; ``message``: callers read it."""

    scope: str
    name: str
    stopped: bool
    in_flight: bool = False
    by: str = ""
    reason: str = ""
    message: str = ""
    at: str = ""
    version: int = 0

    @property
    def field(self) -> str:
        """Its name in the hash."""
        return f"{self.scope}:{self.name}"


Entries = Mapping[str, Entry]


def next_version(*known: int) -> int:
    """Newer than every version that is known, and than those that a clock says are older."""
    return max(time.time_ns() // 1000, *(version + 1 for version in known))


def now() -> str:
    """The time of an entry, in RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def one_line(text: str) -> str:
    """A text without line breaks, and without what a store cannot hold (NUL, half a surrogate pair) or a terminal obeys."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def public_message(text: str, redact: Callable[[str], str]) -> str:
    """A stop's message as callers read it: one line, without personal data or secrets. Raises InvalidRequest if too long."""
    message = redact(one_line(text))
    if len(message) > LONGEST_MESSAGE:
        raise InvalidRequest(
            f"A message to callers has at most {LONGEST_MESSAGE} characters, this one {len(message)}.", param="message"
        )
    return message


def newer(entries: Entries, than: Entries) -> dict[str, Entry]:
    """The entries that are missing from, or newer than, the other memory's."""
    return {f: e for f, e in entries.items() if (known := than.get(f)) is None or _rank(e) > _rank(known)}


def merged(one: Entries, other: Entries) -> dict[str, Entry]:
    """Both memories, the newest of each entry."""
    return {**one, **newer(other, one)}


def _rank(entry: Entry) -> tuple[int, bool]:
    return entry.version, entry.stopped


def _entry(value: str | bytes) -> Entry:
    """Read an entry; fields that only a newer version knows are passed over. Raises ValueError."""
    read = json.loads(value)
    try:
        return Entry(**{name: read[name] for name in read if name in Entry.__dataclass_fields__})
    except TypeError as error:
        raise ValueError("not an entry of the kill switch") from error


class ValkeyStops:
    """The memory in Valkey: one hash. Raises RedisError, OSError, or ValueError for what is no entry."""

    def __init__(self, valkey: Redis) -> None:
        """Nothing is read yet."""
        self._valkey = valkey
        self._put = valkey.register_script(_PUT)

    async def read(self) -> tuple[dict[str, Entry], bool]:
        """Every entry, and whether the hash is known to be complete."""
        found = {str(field): value for field, value in (await self._valkey.hgetall(KEY)).items()}
        complete = found.pop(COMPLETE, None) is not None
        return {field: _entry(value) for field, value in found.items()}, complete

    async def write(self, entries: Iterable[Entry], *, complete: bool = False) -> None:
        """Put entries that are newer than the stored ones. ``complete`` says that with these, nothing is missing."""
        values = [v for e in entries for v in (e.field, e.version, int(e.stopped), json.dumps(asdict(e), ensure_ascii=False))]
        await self._put(keys=[KEY], args=[COMPLETE if complete else "", *values])


class NoStore:
    """A store whose address an operator's command lacks: it takes nothing and says nothing. Raises ConnectionError."""

    async def read(self) -> tuple[dict[str, Entry], bool]:
        """Nothing is to be read."""
        raise ConnectionError("its address is not set")

    async def write(self, *_: object, **__: object) -> None:
        """Nothing is taken."""
        raise ConnectionError("its address is not set")


class PostgresStops:
    """The memory in Postgres: one table. Raises SQLAlchemyError or OSError."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Nothing is read yet."""
        self._engine = engine

    async def read(self) -> dict[str, Entry]:
        """Every entry."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_ALL)).mappings().all()
        entries = [Entry(**{**row, "at": cast("datetime", row["at"]).astimezone(UTC).isoformat()}) for row in rows]
        return {entry.field: entry for entry in entries}

    async def write(self, entries: Iterable[Entry]) -> None:
        """Put entries that are newer than the stored ones."""
        rows = [{**asdict(entry), "at": datetime.fromisoformat(entry.at)} for entry in entries]
        if not rows:
            return
        put = insert(stops)
        new = put.excluded
        same_but_stopped = and_(stops.c.version == new.version, new.stopped)
        statement = put.on_conflict_do_update(
            index_elements=[stops.c.scope, stops.c.name],
            set_={name: new[name] for name in rows[0] if name not in ("scope", "name")},
            where=or_(stops.c.version < new.version, same_but_stopped),
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement, rows)
