"""The seconds of real rollbacks, from the command or the button to the last worker, as the operators' log keeps them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import actions
from app.releases.following import Followed, noted_in
from app.releases.history import ROLLBACK, SET_BACK, Activation

NEAR = timedelta(minutes=5)  # between the two rows of one rollback, which two clocks may date
MOST = 500


async def of_rollbacks(engine: AsyncEngine, past: Sequence[Activation]) -> Mapping[int, Followed]:
    """What was measured of these activations, by their number. Raises SQLAlchemyError or OSError."""
    back = [one for one in past if one.kind in (ROLLBACK, SET_BACK)]
    if not back:
        return {}
    done = select(actions.c.at, actions.c.subject).where(
        actions.c.action.in_(("rollback", "rollback --force")), actions.c.outcome == "ok"
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(done.order_by(actions.c.number.desc()).limit(MOST))).all()
    return matched([(row.at, row.subject) for row in rows], back)


def matched(rows: Sequence[tuple[datetime, str]], back: Sequence[Activation]) -> Mapping[int, Followed]:
    """Give each activation the row of its release that is nearest in time, if one is near."""
    found = {}
    for one in back:
        near = [(abs(at - one.at), took) for at, text in rows if (took := noted_in(text)) and took.release == one.release]
        nearest = min(near, key=lambda pair: pair[0], default=None)
        if nearest and nearest[0] <= NEAR:
            found[one.number] = nearest[1]
    return found
