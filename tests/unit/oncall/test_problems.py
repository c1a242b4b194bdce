"""The validator of the rotation: everything that would leave a page unanswered (P1)."""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest
from rotas import BERLIN, DATA, NOW, one_layer, rotation

from app.oncall.rota.problems import notes, problems


def found(**changes: Any) -> list[str]:  # noqa: ANN401 - any part of the file
    return problems(rotation(**changes), NOW, production=True)


def lists(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a list
    """The layers, with the client's list changed."""
    layers = deepcopy(DATA["layers"])
    layers["client"][0] |= changes
    return dict(layers)


def person(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a person
    return {**DATA["people"], "ann": {**DATA["people"]["ann"], **changes}}


def test_a_rotation_that_covers_everything_has_no_problems() -> None:
    assert found() == []
    assert notes(rotation(), NOW) == []


def test_every_gap_is_reported_with_its_begin_and_end() -> None:
    """Before a list begins, and from the past only what still lies ahead."""
    assert found(layers=lists(**{"from": "2026-11-30"})) == [
        "2026-11-23 17:00 CET to 2026-11-30 09:00 CET: 1 of at least 2 levels are covered"
    ]


def test_hours_outside_the_service_need_no_person() -> None:
    hours = [{"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "07:00", "end": "19:00"}]
    served = {"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "08:00", "end": "20:00"}
    gaps = found(layers=lists(hours=hours), serving=served)
    assert gaps[0] == "2026-11-23 19:00 CET to 2026-11-23 20:00 CET: 1 of at least 2 levels are covered"
    assert len(gaps) == sum((NOW + timedelta(days=n)).weekday() < 5 for n in range(90))
    assert found(layers=lists(hours=hours), serving={**served, "end": "19:00"}) == []


def test_two_continents_leave_an_hour_empty_in_the_weeks_between_their_changes_of_the_clocks() -> None:
    """Europe changes its clocks on 2027-03-28, New York on 2027-03-14."""
    hours = {"east": {"begin": "08:00", "end": "20:00"}, "west": {"begin": "14:00", "end": "02:00"}}
    layers = {
        name: [{"from": "2026-11-02", "people": [who], "every": "day", "timezone": zone, "hours": [hours[name]]}]
        for name, who, zone in (("east", "p0", "Europe/Berlin"), ("west", "p1", "America/New_York"))
    }
    plan = [{"from": "2020-01-01", "levels": [{"layers": ["east", "west"]}, {"layers": ["back"]}]}]
    r = one_layer(people=3, layers={**layers, "back": [{"from": "2026-11-02", "people": ["p2"]}]}, plan=plan)
    gaps = [p for p in problems(r, datetime(2027, 3, 1, tzinfo=BERLIN), production=True) if "covered" in p]
    assert gaps[0] == "2027-03-15 07:00 CET to 2027-03-15 08:00 CET: 1 of at least 2 levels are covered"
    assert len(gaps) == 13


def test_one_person_at_two_levels_is_reported_and_whether_no_other_is_there() -> None:
    twice = {"layer": "agency", "by": "dan", "begin": "2026-12-10T18:10+01:00", "end": "2026-12-10T18:50+01:00"}
    (double,) = found(overrides=[twice])
    assert double == "2026-12-10 18:10 CET to 2026-12-10 18:50 CET: dan is at levels 1 and 2, and no other person is on call"
    third = deepcopy(DATA["plan"])
    third[0]["levels"].append({"layers": ["client"]})
    assert any("is at levels 2 and 3" in line and "no other" not in line for line in found(plan=third))


def test_a_plan_with_one_level_is_reported() -> None:
    plan = [{"from": "2026-11-02", "levels": [{"layers": ["agency"]}]}]
    assert "the plan from 2026-11-02 has 1 of at least 2 levels" in found(plan=plan)


def test_a_person_with_most_of_the_first_level_is_a_single_point_of_failure() -> None:
    layers = deepcopy(DATA["layers"])
    layers["agency"][0]["people"] = ["ann", "ann", "ann", "bob"]
    (share,) = found(layers=layers, limits={"days_in_a_row": 40, "share": 0.5})
    assert share.startswith("ann has ")
    assert "a single point of failure" in share
    assert found(layers=layers, limits={"days_in_a_row": 40, "share": 0.9}) == []


def test_shifts_and_rows_of_shifts_that_are_too_long_are_reported() -> None:
    layers = lists(length=2)
    assert any("a shift of 14.0 days for dan, more than 7" in line for line in found(layers=layers))
    assert any("dan is on call for 14.0 days in a row, more than 10" in line for line in found(
        layers=layers, limits={"shift_days": 14, "days_in_a_row": 10}
    ))  # fmt: skip
    assert found(layers=layers, limits={"shift_days": 14, "days_in_a_row": 14}) == []


def test_a_week_in_which_the_clocks_change_is_not_too_long() -> None:
    r = rotation()
    assert problems(r, datetime(2027, 10, 20, tzinfo=BERLIN), production=True) == []


def test_a_person_who_leaves_has_no_later_shifts() -> None:
    (late,) = found(people=person(leaves="2026-12-16"))
    assert late == "ann leaves on 2026-12-16 and has 6 shifts after that, the first on 2026-12-16 00:00 CET"
    assert found(people=person(leaves="2027-06-01")) == []


def test_two_people_with_one_phone_are_reported() -> None:
    phone = DATA["people"]["bob"]["phone"].replace(" ", "-")
    assert found(people=person(phone=phone)) == ["ann and bob have the same phone, +491700000011"]


def test_parts_of_the_file_that_do_nothing_are_notes_and_no_problems() -> None:
    """A check of every change must not fail because an override has ended."""
    extra = {**DATA["people"], "eve": {**DATA["people"]["ann"], "phone": "+49 170 0000099"}}
    layers = {**DATA["layers"], "nights": [{"from": "2026-11-02", "people": ["ann"]}]}
    overrides = [
        {"instead_of": "ann", "by": "bob", "begin": "2026-11-03T09:00+01:00", "end": "2026-11-04T09:00+01:00"},
        {"instead_of": "ann", "by": "cat", "begin": "2026-11-24T09:00+01:00", "end": "2026-11-25T09:00+01:00"},
    ]
    r = rotation(people=extra, layers=layers, overrides=overrides)
    assert problems(r, NOW, production=True) == []
    assert notes(r, NOW) == [
        "nights: no part of the plan calls this layer",
        "eve: in no list and no override",
        "the override of ann by bob ended on 2026-11-04 09:00 CET: it can be removed",
        "the override of ann by cat changes nothing: ann has no duty then",
    ]


@pytest.mark.parametrize("at", ["2026-10-25T00:30+00:00", "2026-10-25T01:30+00:00", "2027-03-28T01:00+00:00"])
def test_hours_of_service_that_begin_while_the_clocks_change_are_checked(at: str) -> None:
    layers = {
        "agency": [{"from": "2026-01-05", "people": ["ann", "bob"]}],
        "client": [{"from": "2026-01-05", "people": ["cat", "dan"]}],
    }
    plan = [{"from": "2026-01-05", "levels": [{"layers": ["agency"]}, {"layers": ["client"]}]}]
    r = rotation(layers=layers, plan=plan, serving={"begin": "02:30", "end": "02:00"})
    assert problems(r, datetime.fromisoformat(at), production=True) == []
