"""Quality in production, for the console: scores over time, drift, candidates for cases, their dismissal and its undoing (E9).

The evals write all of it but the dismissal, which `evals dismiss` does too; `evals reopen` takes it back as here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit.scores import eval_candidates, eval_drift, eval_marks, eval_position, eval_scores
from app.audit.searching import LONGEST
from app.domain.errors import InvalidRequest, NotFound

DRIFT_LIMIT = 10.0  # of Page-Hinkley's sum above its least: more is a finding (`evals.online.drift` says how it was chosen)
DRIFT_FIRST = 100  # scores until it may find anything
DRIFT_SHOWN = timedelta(days=1)  # how long a finding is shown
STATES = ("new", "promoted", "dismissed")
REASONS = ("low_score", "user_feedback", "guard_flag", "hand_over", "operator")
MOST_NUMBER = 2**63

_SERIES = text("""
    SELECT date_bin(:width, at, :since) AS at, feature, count(*) AS scored, count(*) FILTER (WHERE passed) AS passed
    FROM eval_scores WHERE at >= :since AND at < :until GROUP BY 1, 2
""")
_BY_RELEASE = text("""
    SELECT feature, release, count(*) AS scored, count(*) FILTER (WHERE passed) AS passed, max(at) AS last_at
    FROM eval_scores WHERE at >= :since AND at < :until GROUP BY 1, 2 ORDER BY 1, max(at) DESC
""")


@dataclass(frozen=True, slots=True)
class Drift:
    """The test for drift of one feature. ``evidence``: of `DRIFT_LIMIT`; ``failing``: share of ``seen`` scores that failed."""

    feature: str
    seen: int
    failing: float
    evidence: float
    drifted_at: datetime | None

    def shows(self, now: datetime) -> bool:
        """Whether a finding is recent."""
        return self.drifted_at is not None and now - self.drifted_at < DRIFT_SHOWN


@dataclass(frozen=True, slots=True)
class Quality:
    """``steps``: scored and passed by step and feature. ``by_release``: rows of feature, release, scored, passed, last_at.

    ``until``: calls that began up to here are scored; None before the first round.
    """

    steps: Mapping[tuple[datetime, str], tuple[int, int]]
    by_release: Sequence[Mapping[str, Any]]
    drifts: Sequence[Drift]
    until: datetime | None

    @property
    def scored(self) -> int:
        """Of all features."""
        return sum(row["scored"] for row in self.by_release)

    @property
    def passed(self) -> int:
        """Of all features."""
        return sum(row["passed"] for row in self.by_release)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of rows, and how many there are over all pages."""

    rows: Sequence[Mapping[str, Any]]
    count: int


async def quality(engine: AsyncEngine, since: datetime, until: datetime, width: timedelta) -> Quality:
    """Scores of a range, and the state of the test for drift now. Raises SQLAlchemyError."""
    wanted = {"since": since, "until": until}
    async with engine.connect() as connection:
        await _briefly(connection)
        steps = (await connection.execute(_SERIES, wanted | {"width": width})).all()
        by_release = (await connection.execute(_BY_RELEASE, wanted)).mappings().all()
        drifts = (await connection.execute(select(eval_drift).order_by(eval_drift.c.feature))).all()
        place = (await connection.execute(select(eval_position.c.until))).scalar_one_or_none()
    return Quality(
        {(row.at, row.feature): (row.scored, row.passed) for row in steps},
        [dict(row) for row in by_release],
        [Drift(row.feature, row.seen, row.mean, max(0.0, row.sum - row.least), row.drifted_at) for row in drifts],
        place,
    )


async def failing(engine: AsyncEngine, since: datetime, until: datetime, *, feature: str, most: int, skip: int) -> Listed:
    """Answers that did not pass, newest first. Raises SQLAlchemyError."""
    c = eval_scores.c
    conditions = [c.at >= since, c.at < until, c.passed.is_(False)] + ([c.feature == feature] if feature else [])
    wanted = select(eval_scores).where(*conditions).order_by(c.at.desc(), c.call_id).limit(most).offset(skip)
    async with engine.connect() as connection:
        await _briefly(connection)
        count = (await connection.execute(select(func.count()).select_from(eval_scores).where(*conditions))).scalar_one()
        rows = (await connection.execute(wanted)).mappings().all()
    return Listed([dict(row) for row in rows], count)


async def candidates(engine: AsyncEngine, *, state: str, reason: str, most: int, skip: int, number: int | None = None) -> Listed:
    """Candidates, the most frequent first, with the ``notes`` of operators who marked their calls; or the one of a number.

    Raises SQLAlchemyError.
    """
    c, notes = eval_candidates.c, func.array_agg(eval_marks.c.note)
    conditions = [c.state == state] + ([c.reasons.contains([reason])] if reason else []) if number is None else [c.id == number]
    marked = select(notes).where(eval_marks.c.candidate == c.id).scalar_subquery().label("notes")
    order = (c.times.desc(), c.at.desc(), c.id)
    async with engine.connect() as connection:
        await _briefly(connection)
        count = (await connection.execute(select(func.count()).select_from(eval_candidates).where(*conditions))).scalar_one()
        wanted = select(eval_candidates, marked).where(*conditions).order_by(*order).limit(most).offset(skip)
        rows = (await connection.execute(wanted)).mappings().all()
    return Listed([dict(row) for row in rows], count)


async def candidate_states(engine: AsyncEngine) -> dict[str, int]:
    """How many candidates are in each state. Raises SQLAlchemyError."""
    wanted = select(eval_candidates.c.state, func.count().label("count")).group_by(eval_candidates.c.state)
    async with engine.connect() as connection:
        found = {row.state: row[1] for row in await connection.execute(wanted)}
    return {state: found.get(state, 0) for state in STATES}


async def open_candidate(engine: AsyncEngine, number: int) -> Mapping[str, Any]:
    """An undecided candidate. Raises NotFound and InvalidRequest."""
    async with engine.connect() as connection:
        return await _open(connection, number)


async def dismiss(engine: AsyncEngine, number: int, why: str) -> None:
    """Dismiss a candidate. ``why`` is redacted already. Raises NotFound and InvalidRequest."""
    async with engine.begin() as connection:
        await _open(connection, number, lock=True)
        values = {"state": "dismissed", "decided_at": datetime.now(UTC), "why": why}
        await connection.execute(update(eval_candidates).where(eval_candidates.c.id == number).values(values))


async def dismissed(engine: AsyncEngine, number: int) -> Mapping[str, Any]:
    """A dismissed candidate. Raises NotFound and InvalidRequest."""
    async with engine.connect() as connection:
        return await _dismissed(connection, number)


async def reopen(engine: AsyncEngine, number: int) -> None:
    """Take a dismissal back: the candidate waits for a decision again. Raises NotFound and InvalidRequest."""
    async with engine.begin() as connection:
        await _dismissed(connection, number, lock=True)
        values = {"state": "new", "decided_at": None, "why": None}
        await connection.execute(update(eval_candidates).where(eval_candidates.c.id == number).values(values))


async def _open(connection: AsyncConnection, number: int, *, lock: bool = False) -> Mapping[str, Any]:
    row = await _candidate(connection, number, lock=lock)
    if row["state"] != "new":
        raise InvalidRequest(f"Candidate {number} was {row['state']} already: {row['case'] or row['why']}")
    return row


async def _dismissed(connection: AsyncConnection, number: int, *, lock: bool = False) -> Mapping[str, Any]:
    row = await _candidate(connection, number, lock=lock)
    if row["state"] != "dismissed":
        why = "waits for a decision" if row["state"] == "new" else f"became the case {row['case']}"
        raise InvalidRequest(f"Candidate {number} was not dismissed: it {why}.")
    return row


async def _candidate(connection: AsyncConnection, number: int, *, lock: bool) -> Mapping[str, Any]:
    wanted = select(eval_candidates).where(eval_candidates.c.id == number)
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no candidate {number}.")
    return dict(row)


async def _briefly(connection: AsyncConnection) -> None:
    await connection.execute(text(f"SET LOCAL statement_timeout = {LONGEST * 1000:.0f}"))
