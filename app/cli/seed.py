"""`octant seed`: sample data of the support example."""

import asyncio

from app.cli.audited import changes


@changes("seed")
def seed() -> None:
    """Put the sample orders into the database; what is there stays."""
    print(f"{asyncio.run(_seed())} sample orders are there.")


async def _seed() -> int:
    from app.cli.database import database
    from app.features.support import seeds

    async with database() as (engine, _):
        return await seeds.seed(engine)
