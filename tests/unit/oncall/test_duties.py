"""The duties of a rotation over a span, compared with one moment at a time (P4)."""

from datetime import UTC, datetime, timedelta
from typing import Any

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
from app.oncall.rota.shifts import on_call

STEP, INSTANT = timedelta(minutes=5), timedelta(microseconds=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)  # the clocks go forward on the 8th in Canada, on the 29th in Europe
MOMENTS = st.integers(0, 40 * 288).map(lambda steps: MARCH + steps * STEP)
CLOCKS = st.integers(0, 287).map(lambda steps: f"{steps // 12:02}:{steps % 12 * 5:02}")


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    """Two levels, hours of service, a cover; everything begins and ends at multiples of five minutes."""
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
    cover = {"by": "cat", "instead_of": "ann", "begin": begin, "end": begin + draw(st.integers(1, 2_000)) * STEP}
    return rotation(
        timezone=draw(st.sampled_from(["Europe/Berlin", "UTC", "America/St_Johns"])), change_at=draw(CLOCKS), overrides=[cover],
        serving={"days": draw(st.lists(st.sampled_from(DAYS), min_size=1)), "begin": draw(CLOCKS), "end": draw(CLOCKS)},
        layers={name: [one] for name, one in turns.items()},
        plan=[{"from": "2026-01-01", "levels": [{"layers": ["first"]}, {"layers": ["second"]}]}],
    )  # fmt: skip


def called(r: Rotation, at: datetime) -> list[str]:
    """The people on duty at one moment."""
    return [person.name for level in (1, 2) if (person := on_call(r, at, level))]


@given(rotations(), MOMENTS, st.integers(1, 30 * 288))
@hypothesis_settings(max_examples=30)
def test_changes_are_where_the_people_of_two_moments_differ(r: Rotation, since: datetime, steps: int) -> None:
    until = since + steps * STEP
    expected = [(since, called(r, since))]
    for step in range(1, steps):
        people = called(r, since + step * STEP)
        if people != expected[-1][1]:
            expected.append((since + step * STEP, people))
    assert RotationDuties(r).changes(since, until) == expected


@given(rotations(), MOMENTS, st.integers(1, 10 * 288))
@hypothesis_settings(max_examples=30)
def test_hours_add_up_to_those_of_every_five_minutes(r: Rotation, since: datetime, steps: int) -> None:
    whole, outside = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)
    for at in (since + step * STEP for step in range(steps)):
        for name in called(r, at)[:1]:
            whole[name.lower()] += 1
            outside[name.lower()] += not any(begin <= at < end for begin, end in r.served((at, at + INSTANT)))
    expected = {
        name.title(): (pytest.approx(whole[name] / 12), pytest.approx(outside[name] / 12)) for name in NAMES if whole[name]
    }
    assert hours_of(RotationDuties(r), since, since + steps * STEP) == expected


def test_a_month_is_read_with_one_look_at_the_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports and hand-over messages are made where calls are served: 2,700 looks held these up for a second."""
    looks, shifts = [], duty.shifts
    monkeypatch.setattr(duty, "shifts", lambda *args: looks.append(args) or shifts(*args))
    lists = {name: [{"from": "2026-01-01", "people": [person]}] for name, person in (("agency", "ann"), ("client", "bob"))}
    duties = RotationDuties(
        rotation(layers=lists, plan=[{"from": "2026-01-01", "levels": [{"layers": ["agency"]}, {"layers": ["client"]}]}])
    )
    assert hours_of(duties, MARCH, MARCH + timedelta(days=400)) == {"Ann": (9600.0, 0.0)}
    assert next_change(duties, MARCH) is None
    assert len(looks) == 2
