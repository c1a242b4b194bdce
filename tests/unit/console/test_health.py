"""The pace of today's money, as the first page and `octant status` show it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from conftest import ROOT
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.overview import Overview
from app.budget.standing import Everything
from app.cli.status import _of_now
from app.console import health, pace
from app.console.console import templates
from app.console.pace import burn, pace_words
from app.console.pages.overview import counted

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOLLAR = 1_000_000


def money(spent: int, cap: int) -> Everything:
    return Everything(spent=spent, held=0, granted=0, cap=cap, resets_at=MIDNIGHT)


def test_the_pace_of_the_last_hour_goes_on_until_the_day_resets() -> None:
    found = burn(money(5 * DOLLAR, 100 * DOLLAR), (3 * DOLLAR // 2, 0), NOON)
    assert found is not None
    assert found.an_hour == 1.5 * DOLLAR
    assert found.by == (5 + 12 * 1.5) * DOLLAR
    assert found.reached is None


def test_a_pace_above_the_cap_says_when_it_is_reached() -> None:
    found = burn(money(5 * DOLLAR, 8 * DOLLAR), (3 * DOLLAR, DOLLAR // 4), NOON)
    assert found is not None
    assert found.reached == NOON + HOUR


def test_a_pace_that_has_just_risen_is_named_and_brings_the_cap_nearer() -> None:
    """$6 of the last hour's $9 went in its last five minutes: $72 an hour. It is no forecast of a whole day."""
    found = burn(money(9 * DOLLAR, 81 * DOLLAR), (9 * DOLLAR, 6 * DOLLAR), NOON)
    assert found is not None
    assert (found.an_hour, found.by, found.newest, found.capped) == (9 * DOLLAR, 81 * DOLLAR, 72 * DOLLAR, True)
    assert found.reached == NOON + HOUR
    even = burn(money(9 * DOLLAR, 810 * DOLLAR), (9 * DOLLAR, DOLLAR), NOON)
    assert even is not None
    assert (even.an_hour, even.newest) == (9 * DOLLAR, None), "a busier minute is no other pace"


def test_the_forecast_is_at_most_what_the_caps_allow_and_says_so() -> None:
    """At its pace the service would spend $18 more; the tenants' caps have $2 left."""
    found = burn(money(5 * DOLLAR, 8 * DOLLAR), (3 * DOLLAR // 2, 0), NOON, 2 * DOLLAR)
    assert found is not None
    assert (found.by, found.capped, found.reached) == (7 * DOLLAR, True, None), "the global cap is not reached"
    assert pace_words(found).endswith(" an hour: $7.00 by the end of the day in UTC, the most that the caps allow")
    lowered = burn(money(9 * DOLLAR, 8 * DOLLAR), (3 * DOLLAR, 0), NOON, 0)
    assert lowered is not None
    assert lowered.by == 9 * DOLLAR, "no less than what is spent"
    wide = burn(money(5 * DOLLAR, 100 * DOLLAR), (3 * DOLLAR // 2, 0), NOON, 50 * DOLLAR)
    assert wide == burn(money(5 * DOLLAR, 100 * DOLLAR), (3 * DOLLAR // 2, 0), NOON)


def test_an_hour_in_which_nothing_was_spent_has_no_pace() -> None:
    assert burn(money(5 * DOLLAR, 8 * DOLLAR), (0, 0), NOON) is None


def test_page_and_command_say_of_which_time_the_pace_is() -> None:
    """A service that is minutes old has no last hour: both have the one sentence that says so."""
    now = SimpleNamespace(
        circuits=(), under_way=(0, ()), money=replace(money(5 * DOLLAR, 100 * DOLLAR), resets_at=datetime.now(UTC) + HOUR)
    )
    spent = ((3 * DOLLAR, DOLLAR), 99 * DOLLAR)
    (said,) = [value for name, value in _of_now(cast(health.Now, now), spent, ()) if name == "Forecast of today"]
    assert said.startswith("at the pace of the last hour or since the first call, $3.00 an hour: $")
    assert said.endswith(" by the end of the day in UTC; the last 5 min's pace is $12.00 an hour")
    page = (ROOT / "app/console/templates/parts/overview.html").read_text()
    assert ("forecast {{ pace_words(burn) }}" in page, page.count("pace of the last hour")) == (True, 0)


def test_a_cap_that_is_used_up_is_not_reached_again() -> None:
    found = burn(money(8 * DOLLAR, 8 * DOLLAR), (3 * DOLLAR, 0), NOON)
    assert found is not None
    assert found.reached is None


@pytest.mark.parametrize(("earlier", "drawn"), [(False, [None, None, 0.5, 0.0, 0.5]), (True, [0.0, 0.0, 0.5, 0.0, 0.5])])
def test_a_line_begins_with_the_first_call_on_record(earlier: bool, drawn: list[float | None]) -> None:
    steps = [SimpleNamespace(calls=n, refused=0, requests=n) for n in (0, 0, 1, 0, 1)]
    seen = cast(Overview, SimpleNamespace(earlier=earlier, series=steps))
    assert counted(seen, lambda step: step.requests / 2) == drawn


@pytest.mark.parametrize(
    ("points", "way"),
    [
        ([None, None, 1.0, 0.0], "M0 1.00L1 23.00"),
        ([1.0, None, 0.5], "M0 1.00L2 12.00"),
        ([None, 2.0, None], "M0 1.00h.01"),
        ([0.0, 0.0], "M0 23.00L1 23.00"),
    ],
    ids=["before the first call", "a step without a call", "one value", "nothing failed"],
)
def test_a_sparkline_shows_no_data_as_no_zero(points: list[float | None], way: str) -> None:
    """A page's own ``range`` is the time range."""
    template = templates().from_string("{% import 'parts/macros.html' as m with context %}{{ m.sparkline(points) }}")
    assert f' d="{way}"' in template.render(points=points, range="the last hour")


def test_a_figure_of_which_nothing_is_known_yet_has_no_line() -> None:
    """No call was a stream: its first token has no time."""
    template = templates().from_string("{% import 'parts/macros.html' as m %}{{ m.figure('First token', '-', points=points) }}")
    assert "<path" not in template.render(points=[None, None])
    assert "<path" in template.render(points=[None, 0.0])


@pytest.mark.parametrize(("minutes", "an_hour"), [(None, 6), (30, 12), (10, 36), (1, 72)])
async def test_a_service_that_has_just_begun_is_forecast_by_the_time_since(
    monkeypatch: pytest.MonkeyPatch, minutes: int | None, an_hour: int
) -> None:
    """$6 of ten minutes are no pace of $6 an hour; less than five minutes are none at all."""
    began = NOON - timedelta(minutes=minutes) if minutes else None
    monkeypatch.setattr(pace, "spent_since", lambda *_: asyncio.sleep(0, [6 * DOLLAR, DOLLAR]))
    monkeypatch.setattr(pace, "spending_began", lambda *_: asyncio.sleep(0, began))
    assert await pace.paces(cast(AsyncEngine, None), NOON) == [an_hour * DOLLAR, DOLLAR]
