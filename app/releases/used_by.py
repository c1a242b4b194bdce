"""Which tenants called an alias or a prompt lately, refused and failed calls included. For those who would take it away."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncEngine

BY_CLIENTS = ("chat", "embeddings")  # features of calls that name their target; a product's calls have its own
_USED = sql(
    """
    SELECT target, tenant, count(*) AS calls FROM calls
    WHERE at > now() - interval '7 days' AND target IN :targets AND feature <> 'shadow'
      AND (target NOT IN :closed OR feature IN :clients)
    GROUP BY target, tenant ORDER BY calls DESC, tenant
    """
).bindparams(*(bindparam(name, expanding=True) for name in ("targets", "closed", "clients")))


async def used_by(
    engine: AsyncEngine, targets: Collection[str], closed: Collection[str] = ()
) -> Mapping[str, Sequence[tuple[str, int]]]:
    """The tenants of each target in the last seven days with their calls, most first. Raises SQLAlchemyError.

    ``closed``: targets that their product still calls, of which only clients' calls count.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    if targets:
        values = {"targets": sorted(targets), "closed": sorted(closed) or [""], "clients": BY_CLIENTS}
        async with engine.connect() as connection:
            for row in await connection.execute(_USED, values):
                found.setdefault(row.target, []).append((row.tenant, row.calls))
    return found
