"""The measurement of replicas fails where money is not exact, where workers do not help, or where a replica idles."""

from dataclasses import replace

import pytest

from benchmarks.speed import scale
from benchmarks.speed.report import table
from benchmarks.speed.scale import Capped, Shape, problems

EXACT = Capped(cap=50_000, answered=600, refused=65, reported=47_000, spent=47_000, held=0, booked=47_000, left=False)
SHAPES = [
    Shape("1 worker", 700, 1_300, 0.8, [1.0]), Shape("2 workers", 900, 1_350, 1.0, [1.0]),
    Shape("4 workers", 900, 1_400, 1.0, [1.0]), Shape("2 replicas", 880, 1_350, 1.0, [0.52, 0.48]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"spent": 50_001, "reported": 50_001, "booked": 50_001}, "cap of 50000"),
        ({"reported": 46_900}, "answers reported 46900"),
        ({"booked": 46_900}, "the ledger has 46900"),
        ({"held": 5}, "5 micro-dollars are still held"),
        ({"refused": 0}, "no request was refused"),
        ({"left": True}, "the cap was not used up"),
    ],
)
def test_money_that_is_not_exact_over_two_replicas_is_a_problem(change: dict[str, int], expected: str) -> None:
    assert EXACT.problems() == []
    (found,) = replace(EXACT, **change).problems()  # type: ignore[arg-type]
    assert expected in found


def test_workers_that_do_not_help_and_replicas_that_idle_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "CORES", 2)
    assert problems(SHAPES, EXACT) == []
    (slow,) = problems([SHAPES[0], replace(SHAPES[1], rate=710), *SHAPES[2:]], EXACT)
    assert "two workers answer 1.01 times" in slow
    (idle,) = problems([*SHAPES[:3], replace(SHAPES[3], shares=[0.9, 0.1])], EXACT)
    assert "a replica has 10%" in idle


@pytest.mark.parametrize(
    ("rate", "event", "expected"), [(94, 900.0, [True] * 3), (149, 30.0, [True, True, False]), (700, 30.0, [False] * 3)]
)
def test_a_server_that_takes_less_than_the_paced_rate_shows_no_latency(rate: float, event: float, expected: list[bool]) -> None:
    one = {
        "rate": rate,
        "cpu": 1.0,
        "known": 1.0,
        "p50": 900.0,
        "p99": 3000.0,
        "first_token": 2000.0,
        "event": event,
        "memory": 1.0,
    }
    found = {
        "plan": {"rate": 150.0, "streams": 50.0},
        "provider": [{"p50": 1.0, "p99": 1.0, "first_token": 1.0}],
        "servers": {"slow": {"rounds": [one], "ready": [1.0]}},
    }
    cells = [cell.strip() for cell in table(found).splitlines()[-1].split("|")]
    assert [cell == "overloaded" for cell in cells[7:10]] == expected
