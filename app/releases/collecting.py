"""Old indexes: which of them may go (B6).

A file stays if a release that was live lately pins it, or the canary, or a manifest that was never live yet. The newest few of
each index stay whatever pins them. The rest is deleted here and in Postgres. It is not lost: `octant index build --version` makes
an index of a recorded release again from its sources.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.releases import canaries, history
from app.releases.manifest import Places, parse
from app.releases.tables import manifests, release_files
from app.releases.texts import text_of

SUFFIX = ".sqlite"


@dataclass(frozen=True, slots=True)
class Stored:
    """An index version: when it was built or kept, and where it is."""

    version: str
    at: datetime
    file: Path | None
    kept: bool


async def old(engine: AsyncEngine, places: Places, names: Iterable[str], *, keep: int, since: datetime) -> list[Stored]:
    """The indexes that may go, oldest first. ``names``: of the products' indexes; files of others are left alone.

    ``keep``: how many of each stay at least; those of releases live ``since`` then stay, too.
    """
    async with engine.connect() as connection:
        needed = await _pinned(connection, places, since)
        stored = await _stored(connection, places)
    found: list[Stored] = []
    for name in names:
        versions = sorted((s for s in stored if s.version.startswith(f"{name}-")), key=lambda s: s.at)
        found += [s for s in versions[: max(0, len(versions) - keep)] if s.version not in needed]
    return sorted(found, key=lambda s: s.at)


async def remove(engine: AsyncEngine, stored: Sequence[Stored]) -> None:
    """Delete indexes, in Postgres first: a worker that lacks a file must not find half of them."""
    async with engine.begin() as connection:
        await connection.execute(delete(release_files).where(release_files.c.key.in_([s.version for s in stored if s.kept])))
    for one in stored:
        if one.file:
            one.file.unlink(missing_ok=True)


async def _pinned(connection: AsyncConnection, places: Places, since: datetime) -> set[str]:
    """The versions that are needed."""
    texts = {row.id: row.text for row in await connection.execute(select(manifests.c.id, manifests.c.text))}
    past = await history.read(connection, limit=100_000)  # newest first
    ends = [datetime.max.replace(tzinfo=since.tzinfo), *(activation.at for activation in past)]
    wanted = {activation.release for activation, end in zip(past, ends, strict=False) if end >= since}
    if running := await canaries.running(connection):
        wanted |= {running.release, running.against}
    drafts = [text_of(path) for path in places.directory.glob("*.toml") if path.stem not in texts]
    needed: set[str] = set()
    for text in (*(texts[name] for name in wanted), *drafts):
        try:
            needed |= set(parse(text, "a manifest").indexes.values())
        except Misconfigured as error:
            raise Misconfigured(f"Nothing is collected: which indexes a release needs cannot be read. {error}") from None
    return needed


async def _stored(connection: AsyncConnection, places: Places) -> list[Stored]:
    """Every index file here, and every kept one."""
    columns = (release_files.c.key, release_files.c.kept_at)
    rows = await connection.execute(select(*columns).where(release_files.c.name.endswith(SUFFIX)))
    kept = {row.key: row.kept_at for row in rows}
    files = {path.stem: path for path in places.indexes.glob(f"*{SUFFIX}")}
    zone = next((at.tzinfo for at in kept.values()), None)
    return [
        Stored(
            version,
            kept.get(version) or datetime.fromtimestamp(files[version].stat().st_mtime).astimezone(zone),
            file,
            version in kept,
        )
        for version in sorted({*kept, *files})
        for file in (files.get(version),)
    ]
