"""An answer of the provider that sign-ins share (S8)."""

import pytest

from app.console.oidc import shared
from app.console.oidc.shared import Shared
from app.domain.errors import DependencyUnavailable


async def test_a_failure_counts_for_a_while_and_an_older_answer_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def read() -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise DependencyUnavailable("away", retry_after=5.0)
        return f"answer {calls}"

    one = Shared(read)
    assert [await one.get(60), await one.get(60)] == ["answer 1", "answer 1"]
    monkeypatch.setattr(shared, "FAILED_FOR", 3600.0)
    for _ in range(3):
        with pytest.raises(DependencyUnavailable, match="away"):
            await one.get(0)
        assert calls == 2
    assert await one.get(3600) == "answer 1"
    monkeypatch.setattr(shared, "FAILED_FOR", 0.0)
    assert [await one.get(0), await one.get(3600)] == ["answer 3", "answer 3"]
