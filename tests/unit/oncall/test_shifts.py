"""The people on call at each hour: turns, levels, overrides, changes of the clocks (P1)."""

import time as clock
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rotas import BERLIN, called, one_layer, rotation

from app.oncall.rota.clocks import common, joined, readings, without
from app.oncall.rota.rotation import DAYS, Rotation, Turns
from app.oncall.rota.shifts import Shift, duties, layer_shifts, on_call, segments, shifts, spans_of

WORKDAYS = list(DAYS[:5])
PEOPLE = ["p0", "p1", "p2"]


def held(r: Rotation, start: str, end: str) -> list[tuple[str, str, str]]:
    """Person, beginning and end of a layer's shifts, in local time."""
    found = layer_shifts(r, "first", *(datetime.fromisoformat(t).replace(tzinfo=r.zone).astimezone(UTC) for t in (start, end)))
    return [(s.person, f"{s.begin.astimezone(r.zone):%a %d %H:%M}", f"{s.end.astimezone(r.zone):%a %d %H:%M}") for s in found]


def test_people_take_turns_at_the_hour_of_change() -> None:
    assert called(rotation(), 2026, 11, 9, 8, 59) == ["ann", "cat"]
    assert called(rotation(), 2026, 11, 9, 9, 0) == ["bob", "dan"]
    assert called(rotation(), 2026, 11, 16, 9, 0) == ["ann", "cat"]
    assert called(rotation(), 2026, 11, 2, 8, 59) == []


def test_the_plan_puts_the_agency_first_and_then_makes_it_the_clients_backup() -> None:
    """P1: the hand-over."""
    assert called(rotation(), 2027, 1, 31, 8, 59) == ["ann", "cat"]
    assert called(rotation(), 2027, 1, 31, 9) == ["cat", "ann"]
    assert on_call(rotation(), datetime(2027, 1, 31, 9, tzinfo=BERLIN), 1) == rotation().people["cat"]
    assert on_call(rotation(), datetime(2027, 1, 31, 9, tzinfo=BERLIN), 3) is None


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        on_call(rotation(), datetime(2027, 1, 31, 9), 1)  # noqa: DTZ001 - the fault itself


def test_a_first_turn_before_the_weekday_of_the_hand_over_is_shorter() -> None:
    r = one_layer({"from": "2026-11-05", "people": PEOPLE, "weekday": "mon", "length": 2})
    assert held(r, "2026-11-05T12:00", "2026-12-01T00:00") == [
        ("p0", "Thu 05 09:00", "Mon 09 09:00"),
        ("p1", "Mon 09 09:00", "Mon 23 09:00"),
        ("p2", "Mon 23 09:00", "Mon 07 09:00"),
    ]


def test_a_daily_turn_of_workdays_goes_on_after_the_weekend_with_the_next_person() -> None:
    """Products restart or repeat a person on Monday, or give turns to days off."""
    r = one_layer(
        {
            "from": "2026-11-02", "people": PEOPLE, "every": "day",
            "hours": [{"days": WORKDAYS, "begin": "09:00", "end": "19:00"}],
        }
    )  # fmt: skip
    assert held(r, "2026-11-05T00:00", "2026-11-10T00:00") == [
        ("p0", "Thu 05 09:00", "Thu 05 19:00"),
        ("p1", "Fri 06 09:00", "Fri 06 19:00"),
        ("p2", "Mon 09 09:00", "Mon 09 19:00"),
    ]


def test_of_fourteen_people_on_workdays_each_has_as_many_turns() -> None:
    hours = [{"days": WORKDAYS, "begin": "09:00", "end": "19:00"}]
    names = [f"p{number}" for number in range(14)]
    r = one_layer({"from": "2026-01-05", "people": names, "every": "day", "hours": hours}, people=14)
    found = layer_shifts(r, "first", datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=14))
    assert {name: sum(s.person == name for s in found) for name in names} == dict.fromkeys(names, 5)


def test_a_weekend_and_the_workdays_are_layers_of_one_level() -> None:
    """From Friday 22:00 for 48 hours, and half a day on workdays with a person for each week."""
    r = one_layer(
        people=4,
        layers={
            "weekend": [
                {
                    "from": "2026-11-02",
                    "people": ["p0", "p1"],
                    "hours": {"days": ["fri", "sat"], "begin": "22:00", "end": "22:00"},
                }
            ],
            "week": [
                {
                    "from": "2026-11-02",
                    "people": ["p2", "p3"],
                    "at": "00:00",
                    "hours": {"days": WORKDAYS, "begin": "03:00", "end": "15:00"},
                }
            ],
        },
        plan=[{"from": "2026-11-02", "levels": [{"layers": ["weekend", "week"]}]}],
    )
    found = shifts(r, datetime(2026, 11, 12, 12, tzinfo=UTC), datetime(2026, 11, 16, 12, tzinfo=UTC))
    assert [(s.person, f"{s.begin.astimezone(r.zone):%a %H}", s.hours) for s in found] == [
        ("p3", "Thu 03", 12.0),
        ("p3", "Fri 03", 12.0),
        ("p1", "Fri 22", 48.0),
        ("p2", "Mon 03", 12.0),
    ]


def test_a_month_is_a_turn() -> None:
    r = one_layer({"from": "2026-11-15", "people": PEOPLE, "every": "month", "monthday": 1})
    assert held(r, "2026-11-20T00:00", "2027-01-02T00:00") == [
        ("p0", "Sun 15 09:00", "Tue 01 09:00"),
        ("p1", "Tue 01 09:00", "Fri 01 09:00"),
        ("p2", "Fri 01 09:00", "Mon 01 09:00"),
    ]


def test_day_and_night_are_turns_of_their_own() -> None:
    r = one_layer({"from": "2026-11-02", "people": PEOPLE, "every": "day", "at": ["08:00", "20:00"]})
    assert held(r, "2026-11-02T09:00", "2026-11-03T09:00") == [
        ("p0", "Mon 02 08:00", "Mon 02 20:00"),
        ("p1", "Mon 02 20:00", "Tue 03 08:00"),
        ("p2", "Tue 03 08:00", "Tue 03 20:00"),
    ]


def test_a_level_takes_the_next_layer_in_the_hours_that_the_first_leaves() -> None:
    """Follow the sun: each layer in its own zone and hours."""
    hours = {"days": WORKDAYS, "begin": "09:00", "end": "21:00"}
    west = {"from": "2026-11-02", "people": ["p1"], "timezone": "America/New_York", "hours": [hours]}
    r = one_layer(
        people=3,
        layers={
            "east": [{"from": "2026-11-02", "people": ["p0"], "hours": [hours]}],
            "west": [west],
            "rest": [{"from": "2026-11-02", "people": ["p2"]}],
        },
        plan=[{"from": "2026-11-02", "levels": [{"layers": ["east", "west", "rest"]}]}],
    )
    found = shifts(r, datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, 4, tzinfo=UTC))
    assert [(s.person, f"{s.begin:%d %H}", f"{s.end:%d %H}") for s in found] == [
        ("p1", "30 20", "01 02"),
        ("p2", "01 02", "01 08"),
        ("p0", "01 08", "01 20"),
        ("p1", "01 20", "02 02"),
        ("p2", "02 02", "02 08"),
    ]


# Overrides.


def cover(instead_of: str, by: str, begin: str, end: str) -> dict[str, Any]:
    return {"instead_of": instead_of, "by": by, "begin": begin, "end": end}


def test_an_override_takes_the_duty_and_gives_it_back() -> None:
    r = rotation(overrides=[cover("bob", "dan", "2026-11-10T18:00+01:00", "2026-11-10T20:00+01:00")])
    assert [called(r, 2026, 11, 10, *at) for at in ((17, 59), (18, 0), (19, 59), (20, 0))] == [
        ["bob", "dan"],
        ["dan", "dan"],
        ["dan", "dan"],
        ["bob", "dan"],
    ]


def test_an_override_of_a_person_holds_only_while_that_person_is_on_duty() -> None:
    r = rotation(overrides=[cover("bob", "cat", "2026-11-09T00:00+01:00", "2026-11-20T00:00+01:00")])
    assert called(r, 2026, 11, 9, 8) == ["ann", "cat"]
    assert called(r, 2026, 11, 9, 9) == ["cat", "dan"]
    assert called(r, 2026, 11, 16, 9) == ["ann", "cat"]


def test_a_later_override_is_stronger_and_a_duty_can_be_handed_on_or_back() -> None:
    span = ("2026-11-10T18:00+01:00", "2026-11-10T20:00+01:00")
    on = cover("cat", "ann", "2026-11-10T19:00+01:00", "2026-11-10T20:00+01:00")
    r = rotation(overrides=[cover("bob", "cat", *span), on])
    assert [called(r, 2026, 11, 10, hour)[0] for hour in (18, 19, 20)] == ["cat", "ann", "bob"]
    back = rotation(overrides=[cover("bob", "cat", *span), cover("cat", "bob", *span)])
    found = duties(back, datetime(2026, 11, 10, 18, tzinfo=BERLIN))[0]
    assert (found.key, found.instead_of) == ("bob", "")


def test_an_override_of_a_layer_also_fills_hours_without_any_person() -> None:
    hours = [{"days": WORKDAYS, "begin": "09:00", "end": "19:00"}]
    night = {"layer": "first", "by": "p1", "begin": "2026-11-07T10:00+01:00", "end": "2026-11-07T12:00+01:00"}
    r = one_layer({"from": "2026-11-02", "people": ["p0"], "hours": hours}, overrides=[night])
    assert [called(r, 2026, 11, 7, hour) for hour in (9, 10, 12)] == [[""], ["p1"], [""]]


def test_until_is_when_another_person_is_called() -> None:
    r = rotation(overrides=[cover("bob", "cat", "2026-11-10T18:00+01:00", "2026-11-10T20:00+01:00")])
    first, second = duties(r, datetime(2026, 11, 10, 12, tzinfo=BERLIN))
    assert first.until == datetime(2026, 11, 10, 18, tzinfo=BERLIN)
    assert second.until == datetime(2026, 11, 16, 9, tzinfo=BERLIN)
    alone = one_layer({"from": "2026-11-02", "people": ["p0"]})
    assert duties(alone, datetime(2026, 11, 10, 12, tzinfo=BERLIN))[0].until is None, "no other person ever comes"


# Changes of the clocks.


def test_a_change_of_the_clocks_moves_no_turn_and_the_real_hours_are_counted() -> None:
    """A week that begins before the change has 167 or 169 hours; none begins an hour early or late."""
    r = one_layer({"from": "2026-10-05", "people": PEOPLE}, timezone="America/Chicago")
    found = layer_shifts(r, "first", datetime(2026, 10, 6, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC))
    assert {f"{s.begin.astimezone(r.zone):%a %H:%M}" for s in found} == {"Mon 09:00"}
    assert sorted(s.hours for s in found if s.hours != 168) == [167, 169]
    assert all(one.end == other.begin for one, other in pairwise(found))


# Half an hour, a negative summer time, changes at midnight, a month without summer time.
STRANGE = ("Europe/Dublin", "Australia/Lord_Howe", "America/Havana", "America/Asuncion", "Africa/Casablanca", "Africa/Cairo")


def changes_of_clocks(first: int = 2026, last: int = 2028) -> list[tuple[str, datetime]]:
    """Every change of the clocks of every zone in these years; of zones with the same clocks, one."""
    weeks = [datetime(first, 1, 1, tzinfo=UTC) + timedelta(weeks=n) for n in range((last - first + 1) * 53)]
    seen: set[tuple[timedelta | None, ...]] = set()
    found = []
    for name in dict.fromkeys((*STRANGE, *sorted(available_timezones()))):
        zone = ZoneInfo(name)
        offsets = tuple(week.astimezone(zone).utcoffset() for week in weeks)
        if offsets in seen:
            continue
        seen.add(offsets)
        for (low, before), (high, after) in pairwise(zip(weeks, offsets, strict=True)):
            if before != after:
                found.append((name, changed_at(zone, low, high)))
    return found


def changed_at(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The minute between two instants in which the clocks change."""
    before, week = low.astimezone(zone).utcoffset(), range(int((high - low) / timedelta(minutes=1)))
    changed = bisect_left(week, 1, key=lambda m: int((low + timedelta(minutes=m)).astimezone(zone).utcoffset() != before))
    return low + timedelta(minutes=changed)


def test_at_every_change_of_the_clocks_two_people_overlap_and_no_hour_is_empty() -> None:
    """The hand-over lies within the hour that exists twice or not at all, in every zone, from 2026 to 2028."""
    changes = changes_of_clocks()
    assert {"Europe/Dublin", "Australia/Lord_Howe", "America/Havana", "Africa/Casablanca"} <= {name for name, _ in changes}
    assert len(changes) >= 100
    r = one_layer({"from": "2026-01-01", "people": PEOPLE})
    for name, at in changes:
        zone = ZoneInfo(name)
        before, after = ((at + timedelta(minutes=m)).astimezone(zone) for m in (-1, 1))
        assert before.utcoffset() != after.utcoffset(), name
        local = at.replace(tzinfo=None) + (offset(before) + offset(after)) / 2
        turns = Turns.model_validate(
            {"from": local.date() - timedelta(days=3), "people": PEOPLE, "every": "day", "at": local.time(), "timezone": name}
        )
        changed = r.model_copy(update={"layers": {"first": (turns,)}})
        found = layer_shifts(changed, "first", at - timedelta(days=2), at + timedelta(days=2))
        assert len(spans_of(found)) == 1, f"{name} {at}: an empty hour"
        overlaps = [(one.end - other.begin, other.begin) for one, other in pairwise(found) if one.end != other.begin]
        ((length, begin),) = overlaps
        assert length == abs(offset(after) - offset(before)), name
        (duty,) = duties(changed, begin)
        assert len({duty.key, *duty.also}) == 2, f"{name} {at}: the two people do not overlap"


def offset(moment: datetime) -> timedelta:
    found = moment.utcoffset()
    assert found is not None
    return found


# Lists with dates.

ZONES = st.sampled_from(["Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"])
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))


@st.composite
def lists(draw: st.DrawFn, start: date) -> Turns:
    """Any dated list."""
    every = draw(st.sampled_from(["week", "day", "month"]))
    fields: dict[str, Any] = {
        "from": start,
        "people": draw(st.lists(st.sampled_from(["p0", "p1", "p2", "p3"]), min_size=1, max_size=5)),
        "every": every,
        "length": draw(st.integers(1, 3)),
        "at": sorted(draw(st.sets(TIMES, min_size=1, max_size=3 if every == "day" else 1))),
        "timezone": draw(ZONES),
    }
    if every == "week":
        fields["weekday"] = draw(st.sampled_from([None, *DAYS]))
    if every == "month":
        fields["monthday"] = draw(st.integers(1, 28))
    if draw(st.booleans()):
        days = sorted(draw(st.sets(st.sampled_from(DAYS), min_size=1)))
        fields["hours"] = [{"days": days, "begin": draw(TIMES), "end": draw(TIMES)}]
    return Turns.model_validate(fields)


BASE = one_layer({"from": "2026-01-01", "people": PEOPLE})
DAY = st.dates(date(2026, 1, 1), date(2027, 12, 31))


@given(st.data(), DAY, st.integers(1, 500))
@hypothesis_settings(max_examples=40)
def test_a_list_that_is_added_changes_no_hour_before_its_date(data: st.DataObject, first: date, later: int) -> None:
    """Adding or removing a person deals no turn anew."""
    old = data.draw(lists(first))
    new = data.draw(lists(first + timedelta(days=later)))
    without_it = BASE.model_copy(update={"layers": {"first": (old,)}})
    with_it = BASE.model_copy(update={"layers": {"first": (old, new)}})
    end = readings(new.start, new.at[0], ZoneInfo(new.timezone or ""))[0]
    window = (max(end - timedelta(days=120), datetime(2026, 1, 1, tzinfo=UTC)), end)
    assert list(segments(with_it, *window)) == list(segments(without_it, *window))


@given(st.data(), DAY)
@hypothesis_settings(max_examples=40)
def test_turns_follow_each_other_in_order_without_a_gap_from_wherever_one_looks(data: st.DataObject, first: date) -> None:
    turns = data.draw(lists(first))
    r = BASE.model_copy(update={"layers": {"first": (turns.model_copy(update={"hours": ()}),)}})
    start = datetime.combine(first, time(0), UTC)
    found = layer_shifts(r, "first", start, start + timedelta(days=200))
    assert len(spans_of(found)) == 1
    order = list(turns.people)
    # A turn may have changed already in the list's first hours, and a person may have more than one place in the list.
    ways = [[order[(began + n) % len(order)] for n in range(len(found))] for began in range(len(order))]
    assert [s.person for s in found] in ways
    at = start + timedelta(days=data.draw(st.integers(5, 190)), minutes=data.draw(st.integers(0, 1440)))
    assert layer_shifts(r, "first", at, at + timedelta(hours=1)) == [
        s for s in found if s.begin < at + timedelta(hours=1) and at < s.end
    ]


@given(st.data(), DAY)
@hypothesis_settings(max_examples=40)
def test_one_hour_and_the_whole_period_give_the_same_person(data: st.DataObject, first: date) -> None:
    r = BASE.model_copy(update={"layers": {"first": (data.draw(lists(first)),)}})
    start = datetime.combine(first, time(0), UTC)
    whole: list[Shift] = shifts(r, start, start + timedelta(days=100))
    at = start + timedelta(minutes=data.draw(st.integers(0, 100 * 1440 - 1)))
    expected = next((r.people[s.person] for s in whole if s.begin <= at < s.end), None)
    assert on_call(r, at, 1) == expected
    duty = duties(r, at)[0]
    assert duty.person == expected
    if expected and duty.until and duty.until < start + timedelta(days=100):
        after = on_call(r, duty.until, 1)
        assert after != expected


# Spans.

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def minutes(spans: Any) -> set[int]:  # noqa: ANN401 - spans
    return {minute for begin, end in spans for minute in range(begin, end)}


@given(st.lists(SPAN), st.lists(SPAN))
def test_spans_are_joined_cut_and_intersected_minute_by_minute(some: Any, others: Any) -> None:  # noqa: ANN401 - spans
    one, other = joined(some), joined(others)
    assert minutes(one) == minutes(some)
    assert all(a[1] < b[0] for a, b in pairwise(one))
    assert minutes(common(one, other)) == minutes(some) & minutes(others)
    assert minutes(without(one, other)) == minutes(some) - minutes(others)


@pytest.mark.parametrize(
    ("at", "served"),
    [((27, 23), True), ((28, 5), True), ((28, 7), False), ((28, 23), False)],
    ids=["friday night", "early on saturday", "saturday morning", "saturday night"],
)
def test_hours_past_midnight_belong_to_the_day_on_which_they_began(at: tuple[int, int], served: bool) -> None:
    nights = rotation(serving={"days": ["fri"], "begin": "22:00", "end": "06:00"})
    moment = datetime(2026, 11, *at, tzinfo=BERLIN)
    within = (moment, moment + timedelta(microseconds=1))
    assert any(begin <= moment < end for begin, end in nights.served(within)) is served
    assert any(begin <= moment < end for begin, end in rotation().served(within)), "without a word all hours are served"


def test_the_shifts_of_a_year_cost_less_than_a_tenth_of_a_second_of_cpu() -> None:
    """Weekly turns at two levels; the best of five, as a busy machine only ever adds to it."""
    costs = []
    for _ in range(5):
        began = clock.process_time()
        assert len(shifts(rotation(), datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC))) > 100
        costs.append(clock.process_time() - began)
    assert min(costs) < 0.1
