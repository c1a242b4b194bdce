"""Injected faults: their kinds, their schedule, and refusals of invalid ones."""

import time
from typing import Any

import pytest

from app.simulator.faults import KINDS, BadFault, Fault, Faults, parse


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_understood_with_its_defaults(kind: str) -> None:
    assert parse({"kind": kind}).parameters == dict(KINDS[kind])


@pytest.mark.parametrize(
    "body",
    [
        5,
        {},
        {"kind": "nonsense"},
        {"kind": "hang", "seconds": 5},
        {"kind": "hang", "provider": "google"},
        {"kind": "hang", "probability": 1.5},
        {"kind": "hang", "times": "many"},
        {"kind": "hang", "times": True},
        {"kind": "status", "status": "500"},
        {"kind": "hang", "every_seconds": 0},
    ],
    ids=str,
)
def test_an_invalid_fault_is_refused_with_a_reason(body: Any) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(BadFault, match=r"\w+ \w+"):
        parse(body)


def in_force(at: float, **schedule: float) -> bool:
    return Fault(kind="hang", put_at=time.monotonic() - at, **schedule).in_force()  # type: ignore[arg-type]


def test_a_schedule_says_when_a_fault_strikes() -> None:
    """R9: from, for, and again every."""
    assert not in_force(1, after_seconds=5)
    assert in_force(6, after_seconds=5)
    assert in_force(9, for_seconds=10)
    assert not in_force(11, for_seconds=10)
    assert [in_force(at, after_seconds=10, for_seconds=5, every_seconds=20) for at in (5, 12, 16, 32, 36)] == [
        False, True, False, True, False,
    ]  # fmt: skip


def test_a_fault_that_is_over_is_forgotten_and_one_that_is_yet_to_come_is_not() -> None:
    faults = Faults()
    faults.add([parse({"kind": "hang", "for_seconds": 0}), parse({"kind": "empty", "after_seconds": 60})])
    assert faults.strike("openai", "m") == {}
    assert [f["kind"] for f in faults.as_json()] == ["empty"]


def test_probability_is_a_share_and_repeatable() -> None:
    def struck() -> int:
        faults = Faults(seed=7)
        faults.add([parse({"kind": "hang", "probability": 0.3})])
        return sum(bool(faults.strike("openai", "m")) for _ in range(1000))

    assert struck() == struck()
    assert 250 < struck() < 350


def test_times_are_counted_down_only_for_those_it_strikes() -> None:
    faults = Faults()
    faults.add([parse({"kind": "hang", "times": 2, "model": "m"})])
    struck = [bool(faults.strike("openai", model)) for model in ("m", "other", "m", "m")]
    assert struck == [True, False, True, False]
