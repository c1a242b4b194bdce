"""The files that releases pin, kept in Postgres since their activation: every machine can serve all that was ever live.

Prompts and price tables are kept by their hash, an index by its version, which is made from its content. A worker that lacks a
file, or has another under its name, takes the kept one. So a fresh volume, a new replica or a checkout of other code can follow a
rollback, and no operator has to find a file at 3 a.m.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.releases.manifest import Manifest, Places, sha256_of
from app.releases.tables import release_files

MOST_BYTES = 64 * 2**20  # of one file; a larger index is copied to the machines by other means


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file that a manifest pins. ``key``: its hash, or an index's version. ``kept``: where a kept copy is put."""

    key: str
    path: Path
    kept: Path
    is_index: bool = False

    def is_there(self) -> bool:
        """Whether this machine has it, as it was pinned. An index is compared when a kept one is known."""
        if self.is_index:
            return self.path.is_file()
        return any(path.is_file() and sha256_of(path) == self.key for path in (self.path, self.kept))


def files_of(manifest: Manifest, places: Places) -> Iterator[PinnedFile]:
    """Every file that a manifest pins."""
    yield _by_hash(manifest.prices.sha256, places.directory / manifest.prices.file, places)
    for name, pin in manifest.prompts.items():
        yield _by_hash(pin.sha256, places.prompt_path(name, pin.version), places)
    for version in manifest.indexes.values():
        path = places.index_path(version)
        yield PinnedFile(version, path, path, is_index=True)


async def keep(connection: AsyncConnection, manifest: Manifest, places: Places) -> None:
    """Keep the files of a release that resolves here. One that is kept already stays as it is."""
    for file in files_of(manifest, places):
        path = file.path if file.is_index or sha256_of(file.path) == file.key else file.kept
        content = path.read_bytes()
        if len(content) > MOST_BYTES:
            continue
        values = {"key": file.key, "sha256": hashlib.sha256(content).hexdigest(), "name": path.name, "content": content}
        await connection.execute(insert(release_files).values(values).on_conflict_do_nothing())


async def fetch(engine: AsyncEngine, manifest: Manifest, places: Places) -> list[str]:
    """Put the files that this machine lacks where they belong. Returns what is neither here nor kept, a sentence each.

    Raises SQLAlchemyError or OSError, Misconfigured for a kept file that was changed in the database.
    """
    files = list(files_of(manifest, places))
    known = await _hashes(engine, [file.key for file in files])
    missing = []
    for file in files:
        wanted = known.get(file.key)
        there = file.path.is_file() and sha256_of(file.path) == wanted if file.is_index and wanted else file.is_there()
        if there:
            continue
        if wanted is None:
            missing.append(f"{file.path} is not on this machine, and no activation has kept it ({file.key}).")
            continue
        _put(file.kept, await _content(engine, file.key, wanted))
    return missing


def _by_hash(sha256: str, path: Path, places: Places) -> PinnedFile:
    return PinnedFile(sha256, path, places.kept_path(sha256))


async def _hashes(engine: AsyncEngine, keys: Sequence[str]) -> dict[str, str]:
    statement = select(release_files.c.key, release_files.c.sha256).where(release_files.c.key.in_(keys))
    async with engine.connect() as connection:
        return {row.key: row.sha256 for row in await connection.execute(statement)}


async def _content(engine: AsyncEngine, key: str, sha256: str) -> bytes:
    statement = select(release_files.c.content).where(release_files.c.key == key)
    async with engine.connect() as connection:
        content = bytes((await connection.execute(statement)).scalar_one())
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Misconfigured(f"The kept copy of {key} was changed in the database: its hash is not {sha256[:12]}….")
    return content


def _put(path: Path, content: bytes) -> None:
    """Write beside the place and rename: other workers of this machine may read it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.chmod(0o444)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
