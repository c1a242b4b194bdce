"""The time range in an address (X1): presets, moments, and the events since which a page looks back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.console.ranges import range_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RELEASED, BROKEN = NOW - timedelta(days=3), NOW - timedelta(minutes=20)
MOMENTS = {"release": RELEASED, "incident": BROKEN}


@pytest.mark.parametrize(
    ("query", "since", "words", "options"),
    [
        ({"range": "24h"}, NOW - timedelta(hours=24), "in the last 24 h", "--since 24h"),
        ({"range": "release"}, RELEASED, "since the last release at 2026-11-24 12:00 UTC", "--since 2026-11-24T12:00:00Z"),
        ({"range": "incident"}, BROKEN, "since the incident at 2026-11-27 11:40 UTC", "--since 2026-11-27T11:40:00Z"),
    ],
)
def test_a_range_goes_on_with_the_clock_from_a_length_or_an_event(
    query: Mapping[str, str], since: datetime, words: str, options: str
) -> None:
    found = range_of(query, now=NOW, moments=MOMENTS)
    assert (found.since, found.until, found.live, found.query) == (since, NOW, True, query)
    assert (found.words, found.options, found.error) == (words, options, "")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"range": "incident"}, "No incident is open."),
        ({"range": "release"}, "No release was ever made live here."),
        ({"range": "2y"}, "There is no such time range."),
        ({"since": "2026-11-27T12:00Z", "until": "2026-11-27T11:00Z"}, "The time range ends before it begins."),
        *(
            ({"since": since, "until": until}, "The time range is not valid: give moments such as 2026-11-27T14:00Z.")
            for since, until in (
                ("yesterday", ""),
                ("0001-01-01", ""),
                ("0001-01-01T00:00:00+23:59", ""),
                ("2026-11-27", "9999-12-31T23:59:59-23:59"),
            )
        ),
    ],
)
def test_a_range_that_is_none_is_the_default_and_says_why(query: Mapping[str, str], error: str) -> None:
    found = range_of(query, now=NOW)
    assert (found.preset, found.since, found.error) == ("1h", NOW - timedelta(hours=1), error)


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ({"since": "2026-11-27T11:59Z"}, 1), ({"since": "2026-11-27T11:55Z"}, 5), ({"range": "15m"}, 10), ({"range": "1h"}, 60),
        ({"since": "2026-11-27T08:00Z"}, 300), ({"range": "24h"}, 1800), ({"range": "7d"}, 10_800), ({"range": "30d"}, 43_200),
        ({"since": "2026-10-01"}, 86_400),
    ],
)  # fmt: skip
def test_a_step_of_a_chart_has_a_length_of_the_clock(query: Mapping[str, str], seconds: int) -> None:
    assert range_of(query, now=NOW).width == timedelta(seconds=seconds)


@pytest.mark.parametrize("since", ["2000-01-01", "2020-02-29", "2026-01-01", "2026-11-27T11:59Z"])
def test_a_range_of_any_length_has_as_many_points_as_a_chart_can_show(since: str) -> None:
    """A thousand years in steps of a day held a worker until its process was ended."""
    for until in ("", "2999-12-31"):
        found = range_of({"since": since, "until": until}, now=NOW)
        assert not found.error
        assert (found.until - found.since) / found.width <= 90


def test_an_event_of_a_clock_that_is_ahead_is_no_range() -> None:
    assert range_of({"range": "incident"}, now=NOW, moments={"incident": NOW + timedelta(seconds=1)}).preset == "1h"


def test_a_rate_is_of_the_time_for_which_there_are_calls_and_in_the_unit_of_its_range() -> None:
    """41 requests of a service that is two minutes old are no 41 an hour."""
    hour, week = range_of({"range": "1h"}, now=NOW), range_of({"range": "7d"}, now=NOW)
    assert hour.rate(41, NOW - timedelta(minutes=2)) == "20.5 /min"
    assert hour.rate(41, None) == "0.683 /min"
    assert hour.rate(3, NOW - timedelta(seconds=4)) == "3.00 /min", "a few seconds are no rate"
    assert hour.rate(0, None) in ("0 /min", "0.00 /min")
    assert hour.rate(72_000, None) == "1,200 /min"
    assert week.rate(41, NOW - timedelta(minutes=2)) == "1,230 /h"
    assert [hour.rated(NOW - timedelta(seconds=ago)) for ago in (4, 90, 3_000, 3_590, 9_000)] == [
        "1 min",
        "1 min 30 s",
        "50 min",
        "",
        "",
    ]
    assert hour.rated(None) == ""
