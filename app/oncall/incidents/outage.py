"""The service's own facts of an incident: providers that fail and answer again, and circuits.

They come from the records of calls. Of an incident that lasts longer than `LONGEST` its begin is read: the
attempts of a week would keep the page waiting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.records import CIRCUIT, steps_in

LONGEST = timedelta(days=1)
IN_A_ROW = 5  # failed attempts of one model, as many as open a circuit
UNTRIED = timedelta(seconds=30)  # after so long without an attempt it is not known when it was well again
TOGETHER = timedelta(seconds=5)  # workers see a circuit open at moments of their own
_RUNS = text(
    """
    WITH tried AS (
        SELECT provider, model, at + started_ms * interval '1 ms' AS began, outcome = 'ok' AS ok, outcome
        FROM attempts WHERE at BETWEEN :since AND :until
    ), counted AS (
        SELECT *, count(*) FILTER (WHERE ok) OVER (PARTITION BY provider, model ORDER BY began) AS run FROM tried
    )
    SELECT provider, model, run, min(began) FILTER (WHERE NOT ok) AS failed_at, count(*) FILTER (WHERE NOT ok) AS failed,
           max(began) FILTER (WHERE NOT ok) AS tried_at, min(began) FILTER (WHERE ok) AS answered_at,
           mode() WITHIN GROUP (ORDER BY outcome) FILTER (WHERE NOT ok) AS outcome
    FROM counted GROUP BY provider, model, run ORDER BY provider, model, run
    """
)
_PASSED = text("SELECT at, steps FROM calls WHERE at BETWEEN :since AND :until AND steps LIKE :circuit ORDER BY at")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the service saw, in a sentence. Of a provider that fails, ``until``: its next answer, None without one.

    ``fails``: the provider.
    """

    at: datetime
    words: str
    fails: str = ""
    until: datetime | None = None


async def facts(connection: AsyncConnection, window: Mapping[str, Any]) -> list[Fact]:
    """Providers and circuits in this time. ``window``: ``since`` and ``until``."""
    window = bounded(window)
    rows = [dict(row) for row in (await connection.execute(_RUNS, window)).mappings()]
    seen = [(row.at, row.steps) for row in await connection.execute(_PASSED, window | {"circuit": f'%"{CIRCUIT}"%'})]
    return sorted([*_of_providers(rows), *_of_circuits(seen)], key=lambda one: one.at)


def bounded(window: Mapping[str, Any]) -> dict[str, Any]:
    """The begin of a time that is longer than `LONGEST`. ``window``: ``since`` and ``until``."""
    return {"since": window["since"], "until": min(window["until"], window["since"] + LONGEST)}


def _of_providers(rows: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """A row is an answer and the failures up to the next one: many in a row say that the model fails."""
    found: list[Fact] = []
    for place, row in enumerate(rows):
        if row["failed"] < IN_A_ROW:
            continue
        name = f"{row['provider']} {row['model']}"
        following = rows[place + 1] if place + 1 < len(rows) else None
        same = following and (following["provider"], following["model"]) == (row["provider"], row["model"])
        until = following["answered_at"] if following and same else None
        words = f"{name} fails: {row['failed']:,} attempts in a row, most as {row['outcome']}"
        found.append(Fact(row["failed_at"], words, row["provider"], until))
        if until:
            found.append(Fact(until, f"{name} {_returned(row['failed_at'], row['tried_at'], until)}"))
    return found


def _returned(failed: datetime, tried: datetime, answered: datetime) -> str:
    """How long it was away. Without an attempt before the answer it may have been well for long: that is said."""
    length, idle = (answered - failed).total_seconds(), answered - tried
    if idle <= UNTRIED:
        return f"answers again, after {length:.0f} s"
    return f"answers its next attempt, after {length:.0f} s; in the last {idle.total_seconds():.0f} s of them none was made"


def _of_circuits(seen: Sequence[tuple[datetime, str]]) -> list[Fact]:
    """Each time that a circuit was open, with the calls that passed its target over."""
    opened: dict[str, list[tuple[datetime, int]]] = {}
    for at, steps in seen:
        for step in steps_in(steps):
            if step.kind == CIRCUIT:
                times, since = opened.setdefault(step.name, []), at + timedelta(milliseconds=step.begins_ms)
                if times and since - times[-1][0] < TOGETHER:
                    times[-1] = (min(since, times[-1][0]), times[-1][1] + 1)
                else:
                    times.append((since, 1))
    return [
        Fact(at, f"circuit of {name} open: {calls:,} call{'s' if calls > 1 else ''} passed it over")
        for name, times in opened.items()
        for at, calls in times
    ]
