"""The calls that a stop would have met: those of the last minutes, by what can be stopped. No texts, no users."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.records import NO_MODEL

LOOK_BACK = timedelta(minutes=15)
_CONDITIONS = {
    "all": "true",
    "provider": "provider = :name",
    "model": "(target = :name OR provider || '/' || model = :name)",
    "prompt": "target = :name",
    "feature": "(feature = :name OR feature LIKE :within)",
    "tenant": "tenant = :name",
    "user": 'tenant = :tenant AND "user" = :user',
}


@dataclass(frozen=True, slots=True)
class Recent:
    """Calls within `LOOK_BACK`, and the tenants that they were of."""

    calls: int
    tenants: int


async def recent_calls(engine: AsyncEngine, scope: str, name: str) -> Recent | None:
    """Count the calls that a stop of this would have met; a user's by TENANT/USER, as records name the user.

    None for a scope that records do not name, such as a tool.

    Raises SQLAlchemyError or OSError.
    """
    if scope not in _CONDITIONS:
        return None
    within = name.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + ".%"
    statement = text(
        "SELECT count(*) AS calls, count(DISTINCT tenant) AS tenants FROM calls"  # noqa: S608 - conditions are constants
        f" WHERE at > now() - CAST(:back AS interval) AND outcome <> ALL(:not_calls) AND {_CONDITIONS[scope]}"
    )
    tenant, _, user = name.partition("/")
    wanted = {"name": name, "tenant": tenant, "user": user, "within": within, "back": LOOK_BACK, "not_calls": sorted(NO_MODEL)}
    names = statement._bindparams  # noqa: SLF001 - a text clause refuses parameters it does not have
    async with engine.connect() as connection:
        found = await connection.execute(statement, {n: v for n, v in wanted.items() if n in names})
        return Recent(**found.mappings().one())
