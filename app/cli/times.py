"""Points in time as operators write them."""

import re
from datetime import UTC, datetime, timedelta

import typer

from app.domain.years import within_years

_AGO = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | None) -> datetime | None:
    """Read a point in time or an age. A time without a zone is UTC. Raises typer.BadParameter."""
    if text is None:
        return None
    ago = _AGO.match(text)
    try:
        if ago:
            return within_years(datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        at = within_years(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither a time such as 2026-11-23T14:00 nor an age such as 15m, 2h, 7d") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
