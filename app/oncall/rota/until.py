"""Reads a time that a tired person types: `18:00`, `2h`, `90m`, `2026-12-24T18:00`, or `2026-12-24T18:00+01:00`."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.domain.errors import InvalidRequest
from app.domain.years import within_years
from app.oncall.rota.clocks import readings

_FOR = re.compile(r"\+?(\d{1,4})\s*([mhd])\Z")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def read_until(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC. Raises InvalidRequest.

    A time alone is the next such time on the clocks of ``zone``; a date without a zone is of ``zone`` too. Of a time that exists
    twice, the later one is meant.
    """
    text = text.strip()
    if found := _FOR.match(text):
        return now.astimezone(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
    if found := _CLOCK.match(text):
        today, at = now.astimezone(zone).date(), time(int(found[1]), int(found[2]))
        return next(end for days in (0, 1, 2) if (end := readings(today + timedelta(days=days), at, zone)[1]) > now)
    try:
        moment = within_years(datetime.fromisoformat(text))
    except ValueError:
        message = f"{text!r} is no time: write 18:00, 2h, 90m, or 2026-12-24T18:00."
        raise InvalidRequest(message, param="until") from None
    return moment.astimezone(UTC) if moment.tzinfo else readings(moment.date(), moment.time(), zone)[1]
