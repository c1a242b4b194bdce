"""How each provider does now, from the records of its newest attempts: failures, and times beside its usual ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from app.domain.provider_errors import FAULTS, ProviderOutputInvalid, ProviderRejected, ProviderTimeout
from app.domain.records import CANCELLED

NOW = timedelta(minutes=5)  # attempts before it say nothing about now
USUAL = timedelta(hours=1)  # the answers to compare with
NEWEST, LEAST, ENOUGH = 5, 3, 10  # attempts that are compared, fewest of them, and fewest usual answers
TIMES, MORE_MS = 3.0, 500.0  # slow: several times the usual, and more than a busy machine adds
MISSHAPEN, REJECTED = ProviderOutputInvalid.code, ProviderRejected.code
REFUSES, CALLERS = 5, 2  # refused attempts of a model that answers none, and fewest callers: one alone may be at fault
# A model that is not tried for so long, though calls are answered, says nothing about now; nor do answers that missed a schema.
LATELY = timedelta(minutes=1)

# Models and kinds are compared apart: a stream by its first token. An attempt that was overtaken took at least its time.
STATES = text(f"""
    WITH seen AS (
        SELECT provider, model, ttft_ms IS NOT NULL AS stream, at, outcome, coalesce(ttft_ms, latency_ms) AS ms,
               row_number() OVER (PARTITION BY provider, model, ttft_ms IS NOT NULL ORDER BY at DESC) AS newest
        FROM attempts WHERE at >= CAST(:until AS timestamptz) - interval '{USUAL.total_seconds():.0f} s'
          AND at < :until AND outcome <> :cancelled
    ), by_model AS (
        SELECT provider, model, max(at) FILTER (WHERE outcome = ANY(:faults)) AS failed_at,
               max(at) FILTER (WHERE outcome = 'ok') AS answered_at FROM seen GROUP BY 1, 2
    ), by_provider AS (
        SELECT provider, max(failed_at) AS failed_at, max(answered_at) AS answered_at FROM by_model GROUP BY 1
    ), refusals AS (
        SELECT a.provider, a.model, count(DISTINCT (c.tenant, c."user", c.key_id)) AS callers,
               count(DISTINCT c.id) FILTER (WHERE c.outcome = 'ok') AS elsewhere
        FROM attempts a JOIN calls c ON c.id = a.call_id AND c.at = a.at
        WHERE a.at >= CAST(:until AS timestamptz) - interval '{NOW.total_seconds():.0f} s' AND a.at < :until
          AND a.outcome = '{REJECTED}' AND a.error LIKE '%(invalid)' GROUP BY 1, 2
    ), marked AS (
        SELECT seen.*, at >= CAST(:until AS timestamptz) - interval '{NOW.total_seconds():.0f} s' AS now,
               at >= CAST(:until AS timestamptz) - interval '{LATELY.total_seconds():.0f} s' AS lately,
               outcome IN ('ok', '{ProviderTimeout.code}') AS timed, outcome = ANY(:faults) AS fault,
               p.failed_at, p.answered_at, m.failed_at > coalesce(m.answered_at, '-infinity') AS dead
        FROM seen JOIN by_provider p USING (provider) JOIN by_model m USING (provider, model)
    )
    SELECT provider, model, count(*) FILTER (WHERE now) AS attempts,
           count(*) FILTER (WHERE now AND fault) AS failed, bool_or(dead) AS dead,
           max(at) AS newest_at, count(*) FILTER (WHERE lately) AS lately,
           count(*) FILTER (WHERE lately AND outcome = 'ok') AS answered_lately,
           count(*) FILTER (WHERE now AND outcome = '{REJECTED}') AS rejected,
           (SELECT callers >= {CALLERS} OR elsewhere >= {LEAST} FROM refusals r
            WHERE (r.provider, r.model) = (m.provider, m.model)) AS of_several,
           count(*) FILTER (WHERE now AND outcome = '{MISSHAPEN}') AS misshapen,
           bool_or(lately AND outcome = '{MISSHAPEN}') AS misses,
           coalesce(CASE WHEN count(*) FILTER (WHERE lately AND fault) >= {LEAST}
                         THEN mode() WITHIN GROUP (ORDER BY outcome) FILTER (WHERE lately AND fault) END,
                    mode() WITHIN GROUP (ORDER BY outcome) FILTER (WHERE now AND fault)) AS cause,
           count(*) FILTER (WHERE now AND outcome = 'ok' AND (failed_at IS NULL OR at > failed_at)) AS since,
           count(*) FILTER (WHERE now AND fault AND (answered_at IS NULL OR at > answered_at)) AS failing,
           count(*) FILTER (WHERE now AND timed AND newest <= {NEWEST}) AS compared,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE now AND timed AND newest <= {NEWEST}) AS takes,
           count(*) FILTER (WHERE outcome = 'ok' AND newest > {NEWEST}) AS known,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE outcome = 'ok' AND newest > {NEWEST}) AS usual
    FROM marked m GROUP BY provider, model, stream
""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class ProviderState:
    """``attempts`` of the last five minutes, ``failed`` ones, and those whose answer missed its schema (``misshapen``).

    Of these there are none once `LATELY` has passed without one. They do not count as failed: answers that need no schema come
    between them, and prove nothing. ``since``: answers after its last failure; ``failing``: failures after its last answer.
    ``slow``: the median of its newest attempts and its usual one, in milliseconds, of the model that is the most behind; None
    where none takes several times its usual time. ``models``: those whose attempts failed, ``tried`` all of them. ``cause``: the
    code of most failures of its worst model, of the newest where there are some. ``dead``: each of its models that was tried
    failed last. ``refused``: the models that refused every request as invalid, of several callers or that another model answered,
    with how many. ``untried``: its newest attempt, where calls of the last minute tried others and not this one.
    """

    attempts: int
    failed: int
    slow: tuple[float, float] | None
    since: int = 0
    failing: int = 0
    models: frozenset[str] = frozenset()
    cause: str = ""
    misshapen: int = 0
    tried: frozenset[str] = frozenset()
    dead: bool = False
    refused: tuple[tuple[str, int], ...] = ()
    untried: datetime | None = None


def parameters(until: datetime) -> dict[str, Any]:
    """The parameters of `STATES`: the state at ``until``."""
    return {"until": until, "faults": sorted(FAULTS - {MISSHAPEN}), "cancelled": CANCELLED}


def states_of(rows: Sequence[dict[str, Any]]) -> dict[str, ProviderState]:
    """Each provider's, from the rows of `STATES`."""
    answers, attempts = (sum(row[name] for row in rows) for name in ("answered_lately", "lately"))
    names = sorted({row["provider"] for row in rows})
    return {name: _state([row for row in rows if row["provider"] == name], answers, attempts) for name in names}


def _state(rows: Sequence[dict[str, Any]], answers: int, attempts: int) -> ProviderState:
    """Of one provider, from those of its models. ``answers``, ``attempts``: of the last minute, of all providers."""
    # A model that no call tries any more, as its first one is well again, would be slow until its last attempt is forgotten.
    timed = [row for row in rows if row["lately"] or answers < LEAST]
    worst = max(rows, key=lambda row: row["failed"])
    return ProviderState(
        attempts=sum(row["attempts"] for row in rows),
        failed=sum(row["failed"] for row in rows),
        slow=max(filter(None, map(_slow, timed)), key=lambda one: one[0] / one[1], default=None),
        since=sum(row["since"] for row in rows),
        failing=sum(row["failing"] for row in rows),
        models=frozenset(row["model"] for row in rows if row["failed"] or row["misshapen"]),
        cause=worst["cause"] or "",
        misshapen=sum(row["misshapen"] for row in rows) if any(row["misses"] for row in rows) else 0,
        tried=frozenset(row["model"] for row in rows if row["attempts"]),
        dead=all(row["dead"] for row in rows if row["attempts"]) and any(row["attempts"] for row in rows),
        refused=tuple(_refused(rows)),
        untried=max(row["newest_at"] for row in rows) if attempts and not any(row["lately"] for row in rows) else None,
    )


def _refused(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """A vendor says 400 of a model that it took away, too, or of a parameter that it no longer has."""
    for model in sorted({row["model"] for row in rows}):
        own = [row for row in rows if row["model"] == model]
        attempts, rejected = (sum(row[name] for row in own) for name in ("attempts", "rejected"))
        if rejected == attempts >= REFUSES and any(row["of_several"] for row in own):
            yield model, rejected


def _slow(row: dict[str, Any]) -> tuple[float, float] | None:
    if row["compared"] < LEAST or row["known"] < ENOUGH:
        return None
    takes, usual = float(row["takes"]), max(1.0, float(row["usual"]))
    return (takes, usual) if takes >= TIMES * usual and takes >= usual + MORE_MS else None
