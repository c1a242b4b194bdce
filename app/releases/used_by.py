"""Which tenants called an alias or a prompt lately, refused and failed calls included. For those who would take it away."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncEngine

_USED = sql(
    """
    SELECT target, tenant, count(*) AS calls FROM calls WHERE at > now() - interval '7 days' AND target IN :targets
    GROUP BY target, tenant ORDER BY calls DESC, tenant
    """
).bindparams(bindparam("targets", expanding=True))


async def used_by(engine: AsyncEngine, targets: Collection[str]) -> Mapping[str, Sequence[tuple[str, int]]]:
    """The tenants of each target in the last seven days with their calls, most first. Raises SQLAlchemyError."""
    found: dict[str, list[tuple[str, int]]] = {}
    if targets:
        async with engine.connect() as connection:
            for row in await connection.execute(_USED, {"targets": sorted(targets)}):
                found.setdefault(row.target, []).append((row.tenant, row.calls))
    return found
