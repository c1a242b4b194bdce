"""Pseudonyms of erased users, so that late records are dropped (O7, O8)."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.tables import erasures
from app.domain.records import CallRecord

LOCK = 0x0C82
Pseudonym = Callable[[str, str], str]  # of a tenant and a user's id


async def note(engine: AsyncEngine, tenant: str, people: Sequence[str], at: datetime) -> None:
    """From now on, records of these people's calls up to ``at`` are passed over."""
    put = postgresql.insert(erasures).values([{"tenant": tenant, "person": person, "at": at} for person in people])
    async with engine.begin() as connection:
        await connection.execute(put.on_conflict_do_update(index_elements=["tenant", "person"], set_={"at": at}))


async def wait_for_writers(connection: AsyncConnection) -> None:
    """Wait until all writers have finished; later ones see what was noted. Holds until the transaction ends."""
    await connection.execute(text("SET LOCAL lock_timeout = 0"))  # a batch may take as long as a statement may
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


async def without_erased(connection: AsyncConnection, batch: Sequence[CallRecord], pseudonym: Pseudonym) -> list[CallRecord]:
    """The records that may be written, in the connection's transaction."""
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": LOCK})
    people = {who: pseudonym(*who) for who in {(record.tenant, record.user) for record in batch}}
    wanted = select(erasures.c.tenant, erasures.c.person, erasures.c.at).where(erasures.c.person.in_(set(people.values())))
    found = {(row.tenant, row.person): row.at for row in await connection.execute(wanted)}
    if not found:
        return list(batch)
    until = {who: found.get((who[0], person)) for who, person in people.items()}
    return [r for r in batch if (at := until[r.tenant, r.user]) is None or r.at > at]
