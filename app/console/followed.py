"""The seconds of changes of the live release, from the command or the button to the last worker, by the operators' log."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import actions
from app.releases.following import Followed, noted_in
from app.releases.history import Activation

NEAR = timedelta(minutes=5)  # between the two rows of one change, which two clocks may date
MOST = 500
COMMANDS = [name + force for name in ("rollback", "release activate", "release promote") for force in ("", " --force")]


async def of_changes(engine: AsyncEngine, past: Sequence[Activation]) -> Mapping[int, Followed]:
    """What was measured of these activations, by their number. Raises SQLAlchemyError or OSError."""
    if not past:
        return {}
    done = select(actions.c.at, actions.c.subject).where(actions.c.action.in_(COMMANDS), actions.c.outcome == "ok")
    async with engine.connect() as connection:
        rows = (await connection.execute(done.order_by(actions.c.number.desc()).limit(MOST))).all()
    return matched([(row.at, row.subject) for row in rows], past)


def matched(rows: Sequence[tuple[datetime, str]], past: Sequence[Activation]) -> Mapping[int, Followed]:
    """Give each activation the row of its release that is nearest in time, if one is near, and each row to one of them."""
    near = sorted(
        (abs(at - one.at), one.number, n, took)
        for n, (at, text) in enumerate(rows)
        if (took := noted_in(text))
        for one in past
        if took.release == one.release and abs(at - one.at) <= NEAR
    )
    found, used = dict[int, Followed](), set[int]()
    for _, number, n, took in near:
        if number not in found and n not in used:
            found[number] = took
            used.add(n)
    return found
