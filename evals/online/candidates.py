"""Questions of production that may be worth a case: found by rounds, decided by people.

The same question is one candidate however often it is asked, by whomever: it is compared as a reader would, with what redaction
put into it told by kind alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Engine, func, insert, select, update

from app.api.feedback.tables import feedback
from app.audit.scores import eval_candidates
from evals.cases import Case, InvalidSuite
from evals.online.recorded import TOKEN, Read
from evals.privacy import redacted
from evals.wording import plain

Reason = Literal["low_score", "user_feedback", "guard_flag", "hand_over"]
REASONS: tuple[Reason, ...] = get_args(Reason)
State = Literal["new", "promoted", "dismissed"]


@dataclass(frozen=True, slots=True)
class Found:
    """A call that is worth a look, and why. ``comment`` is what its user said of it, or nobody who was named."""

    row: Mapping[str, Any]
    read: Read
    reasons: tuple[Reason, ...]
    comment: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """As a row."""
        wrong = [{"scorer": one.scorer, "words": one.words} for one in self.read.findings]
        of_call = {name: self.row[name] for name in ("at", "tenant", "user", "request_id", "feature", "release")}
        seen = {**self.read.seen, "findings": wrong, "flags": _flags(self.row)} | (
            {"comment": self.comment} if self.comment else {}
        )
        about = {"reasons": list(self.reasons), "times": 1, "asked": dict(self.read.asked), "seen": seen}
        return {**of_call, **about, "digest": digest(self.read.asked)}


def digest(asked: Mapping[str, Any]) -> str:
    """The same for the same question in the same conversation, whoever asks."""
    turns = [f"{turn['role']}: {turn['text']}" for turn in asked.get("conversation", ())]
    said = [*turns, asked.get("question") or asked.get("text") or ""]
    words = [TOKEN.sub(r"<\1>", plain(text)).rstrip(" .!?") for text in said]
    return hashlib.sha256(json.dumps([asked["endpoint"], *words]).encode()).hexdigest()[:32]


def digest_of(one: Case) -> str:
    """The same of a case: made-up personal data in it compare by kind too."""
    told = one.input.wire
    turns = [{**turn, "text": redacted(turn["text"])} for turn in told.get("conversation", ())]
    said = {"question": redacted(told.get("question") or told["text"])}
    return digest({"endpoint": one.endpoint, "conversation": turns, **said})


def keep(connection: Connection, found: Sequence[Found]) -> list[Reason]:
    """Write candidates down, in the connection's transaction. What is decided stays so. Returns the reasons that are new."""
    news: list[Reason] = []
    table = eval_candidates.c
    for one in found:
        values = one.values
        columns = (table.id, table.reasons, table.tenant, table.user, table.request_id, table.times, table.seen)
        wanted = select(*columns).where(table.digest == values["digest"])
        there = connection.execute(wanted.with_for_update()).one_or_none()
        if there is None:
            connection.execute(insert(eval_candidates).values(values))
            news += one.reasons
            continue
        news += [reason for reason in one.reasons if reason not in there.reasons]
        same = all(getattr(there, name) == values[name] for name in ("tenant", "user", "request_id"))
        values |= {
            "reasons": sorted({*there.reasons, *one.reasons}, key=REASONS.index),
            "times": there.times + (not same),
            "seen": {**there.seen, **values["seen"]} if same else values["seen"],
        }
        connection.execute(update(eval_candidates).where(table.id == there.id).values(values))
    return news


def listed(engine: Engine, state: State, reason: Reason | None, limit: int) -> Sequence[Mapping[str, Any]]:
    """Candidates, those that were seen most often first, with the ``comments`` of others than the call's user."""
    said = feedback.c
    others = select(func.array_agg(said.comment)).where(
        said.tenant == eval_candidates.c.tenant,
        said.request_id == eval_candidates.c.request_id,
        said.user.not_in([eval_candidates.c.user, ""]),
        said.rating == "bad",
        said.comment != "",
    )
    wanted = select(eval_candidates, others.scalar_subquery().label("comments")).where(eval_candidates.c.state == state)
    if reason:
        wanted = wanted.where(eval_candidates.c.reasons.contains([reason]))
    with engine.connect() as connection:
        order = (eval_candidates.c.times.desc(), eval_candidates.c.at.desc())
        return [dict(row) for row in connection.execute(wanted.order_by(*order).limit(limit)).mappings()]


def open_candidate(connection: Connection, number: int) -> Mapping[str, Any]:
    """A candidate that nobody has decided, locked. Raises InvalidSuite."""
    wanted = select(eval_candidates).where(eval_candidates.c.id == number).with_for_update()
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise InvalidSuite(f"there is no candidate {number}")
    if row["state"] != "new":
        raise InvalidSuite(f"candidate {number} was {row['state']} already: {row['case'] or row['why']}")
    return dict(row)


def decide(connection: Connection, number: int, state: State, **what: str) -> None:
    """Note what became of a candidate: ``case`` of one that was promoted, ``why`` of one that was dismissed."""
    changes = {"state": state, "decided_at": datetime.now(UTC), **what}
    connection.execute(update(eval_candidates).where(eval_candidates.c.id == number).values(changes))


def _flags(row: Mapping[str, Any]) -> list[str]:
    return [word.removeprefix("guard:") for word in row["degraded"] if word.startswith("guard:")]
