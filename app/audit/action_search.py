"""A search in the operators' log: by operator, action, subject, outcome and time, newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import SIGN_IN
from app.audit.tables import actions

LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFilter:
    """The conditions of a search; empty or None does not restrict. Texts match within a field, in any case.

    ``before``: the number from which on to go back; the total is counted without it. ``sign_ins``: False leaves out those of the
    console, True finds them alone.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    reason: str = ""
    failed: bool | None = None
    sign_ins: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class FoundActions:
    """One page of rows, and how many there are on all pages."""

    rows: Sequence[Row[Any]]
    total: int


async def find_actions(engine: AsyncEngine, wanted: ActionFilter) -> FoundActions:
    """Search. Rows and total come from the same conditions. Raises SQLAlchemyError or OSError."""
    conditions = list(_conditions(wanted))
    page = select(actions).where(*conditions).order_by(actions.c.number.desc()).limit(wanted.limit)
    if wanted.before is not None:
        page = page.where(actions.c.number < min(wanted.before, LARGEST))
    async with engine.connect() as connection:
        total = await connection.scalar(select(func.count()).select_from(actions).where(*conditions))
        return FoundActions((await connection.execute(page)).all(), int(total or 0))


def _conditions(wanted: ActionFilter) -> list[ColumnElement[bool]]:
    found = [
        actions.c[name].icontains(text, autoescape=True)
        for name in ("actor", "action", "subject", "reason")
        if (text := getattr(wanted, name))
    ]
    if wanted.failed is not None:
        ended = ("ok", "begun")  # an action of the console stands twice: as it begins, and how it ended
        found.append(actions.c.outcome.not_in(ended) if wanted.failed else actions.c.outcome.in_(ended))
    if wanted.sign_ins is not None:
        found.append(actions.c.action == SIGN_IN if wanted.sign_ins else actions.c.action != SIGN_IN)
    if wanted.since:
        found.append(actions.c.at >= wanted.since)
    if wanted.until:
        found.append(actions.c.at < wanted.until)
    return found
