"""Values that calls have by field, for a form that suggests them. No texts, no users."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import connected

FIELDS = (
    "tenant", "key_id", "feature", "target", "outcome", "provider", "model", "model_answered", "release", "prompt",
    "prompt_version",
)  # fmt: skip
LATEST = 1_000  # calls: the index by time leads to them, however many there are
LOOK_BACK = timedelta(days=7)
MOST = 50  # values of a field

_STATEMENT = text(
    f"WITH latest AS MATERIALIZED (SELECT {', '.join(FIELDS)}, degraded FROM calls"  # noqa: S608 - names are constants
    f" WHERE at >= :since AND at < :until ORDER BY at DESC LIMIT {LATEST})"
    f" SELECT {', '.join(f'array_agg(DISTINCT {name}) AS {name}' for name in FIELDS)},"
    " (SELECT array_agg(DISTINCT code) FROM latest, unnest(degraded) AS code) AS degraded FROM latest"
)


async def values_of_late(engine: AsyncEngine, until: datetime) -> Mapping[str, Sequence[str]]:
    """The values of the latest calls before ``until``, by field. Raises SQLAlchemyError, OSError or InvalidRequest."""
    async with connected(engine) as connection:
        row = (await connection.execute(_STATEMENT, {"since": until - LOOK_BACK, "until": until})).mappings().one()
    return {name: [value for value in found or () if value][:MOST] for name, found in row.items()}
