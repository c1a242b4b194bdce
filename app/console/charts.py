"""Charts as data: the script draws them, and the table below each shows the same figures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

Series = tuple[str, Sequence[float | None], str]  # label, values, token of the colour ("" for the next)


def spec(
    times: Sequence[datetime],
    series: Sequence[Series],
    *,
    unit: str = "",
    kind: str = "lines",
    marks: Sequence[tuple[datetime, str]] = (),
    known: tuple[datetime | None, datetime | None] = (None, None),
) -> dict[str, Any]:
    """A chart over time. ``kind``: lines, points, bars or stack.

    ``known``: the first record and the end of what is read; the span of a step that a reader points at is cut there.
    """
    return {
        "known": [at.timestamp() if at else None for at in known],
        "x": [at.timestamp() for at in times],
        "times": list(times),
        "series": [{"label": label, "values": list(values), "colour": colour} for label, values, colour in series],
        "unit": unit,
        "kind": kind,
        "marks": [{"x": at.timestamp(), "at": at, "label": label} for at, label in marks],
    }
