"""A ledger asks Valkey less often while no entry waits."""

from unittest.mock import AsyncMock, MagicMock

import pytest

from app.budget.ledger import AT_REST_EVERY, Ledger
from app.budget.scopes import SHARDS
from app.domain.periodic import Periodic


@pytest.mark.parametrize(("waiting", "pauses"), [(0, [AT_REST_EVERY]), (1, [])])
async def test_the_next_look_is_later_only_where_no_entry_waits(
    waiting: int, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey, wanted = MagicMock(), list[float]()
    lengths = [0] * (SHARDS - 1) + [waiting]
    valkey.pipeline.return_value.__aenter__.return_value = MagicMock(execute=AsyncMock(return_value=lengths))
    monkeypatch.setattr(Periodic, "retry_in", lambda _, seconds: wanted.append(seconds))
    monkeypatch.setattr(Ledger, "_carry", AsyncMock(return_value=1))
    assert await Ledger(MagicMock(), valkey).drain() == waiting
    assert wanted == pauses
