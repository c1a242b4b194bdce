"""What a load needs, reckoned from measured costs."""

import json

import pytest
from conftest import ROOT

from app.stack.capacity import Costs, Load, lines, needed
from benchmarks.speed.report import added
from benchmarks.speed.upstream import EVENTS


def test_a_small_load_has_two_replicas_and_little_else() -> None:
    found = needed(Load(rps=1))
    assert (found.replicas, found.workers) == (2, 4)
    assert found.valkey_cores < 0.01


def test_cores_follow_calls_events_and_the_share_that_may_be_used() -> None:
    costs = Costs(request=2_000, event=100)
    assert needed(Load(rps=1_000, busy=0.5), costs).workers == 4
    assert needed(Load(rps=1_000, busy=0.25), costs).workers == 8
    assert needed(Load(rps=1_000, busy=0.5, events=60), costs).workers == 16


def test_a_core_that_is_half_busy_answers_some_610_calls_a_second() -> None:
    assert needed(Load(rps=1_500, busy=0.5)).workers == 2 * 2
    assert needed(Load(rps=2_400, busy=0.5)).workers == 4
    assert needed(Load(rps=2_500, busy=0.5)).workers == 6


def test_the_cpu_of_a_call_and_of_an_event_is_the_one_last_measured() -> None:
    """The raw results that docs/performance.md shows; there an event's CPU includes its share of the request."""
    results = json.loads((ROOT / "benchmarks/results/speed.json").read_text())
    request, event = (added(results, "Octant, everything on", figure)[0] for figure in ("cpu", "event"))
    assert Costs().request == pytest.approx(request, rel=0.05)
    assert Costs().event == pytest.approx(event - request / EVENTS, rel=0.1)


def test_a_month_of_records_and_of_the_ledger_follows_the_average_load() -> None:
    found = needed(Load(rps=100, average=0.5, keep_days=10), Costs(record_bytes=1_000, ledger_bytes=100))
    calls = 50 * 30 * 24 * 3600
    assert found.postgres_bytes_a_month == calls * 1_000
    assert found.postgres_bytes_kept == pytest.approx(calls * 1_000 / 3)
    assert found.ledger_bytes_a_month == calls * 100


@pytest.mark.parametrize(("rps", "said"), [(10, "used"), (100_000, "times too small")])
def test_the_part_that_is_full_first_is_named(rps: float, said: str) -> None:
    load = Load(rps=rps)
    assert said in [*lines(load, needed(load))][-1]
