"""A demo's keys end, and a start makes others in time (S6)."""

import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.security.keys.administration import KeyAdministration
from app.security.keys.token import key_id_of
from app.security.tables import api_keys
from app.settings import Settings
from app.stack import setup


async def test_a_demos_keys_end_and_a_later_start_makes_others(engine: AsyncEngine, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, demo_tenant=f"demo-{uuid.uuid4().hex[:8]}")
    admin = KeyAdministration(engine, secret=settings.secret)

    async def started() -> dict[str, str]:
        await setup._tenants(settings, engine, lambda _: None)
        return setup.keys(settings)

    first = await started()
    ends = {one.id: one.expires_at for one in await admin.list_keys()}
    ids = {name: key_id_of(token) or "" for name, token in first.items()}
    assert all(timedelta(days=89) < (ends[one] or datetime.now(UTC)) - datetime.now(UTC) < setup.LIFE for one in ids.values())
    assert await started() == first
    soon = datetime.now(UTC) + setup.RENEWED - timedelta(hours=1)
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).where(api_keys.c.id == ids[setup.CONSOLE]).values(expires_at=soon))
    later = await started()
    assert {name for name in first if first[name] != later[name]} == {setup.CONSOLE}


def test_a_start_looks_at_its_keys_again_before_they_end(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    (tmp_path / setup.KEYS_FILE).write_text("{}")
    stamp = tmp_path / setup.STAMP_FILE
    stamp.write_text(setup._fingerprint(settings))
    assert setup.is_done(settings)
    os.utime(stamp, (0, time.time() - setup.RENEWED.total_seconds() - 60))
    assert not setup.is_done(settings)
