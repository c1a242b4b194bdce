"""Years that operators may ask for: far from the calendar's two ends, where sums of moments overflow."""

from datetime import date
from typing import TypeVar

FIRST_YEAR, LAST_YEAR = 2000, 2999

D = TypeVar("D", bound=date)


def within_years(day: D) -> D:
    """The same day or moment. Raises ValueError for one in another year."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"The year is not one from {FIRST_YEAR} to {LAST_YEAR}.")
    return day
