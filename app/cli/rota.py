"""The rotation for operators' commands: the file's, with the covers that Postgres and this machine's file know."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.oncall.rota.covers import Cover, Covers
    from app.oncall.rota.rotation import Rotation
    from app.settings import Settings


def loaded() -> "Rotation":
    """Return the file's rotation. Raises Misconfigured naming each problem with its line."""
    from app.oncall.rota.reading import load_rotation
    from app.settings import load

    return load_rotation(load().rotation_file)


def covered(since: datetime) -> "Rotation":
    """Return the rotation with the covers that end after ``since``. Without Postgres the file's and this machine's are used.

    A message on standard error says so then, since a cover that was entered elsewhere is missing.
    """
    from app.oncall.rota.covers import current

    async def read() -> "tuple[Rotation, bool]":
        async with _covers() as (covers, _):
            return await current(loaded(), covers, since=since)

    rotation, answered = asyncio.run(read())
    if not answered:
        print("octant: Postgres is not set or does not answer; covers entered elsewhere are missing here.", file=sys.stderr)
    return rotation


def keep(cover: "Cover") -> "str | None":
    """Keep a cover in Postgres. Where that is away, return the path of this machine's file, which holds it instead."""

    async def write() -> "str | None":
        async with _covers() as (covers, settings):
            return None if await covers.add(cover) else str(_file(settings))

    return asyncio.run(write())


@asynccontextmanager
async def _covers() -> "AsyncGenerator[tuple[Covers, Settings], None]":
    from app.oncall.rota.covers import Covers
    from app.stores import build_engine

    settings = _settings()
    engine = build_engine(settings, pooled=False) if settings.database_url else None
    try:
        yield Covers(engine, file=_file(settings)), settings
    finally:
        if engine is not None:
            await engine.dispose()


def _settings() -> "Settings":
    """The settings with stores; those alone that are set where no demo runs. Raises Misconfigured for a bad value."""
    from app.cli.stores import settings_with_stores
    from app.domain.errors import Misconfigured
    from app.settings import load

    settings = load()
    if settings.database_url:
        return settings
    try:
        return settings_with_stores()
    except Misconfigured:
        return settings


def _file(settings: "Settings") -> Path:
    from app.oncall.rota.covers import FILE

    return settings.state_dir / FILE
