"""What was settled lately is kept, and for longer where its counters are lost: no longer than they are."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.budget import settled
from app.budget.hold import Hold
from app.budget.settled import Settled


def hold(shard: int) -> Hold:
    return cast("Hold", cast(Any, SimpleNamespace(shard=shard)))


def test_old_settlements_are_kept_only_for_the_shards_that_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, one, two = Settled(), hold(1), hold(2)
    kept.note([one, two])
    kept.forget({1})
    assert [*kept.of(1), *kept.of(2)] == [one, two], "they are recent"
    monkeypatch.setattr(settled, "RESENT_SECONDS", -1.0)
    kept.forget({1})
    assert [*kept.of(1), *kept.of(2)] == [one]
    kept.forget({1})
    assert [*kept.of(1)] == [one], "for as long as it is lost"
    kept.forget(())
    assert [*kept.of(1)] == []
