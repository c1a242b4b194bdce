"""Covers: overrides that an operator enters by command and that end by themselves.

They are kept in Postgres. While it is away a cover goes to a file in the state folder, which holds on that machine alone; the
next cover that reaches Postgres takes the file's with it.
"""

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import InvalidRequest
from app.oncall.rota.rotation import Override, Rotation
from app.oncall.rota.shifts import Shift, duties, shifts
from app.oncall.rota.tables import covers
from app.oncall.rota.turns import HandOvers

FILE = "covers.jsonl"  # in the state folder
LONGEST = timedelta(days=14)
MOST = 500  # covers that are read, newest first: those of a year


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """``by`` takes the duties of ``instead_of`` from ``begins_at`` until ``ends_at``; ``entered_by`` is the operator."""

    instead_of: str
    by: str
    begins_at: datetime
    ends_at: datetime
    entered_by: str
    reason: str = ""
    entered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def override(self) -> Override:
        """As an override of the rotation."""
        return Override(by=self.by, instead_of=self.instead_of, begin=self.begins_at, end=self.ends_at, reason=self.reason[:200])


class Covers:
    """The covers in Postgres and in the file."""

    def __init__(self, engine: AsyncEngine | None, *, file: Path) -> None:
        """Without an ``engine`` there is only the ``file``."""
        self._engine = engine
        self._file = file
        self._read_last: list[Cover] = []

    async def add(self, cover: Cover) -> bool:
        """Keep a cover. False: Postgres is away, so only this machine knows it. Raises OSError where the file fails too."""
        noted = self._noted()
        try:
            await self._write([*noted, cover])
        except (SQLAlchemyError, OSError):
            _append(self._file, cover)
            return False
        if noted:
            self._file.unlink(missing_ok=True)
        return True

    async def all(self, *, since: datetime) -> tuple[list[Cover], bool]:
        """Return the covers that end after ``since``, in the order of their entry, and whether Postgres answered.

        While it does not answer, those that this process read last hold on.
        """
        answered = True
        try:
            self._read_last = await self._read(since)
        except (SQLAlchemyError, OSError):
            answered = False
        known = {c.id: c for c in (*self._noted(), *self._read_last) if c.ends_at > since}
        return _ordered(known.values()), answered

    async def _write(self, rows: Iterable[Cover]) -> None:
        if self._engine is None:
            raise OSError("no Postgres is set")
        async with self._engine.begin() as connection:
            await connection.execute(insert(covers).on_conflict_do_nothing(index_elements=["id"]), [asdict(row) for row in rows])

    async def _read(self, since: datetime) -> list[Cover]:
        if self._engine is None:
            raise OSError("no Postgres is set")
        newest = select(covers).where(covers.c.ends_at > since).order_by(covers.c.entered_at.desc()).limit(MOST)
        async with self._engine.connect() as connection:
            return [Cover(**row) for row in (await connection.execute(newest)).mappings()]

    def _noted(self) -> list[Cover]:
        """The file's covers. A line that is none is passed over: the rest must hold at night."""
        try:
            with self._file.open(encoding="utf-8") as file:
                lines = list(file)
        except (OSError, UnicodeDecodeError):
            return []
        return [cover for line in lines if (cover := _read_line(line)) is not None]


async def current(rotation: Rotation, covers: Covers, *, since: datetime) -> tuple[Rotation, bool]:
    """Return the rotation with the covers that end after ``since``, and whether Postgres answered."""
    found, answered = await covers.all(since=since)
    return rotation.with_covers(tuple(cover.override for cover in found)), answered


def stand_in(rotation: Rotation, person: str, begin: datetime, end: datetime) -> str:
    """Return the person who covers by default: the next one of the list who has no other duty then.

    Raises InvalidRequest where the person has no duty in that time, or no other one of the list is free.
    """
    mine = duties_of(rotation, person, begin, end)
    if not mine:
        raise InvalidRequest(f"{person} is not on call in that time, so there is nothing to cover.", param="person")
    busy = {s.person for s in shifts(rotation, begin, end) if s.level != mine[0].level}
    lists = [t for t in rotation.layers[mine[0].layer] if HandOvers.of(rotation, t).span(0)[0] <= mine[0].begin]
    people = lists[-1].people if lists else ()
    at = people.index(person) if person in people else -1
    for other in (*people[at + 1 :], *people[: max(at, 0)]):
        if other != person and other not in busy:
            return other
    raise InvalidRequest(f"No other person of {mine[0].layer} is free then: name one with --by.", param="by")


def duties_of(rotation: Rotation, person: str, begin: datetime, end: datetime) -> list[Shift]:
    """Return the shifts of a person that touch a time."""
    return [s for s in shifts(rotation, begin, end) if s.person == person]


def refuse_bad(rotation: Rotation, cover: Cover, now: datetime) -> None:
    """Raise InvalidRequest for a cover that names unknown people, ends too late or in the past, or covers no duty."""
    for key in (cover.instead_of, cover.by):
        if key not in rotation.people:
            raise InvalidRequest(f"{key} is no person of the rotation: one of {', '.join(rotation.people)}.", param="person")
    if cover.instead_of == cover.by:
        raise InvalidRequest(f"{cover.by} cannot cover for the same person.", param="by")
    if cover.ends_at <= max(now, cover.begins_at):
        raise InvalidRequest("A cover ends after it begins, and in the future.", param="until")
    if cover.ends_at - cover.begins_at > LONGEST:
        raise InvalidRequest(
            f"A cover lasts at most {LONGEST.days} days; longer ones belong into the rotation's file.", param="until"
        )
    if not duties_of(rotation, cover.instead_of, cover.begins_at, cover.ends_at):
        raise InvalidRequest(f"{cover.instead_of} is not on call in that time, so there is nothing to cover.", param="person")


def levels_of(rotation: Rotation, person: str, at: datetime) -> list[int]:
    """Return the levels at which a person is on call at a time."""
    return [duty.level for duty in duties(rotation, at) if duty.key == person]


def _ordered(found: Iterable[Cover]) -> list[Cover]:
    return sorted(found, key=lambda cover: (cover.entered_at, cover.id))


def _append(file: Path, cover: Cover) -> None:
    line = json.dumps(asdict(cover), default=str, ensure_ascii=False) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
        out.write(line)
        out.flush()
        os.fsync(out.fileno())


def _read_line(line: str) -> Cover | None:
    try:
        cover = _cover(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None
    aware = cover.begins_at.tzinfo and cover.ends_at.tzinfo and cover.entered_at.tzinfo
    return cover if aware and cover.begins_at < cover.ends_at else None


def _cover(read: Mapping[str, Any]) -> Cover:
    """A line's fields. Raises ValueError, KeyError or TypeError for what is no cover."""
    return Cover(
        instead_of=str(read["instead_of"]),
        by=str(read["by"]),
        begins_at=datetime.fromisoformat(read["begins_at"]),
        ends_at=datetime.fromisoformat(read["ends_at"]),
        entered_by=str(read["entered_by"]),
        reason=str(read["reason"]),
        entered_at=datetime.fromisoformat(read["entered_at"]),
        id=uuid.UUID(read["id"]),
    )
