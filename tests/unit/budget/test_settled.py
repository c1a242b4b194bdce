"""What was settled lately is kept, and for longer where its counters are lost: no longer than they are."""

import tracemalloc
import uuid

import pytest

from app.budget import settled
from app.budget.settled import Settled, Settlement

MOST_BYTES = 200  # of memory for a call that is settled: its own objects take 700


def settlement(shard: int) -> Settlement:
    entry = f'{{"tenant":"acme","user":"{uuid.uuid4()}","trace":"{uuid.uuid4().hex}","request":"{uuid.uuid4().hex}"}}'
    keys = [
        f"octant:{{{shard}}}:{name}" for name in ("epoch", "leases", "all:day:2026-11-30", "acme:day", "acme:month", "ledger")
    ]
    return Settlement(shard, keys, [1_234, uuid.uuid4().hex, entry, 900, 0, -1, -1, 86_400, 0, 50, 80, 95])


def test_old_settlements_are_kept_only_while_their_shards_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, one, two = Settled(), settlement(1), settlement(2)
    kept.note([one])
    kept.note([two, one])
    kept.forget({1})
    assert [*kept.of(1), *kept.of(2)] == [[one], [one], [two]], "they are recent"
    monkeypatch.setattr(settled, "RESENT_SECONDS", -1.0)
    kept.forget({1})
    assert [*kept.of(1), *kept.of(2)] == [[one], [one]], "those of the other shard in the same batch are not"
    kept.forget({1, 2})
    assert [*kept.of(2)] == [], "nor if that is lost later"
    kept.forget({1})
    assert [*kept.of(1)] == [[one], [one]], "for as long as it is lost"
    kept.forget(())
    assert [*kept.of(1), *kept.of(2)] == []


def test_settlements_may_be_noted_while_those_of_a_shard_are_sent() -> None:
    kept, one = Settled(), settlement(1)
    kept.note([one])
    sent = []
    for batch in kept.of(1):
        sent.append(batch)
        kept.note([one])
    assert sent == [[one]]


def test_a_settled_call_takes_little_memory() -> None:
    kept = Settled()
    tracemalloc.start()
    try:
        for _ in range(200):
            kept.note([settlement(number % 16) for number in range(20)])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / (200 * 20) < MOST_BYTES
