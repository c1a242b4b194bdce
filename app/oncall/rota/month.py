"""The calendar of a month as text, a cell for each day."""

import re
from calendar import Calendar
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta

from app.oncall.rota.clocks import readings
from app.oncall.rota.rotation import DAYS, Rotation
from app.oncall.rota.shifts import Shift, shifts

NARROWEST, WIDEST = 8, 20
CHANGE = ">"
SHORTEST = 3  # characters of a name in a cell


def month_view(rotation: Rotation, first: date, *, width: int = 80, today: date | None = None) -> Iterator[str]:
    """Yield the lines of a month: each day with the people at each level, by key; ``a>b`` where they change on that day.

    ``width`` is that of the terminal, in characters.
    """
    cell = max(NARROWEST, min(WIDEST, (width - 1) // 7))
    zone, weeks = rotation.zone, Calendar().monthdatescalendar(first.year, first.month)
    start, end = readings(weeks[0][0], time(0), zone)[0], readings(weeks[-1][-1] + timedelta(days=1), time(0), zone)[1]
    held = shifts(rotation, start, end)
    holidays = {holiday.date: holiday.name for holiday in rotation.holidays}
    levels = max((shift.level for shift in held), default=0)
    yield f"{first:%B %Y}, times of {rotation.timezone}"
    yield "".join(f"{day.title():<{cell}}" for day in DAYS).rstrip()
    for week in weeks:
        marks = ["<" * (d == today) + "*" * (d in holidays) for d in week]
        days = [f"{d.day}{mark}" if d.month == first.month else "" for d, mark in zip(week, marks, strict=True)]
        yield "".join(f"{text:<{cell}}" for text in days).rstrip()
        for level in range(1, levels + 1):
            cells = [_cell(rotation, held, d, level, cell - 1) if d.month == first.month else "" for d in week]
            yield "".join(f"{text:<{cell}}" for text in cells).rstrip()
        yield ""
    short = short_names(list(rotation.people), (cell - len(CHANGE) - 1) // 2)
    for key, person in rotation.people.items():
        if any(shift.person == key for shift in held):
            yield f"{key} ({short[key]}): {person.name}  {person.phone}"
    yield from (f"*{day.day}: {holidays[day]}" for day in sorted(holidays) if (day.year, day.month) == (first.year, first.month))


def _cell(rotation: Rotation, held: list[Shift], day: date, level: int, width: int) -> str:
    """The people of a level on a day, in order, in at most ``width`` characters."""
    begin, end = readings(day, time(0), rotation.zone)[0], readings(day + timedelta(days=1), time(0), rotation.zone)[1]
    people = [s.person for s in held if s.level == level and s.begin < end and begin < s.end]
    changing = [person for i, person in enumerate(people) if i == 0 or person != people[i - 1]]
    if not changing:
        return "-"
    each = (width - len(changing) + 1) // len(changing)
    if each < SHORTEST:
        return f"{len(changing)} people"[:width]
    names = short_names(list(rotation.people), each)
    return CHANGE.join(names[person] for person in changing)


def short_names(keys: list[str], most: int) -> dict[str, str]:
    """Return a name of at most so many characters for each key, all different."""
    ways: tuple[Callable[[str], str], ...] = (
        lambda key: key if len(key) <= most else key[:most],
        lambda key: key if len(key) <= most else "".join(part[0] for part in re.split(r"[^\w]+|_", key) if part)[:most],
        lambda key: key if len(key) <= most else key[: most - 1] + key[-1],
    )
    for way in ways:
        names = {key: way(key) for key in keys}
        if len(set(names.values())) == len(keys):
            return names
    return {key: f"p{number}"[:most] for number, key in enumerate(keys, start=1)}
