"""Whom a release would refuse that takes an alias or a prompt away, on a real Postgres."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from records import a_record
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.rows import Writer
from app.releases.used_by import used_by


async def test_only_calls_that_would_fail_afterwards_are_counted(engine: AsyncEngine) -> None:
    """A product goes on calling a prompt that is closed to clients, and no client waits for a shadow's call."""
    at = datetime.now(UTC) - timedelta(hours=3, seconds=random.randrange(3600))  # noqa: S311
    prompt = f"extract/{uuid4().hex[:8]}"
    base = a_record(at=at, attempts=())
    await Writer(engine).write(
        [
            replace(base, id=uuid4().hex, request_id=uuid4().hex, target=prompt, feature=feature)
            for feature in ("extract", "extract", "extract", "chat", "shadow")
        ]
    )
    [(_, client)] = (await used_by(engine, [prompt], [prompt]))[prompt]
    [(_, every)] = (await used_by(engine, [prompt]))[prompt]
    assert (client, every) == (1, 4), "a prompt that is removed fails its product, too"
