"""Points in time as operators write them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d{1,6})([smhdw])\Z")
YEARS = (1970, 2200)  # another one is a typing error, and the day before it or behind it may not exist
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | None) -> datetime | None:
    """Read a point in time or an age. A time without a zone is UTC. Raises typer.BadParameter."""
    if text is None:
        return None
    ago = _AGO.match(text)
    try:
        at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither a time such as 2026-11-23T14:00 nor an age such as 15m, 2h, 7d") from None
    if not YEARS[0] <= at.year < YEARS[1]:
        raise typer.BadParameter(f"{text!r}: years from {YEARS[0]} to {YEARS[1] - 1}")
    return at if at.tzinfo else at.replace(tzinfo=UTC)
