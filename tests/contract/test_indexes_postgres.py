"""Indexes on a real Postgres (B6): checked before they are pinned, and collected when no release may need them."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from conftest import ROOT, own_database
from manifests import PRICES, write
from redis.asyncio import Redis
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.releases import collecting
from app.releases.manifest import Places
from app.releases.releases import Releases
from app.releases.tables import activations, manifests, release_files

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MANIFEST = (ROOT / "releases" / "0-start.toml").read_text()


@pytest_asyncio.fixture(scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    with own_database(database_url, "collecting") as url:
        engine = create_async_engine(url)
        yield engine
        await engine.dispose()


@pytest_asyncio.fixture
async def stored(own_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[tuple[AsyncEngine, Places]]:
    """Eight versions of an index, a day apart, 1 the oldest: files here, and kept ones of 1 to 4; and one of another product."""
    places = Places(directory=tmp_path / "releases", prompts=tmp_path, indexes=tmp_path / "indexes", providers=frozenset())
    for folder in (places.directory, places.indexes):
        folder.mkdir()
    for number in range(1, 9):
        at = NOW - timedelta(days=300 - number)
        path = places.index_path(f"lamps-{number}")
        path.write_bytes(b"index")
        os.utime(path, (at.timestamp(), at.timestamp()))
        if number <= 4:
            row = {"key": path.stem, "sha256": "0" * 64, "name": path.name, "content": b"index", "kept_at": at}
            async with own_engine.begin() as connection:
                await connection.execute(insert(release_files).values(row))
    places.index_path("shades-1").write_bytes(b"index")
    yield own_engine, places
    async with own_engine.begin() as connection:
        for table in (release_files, activations, manifests):
            await connection.execute(table.delete())


def pinning(release: str, version: str) -> str:
    return MANIFEST.replace('id = "0-start"', f'id = "{release}"') + f'\n[indexes]\nlamps = "{version}"\n'


async def live(engine: AsyncEngine, *spans: tuple[str, str, float]) -> None:
    """Releases with an index each, live one after the other from so many days ago."""
    async with engine.begin() as connection:
        for release, version, days in spans:
            await connection.execute(insert(manifests).values(id=release, sha256="0" * 64, text=pinning(release, version)))
            values = {"release": release, "previous": None, "kind": "activate", "by": "t", "reason": "t"}
            await connection.execute(insert(activations).values(**values, at=NOW - timedelta(days=days)))


async def old(engine: AsyncEngine, places: Places, keep: int = 5, days: int = 90) -> list[str]:
    found = await collecting.old(engine, places, ["lamps"], keep=keep, since=NOW - timedelta(days=days))
    return [one.version for one in found]


async def test_the_newest_few_stay_and_other_products_files_too(stored: tuple[AsyncEngine, Places]) -> None:
    assert await old(*stored) == ["lamps-1", "lamps-2", "lamps-3"]
    assert await old(*stored, keep=8) == []


async def test_an_index_of_a_release_that_was_live_lately_stays_whenever_it_began(stored: tuple[AsyncEngine, Places]) -> None:
    """Release b was activated long ago and was live until 50 days ago; release a ended before that."""
    engine, _ = stored
    await live(engine, ("a", "lamps-1", 250), ("b", "lamps-2", 200), ("c", "lamps-8", 50))
    assert await old(*stored) == ["lamps-1", "lamps-3"]
    assert await old(*stored, days=30) == ["lamps-1", "lamps-2", "lamps-3"]
    assert await old(*stored, days=220) == ["lamps-3"]


async def test_an_index_of_the_live_release_stays_however_old(stored: tuple[AsyncEngine, Places]) -> None:
    engine, _ = stored
    await live(engine, ("a", "lamps-1", 250))
    assert await old(*stored, days=1) == ["lamps-2", "lamps-3"]


async def test_an_index_of_a_manifest_that_was_never_live_stays(stored: tuple[AsyncEngine, Places]) -> None:
    _, places = stored
    (places.directory / "next.toml").write_text(pinning("next", "lamps-3"))
    assert await old(*stored) == ["lamps-1", "lamps-2"]


async def test_nothing_goes_while_a_manifest_cannot_be_read(stored: tuple[AsyncEngine, Places]) -> None:
    _, places = stored
    (places.directory / "next.toml").write_text("half a manif")
    with pytest.raises(Misconfigured, match="Nothing is collected"):
        await old(*stored)


async def test_what_goes_is_gone_here_and_in_postgres_and_nothing_else(stored: tuple[AsyncEngine, Places]) -> None:
    engine, places = stored
    found = await collecting.old(engine, places, ["lamps"], keep=5, since=NOW)
    await collecting.remove(engine, found)
    assert sorted(path.stem for path in places.indexes.glob("*")) == [*(f"lamps-{n}" for n in range(4, 9)), "shades-1"]
    async with engine.connect() as connection:
        assert list((await connection.execute(select(release_files.c.key))).scalars()) == ["lamps-4"]


async def test_an_index_that_finds_too_little_is_never_pinned_and_an_accepted_one_stays_accepted(
    stored: tuple[AsyncEngine, Places], valkey: Redis
) -> None:
    engine, places = stored
    found = ["finds the document of 10% of 65 labelled queries."]
    places = replace(places, providers=frozenset({"openai"}), recall_problems={"lamps": lambda _: found})
    places.prices.mkdir()
    (places.prices / "p1.toml").write_text(PRICES)
    for name in ("a", "b"):
        write(places.directory, name, '[indexes]\nlamps = "lamps-8"')
    operator = Releases(engine, valkey, places, secret=b"tests")
    with pytest.raises(Misconfigured, match=r"(?s)Release a cannot be live:.*lamps-8.*finds the document of 10%"):
        await operator.activate("a", by="ada", reason="better")
    assert await operator.history() == []
    found.clear()
    await operator.activate("a", by="ada", reason="better")
    found.append("finds the document of 10% of 65 labelled queries.")
    with pytest.raises(Misconfigured, match="Release b cannot be live"):
        await operator.try_out("b", 0.1, by="ada", reason="a canary", cap=MicroUSD(1), days=1)
    await operator.activate("a", by="ada", reason="again: the queries have changed since")
