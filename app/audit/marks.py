"""Calls that operators mark for the evals: the next round makes each a candidate for a case (E9).

The service knows no suite, so it cannot make a case of a call; it can say which calls are worth one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.erasures import LOCK as ERASING
from app.audit.scores import eval_candidates, eval_marks
from app.audit.tables import calls
from app.domain.errors import InvalidRequest, NotFound


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked call. ``candidate``: its number, None before a round took it up, or where no suite could read the call.

    ``state`` is the candidate's, ``case`` the one it became.
    """

    call_id: str
    note: str
    marked_at: datetime
    read_at: datetime | None
    candidate: int | None
    state: str | None
    case: str | None


async def marks_of(engine: AsyncEngine, call_ids: Sequence[str]) -> Mapping[str, Mark]:
    """The marks of these calls, by call. Raises SQLAlchemyError."""
    m, c = eval_marks.c, eval_candidates.c
    wanted = select(m.call_id, m.note, m.marked_at, m.read_at, m.candidate, c.state, c.case)
    joined = wanted.select_from(eval_marks.outerjoin(eval_candidates, c.id == m.candidate)).where(m.call_id.in_(call_ids))
    async with engine.connect() as connection:
        return {row.call_id: Mark(*row) for row in await connection.execute(joined)}


async def mark(engine: AsyncEngine, call_id: str, note: str) -> None:
    """Mark a call. ``note`` is redacted already. Raises NotFound, InvalidRequest for a second time, or SQLAlchemyError."""
    columns = (calls.c.id, calls.c.at, calls.c.tenant, calls.c.user, calls.c.request_id)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": ERASING})
        row = (await connection.execute(select(*columns).where(calls.c.id == call_id))).one_or_none()
        if row is None:
            raise NotFound(f"There is no record of a call {call_id[:64]!r}.")
        values = {"call_id": row.id, "at": row.at, "tenant": row.tenant, "user": row.user, "request_id": row.request_id}
        try:
            await connection.execute(insert(eval_marks).values(**values, note=note, marked_at=datetime.now(UTC)))
        except IntegrityError:
            raise InvalidRequest("This call is marked already.", param="call") from None


async def unmark(engine: AsyncEngine, call_id: str) -> None:
    """Take a mark back, before a round took it up. Raises InvalidRequest, or SQLAlchemyError."""
    waiting = eval_marks.c.call_id == call_id, eval_marks.c.read_at.is_(None)
    async with engine.begin() as connection:
        if not (await connection.execute(delete(eval_marks).where(*waiting))).rowcount:
            raise InvalidRequest("No mark of this call waits for a round. Dismiss its candidate instead.", param="call")
