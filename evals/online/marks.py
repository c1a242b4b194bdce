"""Calls that operators marked: a round makes candidates of them, and notes of each what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, update

from app.audit.scores import eval_candidates, eval_marks
from evals.online.candidates import Found, digest

# Any pass of a request may be marked; its last one holds the answer.
_WAITING = text("""
    SELECT m.call_id, last.id, last.at FROM eval_marks m JOIN calls c ON c.id = m.call_id AND c.at = m.at
    CROSS JOIN LATERAL (
        SELECT id, at FROM calls WHERE request_id = c.request_id AND tenant = c.tenant AND feature = c.feature
        AND trace_id = c.trace_id ORDER BY at DESC LIMIT 1
    ) AS last
    WHERE m.read_at IS NULL ORDER BY m.marked_at LIMIT :most
""")

# Locked to the end of the round: who takes a mark back meanwhile waits, and then reads that it is too late. Not locked by
# `_WAITING`: an erasure, which a round must let go first, deletes marks too.
_STILL = text("SELECT call_id FROM eval_marks WHERE call_id = ANY(:ids) ORDER BY call_id FOR UPDATE")


def waiting(connection: Connection, most: int) -> list[dict[str, Any]]:
    """Marks that no round took up: ``call_id``, and ``id`` and ``at`` of the last pass of its request."""
    return [dict(row) for row in connection.execute(_WAITING, {"most": most}).mappings()]


def taken_back(connection: Connection, marked: Sequence[Mapping[str, Any]]) -> set[str]:
    """The last passes whose marks are all gone by now. The others stay until the transaction ends."""
    still = set(connection.execute(_STILL, {"ids": [one["call_id"] for one in marked]}).scalars())
    return {one["id"] for one in marked} - {one["id"] for one in marked if one["call_id"] in still}


def settle(connection: Connection, marked: Sequence[Mapping[str, Any]], found: Mapping[str, Found], now: datetime) -> None:
    """Note which candidate each became; none where no suite could read the call."""
    for one in marked:
        number = None
        if one["id"] in found:
            same = eval_candidates.c.digest == digest(found[one["id"]].scored.request)
            number = connection.execute(select(eval_candidates.c.id).where(same)).scalar_one_or_none()
        of_it = eval_marks.c.call_id == one["call_id"]
        connection.execute(update(eval_marks).where(of_it).values(read_at=now, candidate=number))
