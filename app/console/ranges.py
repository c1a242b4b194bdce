"""The time range in a page's address: a preset, or two moments in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.console.formats import moment

PRESETS = {
    "15m": (timedelta(minutes=15), "15 min"),
    "1h": (timedelta(hours=1), "1 h"),
    "24h": (timedelta(hours=24), "24 h"),
    "7d": (timedelta(days=7), "7 d"),
    "30d": (timedelta(days=30), "30 d"),
}
DEFAULT = "1h"
_WIDTHS = [timedelta(seconds=s) for s in (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)]


@dataclass(frozen=True, slots=True)
class Range:
    """From ``since`` up to ``until``. ``preset``: its name, empty where the address has moments.

    ``error``: the address had a wrong one.
    """

    since: datetime
    until: datetime
    preset: str
    error: str = ""

    @property
    def live(self) -> bool:
        """Whether it goes on with the clock."""
        return bool(self.preset)

    @property
    def words(self) -> str:
        """For a sentence: ``in the last 15 min``, ``from … to …``."""
        if self.preset:
            return f"in the last {PRESETS[self.preset][1]}"
        return f"from {moment(self.since)} to {moment(self.until)}"

    @property
    def width(self) -> timedelta:
        """A bucket for about eighty points."""
        span = self.until - self.since
        return next((width for width in _WIDTHS if span / width <= 90), _WIDTHS[-1])

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
    def options(self) -> str:
        """As options of a command."""
        if self.preset:
            return f"--since {self.preset}"
        return f"--since {self.since:%Y-%m-%dT%H:%M:%SZ} --until {self.until:%Y-%m-%dT%H:%M:%SZ}"


def range_of(query: Mapping[str, str], *, now: datetime | None = None, default: str = DEFAULT) -> Range:
    """The range of an address. A wrong one is the default, with the error to show."""
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
                return Range(since, until, "")
            error = "The time range ends before it begins."
    preset = query.get("range") or default
    if preset not in PRESETS:
        error, preset = error or "There is no such time range.", default
    return Range(now - PRESETS[preset][0], now, preset, error)


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
