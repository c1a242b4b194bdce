"""Scores a sample of what shadow releases answered, and throws every text away (B4)."""

import random
from collections.abc import Mapping

from sqlalchemy import Connection, text

from evals.online.recorded import SCORED, Unreadable, read
from evals.suite import Reader

MOST = 2_000  # answers a round

_WAITING = text("SELECT id, feature, outcome FROM shadow_answers WHERE request IS NOT NULL ORDER BY at, id LIMIT :most")
_READ = text("SELECT * FROM shadow_answers WHERE id = ANY(:ids) AND request IS NOT NULL ORDER BY id")
_SCORE = text("UPDATE shadow_answers SET passed = :passed WHERE id = :id")
_THROW_AWAY = text("UPDATE shadow_answers SET request = NULL, response = NULL WHERE id = ANY(:ids)")


def score(connection: Connection, readers: Mapping[str, Reader], sample: int, chance: random.Random) -> int:
    """Score at most ``sample`` answers, in the transaction of a round. Returns how many were scored.

    An answer that is not in its feature's form, such as a tool call in the middle of a request, stays without a score.
    """
    waiting = connection.execute(_WAITING, {"most": MOST}).all()
    fit = [row.id for row in waiting if row.feature in readers and row.outcome in SCORED]
    scored = 0
    for row in connection.execute(_READ, {"ids": chance.sample(fit, min(sample, len(fit)))}).mappings().all():
        try:
            found = read(dict(row), readers)
        except Unreadable:
            continue
        connection.execute(_SCORE, {"id": row["id"], "passed": not found.findings})
        scored += 1
    connection.execute(_THROW_AWAY, {"ids": [row.id for row in waiting]})
    return scored
