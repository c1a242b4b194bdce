"""A worker keeps no API key in plain text."""

from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Unauthenticated
from app.security.keys.ring import KeyRing

KEY = "a key that was sent"


async def test_a_worker_keeps_no_key_in_plain_text() -> None:
    ring = KeyRing(cast("AsyncEngine", None), secret=b"secret")
    assert not ring.knows(KEY)
    with pytest.raises(Unauthenticated):
        await ring.authenticate(KEY)
    assert ring.knows(KEY), "the answer is remembered, by the hash"
    assert KEY not in repr(vars(ring))
