"""The time range in a page's address: a preset, an event since which it runs, or two moments in UTC."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from app.console.formats import digits, moment, span, utc
from app.domain.years import within_years

PRESETS = {
    "15m": (timedelta(minutes=15), "15 min"),
    "1h": (timedelta(hours=1), "1 h"),
    "24h": (timedelta(hours=24), "24 h"),
    "7d": (timedelta(days=7), "7 d"),
    "30d": (timedelta(days=30), "30 d"),
}
EVENTS = {"release": "the last release", "incident": "the incident"}
DEFAULT = "1h"
MOST_POINTS = 90
MOST = 0.95  # of a range: a rate of as much of it is of the range
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHORT = timedelta(minutes=10)  # its ends are named to the second
# Lengths that people read on a clock: seconds, minutes, hours, a day.
_WIDTHS = [timedelta(seconds=s) for s in (1, 5, 10, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400)]


@dataclass(frozen=True, slots=True)
class Range:
    """From ``since`` up to ``until``. ``preset``: its name or its event's, empty where the address has moments.

    ``error``: the address had a wrong one. ``moments``: the events that there are, each with its begin.
    ``said``: the words for it, where they are others.
    """

    since: datetime
    until: datetime
    preset: str
    error: str = ""
    moments: Mapping[str, datetime] = field(default_factory=dict)
    said: str = ""

    @property
    def live(self) -> bool:
        """Whether it goes on with the clock."""
        return bool(self.preset)

    @property
    def words(self) -> str:
        """For a sentence: ``in the last 15 min``, ``since the incident at …``, ``from … to …``."""
        if self.said:
            return self.said
        if self.preset in EVENTS:
            return f"since {EVENTS[self.preset]} at {moment(self.since)}"
        if self.preset:
            return f"in the last {PRESETS[self.preset][1]}"
        named = utc if self.until - self.since < SHORT else moment
        return f"from {named(self.since)} to {named(self.until)}"

    def rate(self, count: int, began: datetime | None) -> str:
        """The rate of what happened ``count`` times in it, since it ``began``: nothing is known of the time before.

        A range has one unit: ``12.3 /min`` up to a day, ``8.00 /h`` for longer ones.
        """
        unit, name = (MINUTE, "min") if self.until - self.since <= DAY else (HOUR, "h")
        return f"{digits(count * (unit / self._known(began)))} /{name}"

    def rated(self, began: datetime | None) -> str:
        """The time that a rate is of, where that is clearly less than the range; empty otherwise."""
        known = self._known(began)
        return span(known) if known < MOST * (self.until - self.since) else ""

    def _known(self, began: datetime | None) -> timedelta:
        """Its part since ``began``; a minute at least, as a few seconds are no rate."""
        return max(min(MINUTE, self.until - self.since), self.until - max(self.since, began or self.since))

    @property
    def width(self) -> timedelta:
        """A bucket for about eighty points, whatever the range: each point costs a page and its query."""
        span = self.until - self.since
        longest = timedelta(days=math.ceil(span / timedelta(days=MOST_POINTS)))
        return next((width for width in _WIDTHS if span / width <= MOST_POINTS), longest)

    @property
    def every(self) -> float:
        """Seconds after which a live part of it is written anew: a long range costs more to read, and changes less."""
        return min(30.0, max(2.0, (self.until - self.since).total_seconds() / 3600))

    @property
    def query(self) -> dict[str, str]:
        """As it stands in an address."""
        if self.preset:
            return {"range": self.preset}
        return {"since": f"{self.since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{self.until:%Y-%m-%dT%H:%M:%SZ}"}

    @property
    def exact(self) -> dict[str, str]:
        """Its two moments in an address, to the microsecond: of a list, what comes meanwhile moves no row to another page."""
        return {"since": f"{self.since:%Y-%m-%dT%H:%M:%S.%fZ}", "until": f"{self.until:%Y-%m-%dT%H:%M:%S.%fZ}"}

    @property
    def options(self) -> str:
        """As options of a command."""
        if self.preset in EVENTS:
            return f"--since {self.since:%Y-%m-%dT%H:%M:%SZ}"
        if self.preset:
            return f"--since {self.preset}"
        return f"--since {self.since:%Y-%m-%dT%H:%M:%SZ} --until {self.until:%Y-%m-%dT%H:%M:%SZ}"


def range_of(
    query: Mapping[str, str],
    *,
    now: datetime | None = None,
    default: str = DEFAULT,
    moments: Mapping[str, datetime] = MappingProxyType({}),
) -> Range:
    """The range of an address. A wrong one is the default, with the error to show. ``moments``: see `Range`."""
    now = now or datetime.now(UTC)
    error = ""
    if query.get("since") or query.get("until"):
        try:
            since = _moment(query.get("since") or "")
            until = _moment(query["until"]) if query.get("until") else now
        except ValueError:
            error = "The time range is not valid: give moments such as 2026-11-27T14:00Z."
        else:
            if since < until:
                return Range(since, until, "", moments=moments)
            error = "The time range ends before it begins."
    preset = query.get("range") or default
    if preset in moments and moments[preset] < now:
        return Range(moments[preset], now, preset, error, moments)
    if preset not in PRESETS:
        none = {"release": "No release was ever made live here.", "incident": "No incident is open."}
        error, preset = error or none.get(preset, "There is no such time range."), default
    return Range(now - PRESETS[preset][0], now, preset, error, moments)


def _moment(text: str) -> datetime:
    at = within_years(datetime.fromisoformat(text))
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
