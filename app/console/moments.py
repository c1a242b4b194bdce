"""The moments since which a page may look back: the last change of the live release, and the begin of an open incident."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.incidents.store import OPEN
from app.oncall.incidents.tables import incidents
from app.releases.tables import activations

_RELEASE = select(func.max(activations.c.at)).scalar_subquery()
_INCIDENT = select(func.min(incidents.c.opened_at)).where(incidents.c.status == OPEN).scalar_subquery()
_MOMENTS = select(_RELEASE.label("release"), _INCIDENT.label("incident"))


async def moments(engine: AsyncEngine) -> Mapping[str, datetime]:
    """By the name of `ranges.EVENTS`; of several incidents the oldest. What there is none of is left out.

    Raises SQLAlchemyError or OSError.
    """
    async with engine.connect() as connection:
        row = (await connection.execute(_MOMENTS)).mappings().one()
    return {name: at for name, at in row.items() if at is not None}
