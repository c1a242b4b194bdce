"""`octant seed`: the products' sample data."""

import asyncio

from app.cli.audited import changes
from app.features.installed import installed


@changes("seed")
def seed() -> None:
    """Put the products' sample data into the database, for the demo's tenant; existing data stays."""
    for line in asyncio.run(_seed()):
        print(f"{line} are there.")


async def _seed() -> list[str]:
    from app.cli.database import database

    seeds = [feature.seed for feature in installed() if feature.seed]
    if not seeds:
        print("Nothing to do: no installed product has sample data.")
        return []
    async with database() as (engine, settings):
        return [await seed(engine, settings.demo_tenant) for seed in seeds]
