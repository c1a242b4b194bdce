"""The duties of a rotation over a span, compared with one moment at a time (P4)."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rotas import NAMES, rotation

from app.oncall.incidents import duty
from app.oncall.incidents.duty import RotationDuties
from app.oncall.incidents.handoff import next_change
from app.oncall.incidents.report import hours_of
from app.oncall.rota.rotation import DAYS, Rotation
from app.oncall.rota.shifts import on_call, shifts

STEP, INSTANT = timedelta(minutes=15), timedelta(microseconds=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)  # the clocks go forward on the 8th in Canada, on the 29th in Europe
MOMENTS = st.integers(0, 40 * 96).map(lambda steps: MARCH + steps * STEP)
CLOCKS = st.integers(0, 95).map(lambda steps: f"{steps // 4:02}:{steps % 4 * 15:02}")


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    """Two levels, hours of service, a cover; everything begins and ends at quarters of an hour."""
    turns: dict[str, Any] = {
        name: {
            "from": "2026-01-01", "people": draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)),
            "every": draw(st.sampled_from(["week", "day"])), "length": draw(st.integers(1, 3)),
        }
        for name in ("first", "second")
    }  # fmt: skip
    if draw(st.booleans()):
        turns["first"]["hours"] = {"days": list(DAYS[:5]), "begin": draw(CLOCKS), "end": draw(CLOCKS)}
    begin = draw(MOMENTS)
    cover = {"by": "cat", "instead_of": "ann", "begin": begin, "end": begin + draw(st.integers(1, 700)) * STEP}
    return rotation(
        timezone=draw(st.sampled_from(["Europe/Berlin", "UTC", "America/St_Johns"])), change_at=draw(CLOCKS), overrides=[cover],
        serving={"days": draw(st.lists(st.sampled_from(DAYS), min_size=1)), "begin": draw(CLOCKS), "end": draw(CLOCKS)},
        layers={name: [one] for name, one in turns.items()},
        plan=[{"from": "2026-01-01", "levels": [{"layers": ["first"]}, {"layers": ["second"]}]}],
    )  # fmt: skip


def called(r: Rotation, at: datetime) -> list[str]:
    """The people on duty at one moment."""
    return [person.name for level in (1, 2) if (person := on_call(r, at, level))]


@given(rotations(), MOMENTS, st.integers(1, 10 * 96))
@hypothesis_settings(max_examples=10)
def test_changes_are_where_the_people_of_two_moments_differ(r: Rotation, since: datetime, steps: int) -> None:
    until = since + steps * STEP
    expected = [(since, called(r, since))]
    for step in range(1, steps):
        people = called(r, since + step * STEP)
        if people != expected[-1][1]:
            expected.append((since + step * STEP, people))
    assert RotationDuties(r).changes(since, until) == expected


@given(rotations(), MOMENTS, st.integers(1, 10 * 96))
@hypothesis_settings(max_examples=10)
def test_hours_add_up_to_those_of_every_quarter_of_an_hour(r: Rotation, since: datetime, steps: int) -> None:
    whole, outside = Counter[str](), Counter[str]()
    for at in (since + step * STEP for step in range(steps)):
        for name in called(r, at)[:1]:
            whole[name] += 1
            outside[name] += not any(begin <= at < end for begin, end in r.served((at, at + INSTANT)))
    found = hours_of(RotationDuties(r), since, since + steps * STEP)
    assert {name: hours for name, (hours, _) in found.items()} == pytest.approx({name: n / 4 for name, n in whole.items()})
    assert {name: hours for name, (_, hours) in found.items()} == pytest.approx({name: outside[name] / 4 for name in whole})


def test_a_year_is_read_with_one_look_at_the_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports and hand-over messages are made where calls are served: 2,700 looks for a month held these up for a second."""
    looks = Mock(wraps=shifts)
    monkeypatch.setattr(duty, "shifts", looks)
    lists = {name: [{"from": "2026-01-01", "people": [person]}] for name, person in (("agency", "ann"), ("client", "bob"))}
    plan = [{"from": "2026-01-01", "levels": [{"layers": ["agency"]}, {"layers": ["client"]}]}]
    duties = RotationDuties(rotation(layers=lists, plan=plan))
    assert hours_of(duties, MARCH, MARCH + timedelta(days=400)) == {"Ann": (9600.0, 0.0)}
    assert next_change(duties, MARCH) is None
    assert looks.call_count == 2
