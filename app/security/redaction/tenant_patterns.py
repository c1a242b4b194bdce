"""A tenant's own patterns: its customer numbers, code names, everything that has a pattern.

Patterns are RE2, so none can stall a worker, and bounded in number, length and memory. They only add: findings of `entity_types`
are replaced in any case. Each process keeps all patterns and reads changes every `EVERY` seconds; while Postgres is
away, the last known ones stay in force. A process that starts meanwhile knows none: until it does, texts are replaced whole.
A stored one that cannot be used (a row that was changed, a limit that is new) stops no worker: until it is mended, its tenant's
texts are replaced whole, and no other's.

A pattern that is removed stays stored as long as records that it may have written: they hold a user's id as it left it, and
erasing the user has to find them.
"""

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import re2
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import InvalidRequest, NotFound
from app.domain.periodic import Periodic
from app.domain.store_errors import why
from app.security.redaction.limits import RedactionStalled
from app.security.tables import redaction_patterns, tenants

MOST = 20  # of a tenant
LONGEST = 200  # characters
EVERY = 2.0
FORGET_EVERY = 3600.0
LATE = timedelta(days=2)  # a removed pattern may write until midnight, and where Postgres was away until it is back
_MEMORY = 1 << 20  # bytes that one may take
_NAME = re.compile(r"[a-z]{2,10}(?:-[a-z]{2,9})?")
# Read every two seconds: built once.
_COUNTS = select(
    func.count(redaction_patterns.c.id),
    func.coalesce(func.max(redaction_patterns.c.id), 0),
    func.count(redaction_patterns.c.removed_at),
)
_ORDINARY = "My order NW-10001 of 3 items has not arrived by 2026-11-23, where is it? I paid 129.00 for it."
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of a tenant, ready to search."""

    tenant: str
    name: str
    pattern: str
    compiled: Any

    @property
    def usable(self) -> bool:
        """Return whether it can be searched for."""
        return not isinstance(self.compiled, Unusable)


class Unusable:
    """Replaces a stored pattern that does not compile: redaction with it fails, and so replaces the text whole."""

    def finditer(self, _text: bytes) -> Iterator[Any]:
        """Raises RedactionStalled."""
        raise RedactionStalled


def compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 is not typed
    """Compile what a tenant wrote. Raises InvalidRequest for what is no RE2, too large, or would take ordinary words away."""
    if not 0 < len(pattern) <= LONGEST:
        raise InvalidRequest(f"A pattern has 1 to {LONGEST} characters.", param="pattern")
    options = re2.Options()
    options.max_mem, options.log_errors, options.never_nl = _MEMORY, False, True
    try:
        found = re2.compile(pattern, options=options)
    except re2.error as error:
        raise InvalidRequest(f"Not a pattern that RE2 takes: {_reason(error)}.", param="pattern") from None
    taken = sum(match.end() - match.start() for match in found.finditer(_ORDINARY.encode()))
    if found.search(b"") or taken > len(_ORDINARY) // 2:
        raise InvalidRequest("The pattern matches nothing at all, or most of an ordinary sentence.", param="pattern")
    return found


class TenantPatterns:
    """The patterns of all tenants, kept fresh. Call one as a function of a tenant's id."""

    def __init__(self, engine: AsyncEngine, *, keep_days: int | None = None) -> None:
        """``keep_days``: how long records are kept, and so what was removed; None deletes nothing."""
        self._engine = engine
        self._keep_days = keep_days
        self._known: Mapping[str, Sequence[Pattern]] = {}
        self._starting = False
        self._state: tuple[int, int, int] | None = None
        self._unusable: frozenset[tuple[str, str]] = frozenset()
        away = (SQLAlchemyError, OSError)
        refused = "redaction patterns not refreshed, the last known stay"
        kept = "removed redaction patterns not deleted, will retry"
        self._refreshing = Periodic(
            "redaction patterns", self.refresh, every=EVERY, at_once=False, survives=away, complaint=refused
        )
        self._forgetting = Periodic("removed redaction patterns", self.forget, every=FORGET_EVERY, survives=away, complaint=kept)

    def __call__(self, tenant: str) -> Sequence[Pattern]:
        """The patterns in force for ``tenant``. No I/O."""
        if self._starting and tenant:
            return (Pattern(tenant, "", "", Unusable()),)
        return self._known.get(tenant, ())

    async def start(self) -> None:
        """Load, and keep fresh. With Postgres away that is done later; without its patterns no text of a tenant is written."""
        self._starting = True
        try:
            await self.refresh()
        except (SQLAlchemyError, OSError) as error:
            log.warning("redaction patterns unknown, texts are replaced whole", extra=why(error))
        self._refreshing.start()
        self._forgetting.start()

    async def aclose(self) -> None:
        """Stop."""
        await asyncio.gather(self._refreshing.stop(), self._forgetting.stop())

    async def refresh(self) -> None:
        """Take over what changed. Raises SQLAlchemyError."""
        table = redaction_patterns.c
        async with self._engine.connect() as connection:
            state = (await connection.execute(_COUNTS)).one()
            if tuple(state) == self._state and not self._unusable:  # an operator may mend a row in place
                self._starting = False
                return
            in_force = select(redaction_patterns).where(table.removed_at.is_(None)).order_by(table.id)
            rows = (await connection.execute(in_force)).all()
        known: dict[str, list[Pattern]] = {}
        for row in rows:
            known.setdefault(row.tenant_id, []).append(_stored(row))
        self._known, self._state, self._starting = known, (state[0], state[1], state[2]), False
        self._tell_unusable(frozenset((p.tenant, p.name) for patterns in known.values() for p in patterns if not p.usable))

    def _tell_unusable(self, found: frozenset[tuple[str, str]]) -> None:
        """One line for each that is new. Never the pattern itself: what a tenant wants hidden may be written out in it."""
        for tenant, name in sorted(found - self._unusable):
            log.error(
                "redaction pattern unusable: its tenant's texts are replaced whole", extra={"tenant": tenant, "pattern": name}
            )
        self._unusable = found

    async def add(self, tenant: str, name: str, pattern: str) -> None:
        """Add a pattern whose findings show as ``<name:…>``. Raises InvalidRequest, or NotFound for an unknown tenant."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest("A name has small letters, one hyphen between them at most, and at most 20.", param="name")
        compiled(pattern)
        async with self._engine.begin() as connection:
            await _lock(connection, tenant)
            table = redaction_patterns.c
            there = select(func.count()).where(table.tenant_id == tenant, table.removed_at.is_(None))
            if (await connection.scalar(there) or 0) >= MOST:
                raise InvalidRequest(f"A tenant has at most {MOST} patterns.", param="pattern")
            try:
                row = {"tenant_id": tenant, "name": name, "pattern": pattern, "created_at": func.clock_timestamp()}
                await connection.execute(insert(redaction_patterns).values(row))
            except IntegrityError:
                raise InvalidRequest(f"{tenant!r} has a pattern {name!r}: remove it first.", param="name") from None

    async def remove(self, tenant: str, name: str) -> None:
        """Take a pattern out of force. Raises NotFound."""
        table = redaction_patterns.c
        there = (table.tenant_id == tenant, table.name == name, table.removed_at.is_(None))
        async with self._engine.begin() as connection:
            await _lock(connection, tenant)
            gone = await connection.execute(update(redaction_patterns).where(*there).values(removed_at=func.clock_timestamp()))
        if not gone.rowcount:
            raise NotFound(f"{tenant!r} has no pattern {name!r}. `octant redaction list` shows all.")

    async def history(self, tenant: str) -> list[tuple[Pattern, ...]]:
        """Each set of a tenant's patterns under which stored records may have been written; the empty set too."""
        table = redaction_patterns.c
        async with self._engine.connect() as connection:
            stored = select(redaction_patterns).where(table.tenant_id == tenant).order_by(table.id)
            rows = [(row, _stored(row)) for row in await connection.execute(stored)]
        moments = sorted({at for row, _ in rows for at in (row.created_at, row.removed_at) if at})
        sets = (
            tuple(p for row, p in rows if row.created_at <= at and (row.removed_at is None or at < row.removed_at))
            for at in moments
        )
        return list(dict.fromkeys([(), *sets]))

    async def forget(self, now: datetime | None = None) -> int:
        """Delete what was removed so long ago that no record of it is left. Returns how many. Raises SQLAlchemyError."""
        if self._keep_days is None:
            return 0
        before = (now or datetime.now(UTC)) - timedelta(days=self._keep_days) - LATE
        async with self._engine.begin() as connection:
            gone = await connection.execute(delete(redaction_patterns).where(redaction_patterns.c.removed_at < before))
        return gone.rowcount

    async def listed(self, tenant: str | None = None) -> list[Pattern]:
        """All patterns as they are stored, or one tenant's."""
        await self.refresh()
        return [p for of, patterns in sorted(self._known.items()) if tenant in {None, of} for p in patterns]


async def _lock(connection: AsyncConnection, tenant: str) -> None:
    """One change of a tenant's at a time: two at once could pass the limit, or be in force in another order than is stored.

    Raises NotFound.
    """
    if not (await connection.execute(select(tenants.c.id).where(tenants.c.id == tenant).with_for_update())).one_or_none():
        raise NotFound(f"No tenant {tenant!r}. `octant tenant create` makes one.")


def _stored(row: Any) -> Pattern:  # noqa: ANN401 - a row
    """Check a stored pattern again: the code and the library may have changed since it was added, or the row itself."""
    try:
        found = compiled(row.pattern) if _NAME.fullmatch(row.name) else Unusable()
    except InvalidRequest:
        found = Unusable()
    return Pattern(row.tenant_id, row.name, row.pattern, found)


def _reason(error: Exception) -> str:
    words = error.args[0] if error.args else "it does not compile"
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)
