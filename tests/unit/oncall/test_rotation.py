"""The rotation: the person on call at each time, and the validator's findings (P1, P6)."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from conftest import ROOT
from pydantic import ValidationError

from app.domain.errors import Misconfigured
from app.oncall.rotation import Rotation, load_rotation

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
PERSON = {"phone": "+1 555 0100", "mail": "x@example.com"}
DATA: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "change_at": "09:00",
    "serving": {},
    "people": {name: {"name": name.title(), **PERSON} for name in ("ann", "bob", "cat", "dan")},
    "schedules": {
        "agency": {"people": ["ann", "bob"], "start": "2026-11-02", "days": 7},
        "client": {"people": ["cat", "dan"], "start": "2026-11-02", "days": 7},
    },
    "handover": {"start": "2026-11-02", "agency_first_days": 90, "agency": "agency", "client": "client"},
}


def rotation(**changes: Any) -> Rotation:  # noqa: ANN401 - any part of the file
    return Rotation.model_validate({**deepcopy(DATA), **changes})


def called(r: Rotation, *at: int) -> list[str]:
    return [duty.person.name for duty in r.on_call(datetime(*at, tzinfo=BERLIN))]  # type: ignore[arg-type,misc]  # parts of a date


def test_people_take_turns_at_the_hour_of_change() -> None:
    assert called(rotation(), 2026, 11, 9, 8, 59) == ["Ann", "Cat"]
    assert called(rotation(), 2026, 11, 9, 9, 0) == ["Bob", "Dan"]
    assert called(rotation(), 2026, 11, 16, 9, 0) == ["Ann", "Cat"]


def test_the_agency_is_first_for_its_days_and_then_the_clients_backup() -> None:
    """P1: the hand-over."""
    assert called(rotation(), 2027, 1, 30, 12) == ["Ann", "Cat"]
    assert called(rotation(), 2027, 1, 31, 12) == ["Cat", "Ann"]


def test_an_override_takes_the_duty_and_gives_it_back() -> None:
    holidays = {"schedule": "agency", "person": "dan", "begin": "2026-11-10T18:00+01:00", "end": "2026-11-10T20:00+01:00"}
    r = rotation(overrides=[holidays])
    assert called(r, 2026, 11, 10, 18) == ["Dan"], "who is named twice is called once"
    assert called(r, 2026, 11, 10, 20) == ["Bob", "Dan"]


def test_until_is_when_the_next_one_is_called() -> None:
    holidays = {"schedule": "agency", "person": "cat", "begin": "2026-11-10T17:00Z", "end": "2026-11-10T19:00Z"}
    first, second = rotation(overrides=[holidays]).on_call(datetime(2026, 11, 10, 12, tzinfo=BERLIN))
    assert first.until == datetime(2026, 11, 10, 18, tzinfo=BERLIN)
    assert second.until == datetime(2026, 11, 16, 9, tzinfo=BERLIN)


def test_a_change_of_the_clocks_moves_no_turn() -> None:
    """Berlin leaves summer time on 2027-10-31 and enters it on 2027-03-28."""
    r = rotation()
    for day in ((2027, 3, 29), (2027, 11, 1)):
        assert called(r, *day, 8, 59) != called(r, *day, 9, 0)
        (duty, *_) = r.on_call(datetime(*day, 8, 59, tzinfo=BERLIN))
        assert duty.until == datetime(*day, 9, tzinfo=BERLIN)


def test_the_person_named_last_is_called_after_every_schedule_and_always() -> None:
    duties = rotation(last=["dan"]).on_call(datetime(2026, 11, 3, 12, tzinfo=BERLIN))
    assert [(d.person.name, d.until is None) for d in duties] == [("Ann", False), ("Cat", False), ("Dan", True)]


def test_a_rotation_that_covers_everything_has_no_problems() -> None:
    assert rotation().problems(NOW, production=True) == []


def test_every_gap_is_reported_with_its_begin_and_end() -> None:
    """Two gaps of different lengths: one before a schedule starts, one where an override names the same person twice."""
    twice = {"schedule": "agency", "person": "dan", "begin": "2026-12-10T18:10+01:00", "end": "2026-12-10T18:50+01:00"}
    late = deepcopy(DATA["schedules"])
    late["client"]["start"] = "2026-11-30"
    late["client"]["people"] = ["dan"]
    assert rotation(schedules=late, overrides=[twice]).problems(NOW, production=True) == [
        "2026-11-23 17:00 CET to 2026-11-30 09:00 CET: 1 of at least 2 levels are covered",
        "2026-12-10 18:10 CET to 2026-12-10 18:50 CET: 1 of at least 2 levels are covered",
    ]


def test_a_gap_without_end_is_reported_up_to_the_horizon() -> None:
    alone = deepcopy(DATA["schedules"])
    alone["client"]["people"] = alone["agency"]["people"] = ["ann"]
    assert rotation(schedules=alone).problems(NOW, production=True) == [
        "2026-11-23 17:00 CET to 2027-02-21 17:00 CET: 1 of at least 2 levels are covered"
    ]


def test_hours_outside_the_service_need_no_person() -> None:
    night = {"schedule": "agency", "person": "dan", "begin": "2026-12-10T19:00+01:00", "end": "2026-12-10T23:00+01:00"}
    late = deepcopy(DATA["schedules"])
    late["client"]["people"] = ["dan"]
    days = {"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "08:00", "end": "20:00"}
    assert rotation(schedules=late, overrides=[night], serving=days).problems(NOW, production=True) == [
        "2026-12-10 19:00 CET to 2026-12-10 20:00 CET: 1 of at least 2 levels are covered"
    ]


@pytest.mark.parametrize(
    ("at", "served"),
    [((2026, 11, 27, 23), True), ((2026, 11, 28, 5), True), ((2026, 11, 28, 7), False), ((2026, 11, 28, 23), False)],
    ids=["friday night", "early on saturday", "saturday morning", "saturday night"],
)
def test_serving_past_midnight_belongs_to_the_day_it_began(at: tuple[int, int, int, int], served: bool) -> None:
    nights = rotation(serving={"days": ["fri"], "begin": "22:00", "end": "06:00"}).serving
    assert nights.at(datetime(*at, tzinfo=BERLIN)) is served


def test_placeholders_are_refused_in_production_and_only_there() -> None:
    """P6."""
    people = deepcopy(DATA["people"])
    people["ann"]["placeholder"] = True
    r = rotation(people=people)
    assert r.problems(NOW, production=False) == []
    assert r.problems(NOW, production=True) == ["ann: a placeholder; put a real person in"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timezone": "Europe/Atlantis"}, "is not a time zone"),
        ({"last": ["eve"]}, "named but not declared: eve"),
        ({"people": {"ann": {"name": "Ann", "mail": "x@example.com"}}}, "phone"),
        ({"people": {"ann": {**PERSON, "name": "Ann", "phone": "call me"}}}, "phone"),
        ({"serving": {"days": []}}, "at least 1 item"),
        ({"serving": {"hours": "all"}}, "Extra inputs are not permitted"),
        (
            {"overrides": [{"schedule": "agency", "person": "ann", "begin": "2026-11-10T18:00", "end": "2026-11-10T19:00"}]},
            "timezone",
        ),
        (
            {"overrides": [{"schedule": "agency", "person": "ann", "begin": "2026-11-10T18:00Z", "end": "2026-11-10T18:00Z"}]},
            "ends after it begins",
        ),
    ],
    ids=["zone", "stranger", "no phone", "no number", "never served", "unknown key", "time without zone", "empty override"],
)
def test_a_file_that_could_mislead_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rotation(**change)


def test_a_fault_in_a_file_is_reported_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "rotation.yaml"
    with pytest.raises(Misconfigured, match="OCTANT_ROTATION_FILE"):
        load_rotation(path)
    path.write_text("people: [")
    with pytest.raises(Misconfigured, match="is not YAML"):
        load_rotation(path)
    path.write_text(yaml.safe_dump({**DATA, "change_at": "nine"}))
    with pytest.raises(Misconfigured, match="change_at"):
        load_rotation(path)


def test_the_rotation_in_the_repository_holds_and_is_plainly_an_example() -> None:
    r = load_rotation(ROOT / "runbook" / "oncall" / "rotation.yaml")
    assert r.problems(datetime.now(UTC), production=False) == []
    assert len(r.problems(datetime.now(UTC), production=True)) == len(r.people)
    for person in r.people.values():
        assert person.placeholder
        assert " 555 " in person.phone
        assert person.mail.endswith("@example.com")
