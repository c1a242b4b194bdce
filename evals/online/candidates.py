"""Questions of production that may be worth a case: rounds find them, people decide on them.

The same question is one candidate however often it comes, from whichever user: it is compared as a reader would, and values that
redaction took out of it count by kind alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Engine, func, insert, select, update

from app.api.feedback.tables import feedback
from app.audit.scores import eval_candidates, eval_marks
from evals.cases import Case, InvalidSuite
from evals.online.recorded import TOKEN
from evals.privacy import redacted
from evals.suite import Scored
from evals.wording import plain

Reason = Literal["low_score", "user_feedback", "guard_flag", "hand_over", "operator"]
REASONS: tuple[Reason, ...] = get_args(Reason)
State = Literal["new", "promoted", "dismissed"]


@dataclass(frozen=True, slots=True)
class Found:
    """A call that should be reviewed, and the reasons.

    ``comment`` is feedback of its own user, or of an unnamed one.
    """

    row: Mapping[str, Any]
    scored: Scored
    reasons: tuple[Reason, ...]
    comment: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """As a row."""
        wrong = [{"scorer": one.scorer, "words": one.words} for one in self.scored.findings]
        of_call = {name: self.row[name] for name in ("at", "tenant", "user", "request_id", "feature", "release")}
        seen = {**self.scored.answer, "findings": wrong, "flags": _flags(self.row)} | (
            {"comment": self.comment} if self.comment else {}
        )
        about = {"reasons": list(self.reasons), "times": 1, "asked": dict(self.scored.request), "seen": seen}
        return {**of_call, **about, "digest": digest(self.scored.request)}


def digest(request: Mapping[str, Any]) -> str:
    """Key of a question in its conversation, equal for all users.

    It is made of the endpoint and the texts, in the order of their names.
    """
    fields = {name: value for name, value in request.items() if name not in ("endpoint", "user")}
    words = [TOKEN.sub(r"<\1>", plain(text)).rstrip(" .!?") for text in _texts(fields)]
    return hashlib.sha256(json.dumps([request["endpoint"], *words]).encode()).hexdigest()[:32]


def digest_of(one: Case) -> str:
    """The key of a case: made-up personal data in it compare by type too."""
    return digest({"endpoint": one.endpoint, **{name: _redacted(value) for name, value in one.input.body.items()}})


def question_of(request: Mapping[str, Any]) -> str:
    """The last text of a request: the question, after the turns before it."""
    texts = [value for name, value in request.items() if isinstance(value, str) and name not in ("endpoint", "user")]
    return texts[-1] if texts else ""


def text_of(answer: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The first of these fields that an answer has."""
    return next((str(answer[name]) for name in fields if answer.get(name)), "")


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - any JSON
    """Every text in it. A turn of a conversation is one text, with its role."""
    match value:
        case {"role": str(role), "text": str(text)}:
            return [f"{role}: {text}"]
        case Mapping():
            return [text for _, item in sorted(value.items()) for text in _texts(item)]
        case list() | tuple():
            return [text for item in value for text in _texts(item)]
    return [] if value is None else [str(value)]


def _redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case Mapping():
            return {name: _redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


def keep(connection: Connection, found: Sequence[Found]) -> list[Reason]:
    """Store candidates in the connection's transaction. A decision stays. Returns the reasons that are new."""
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
    """Candidates, the most frequent first, with the ``comments`` of others than its user, and operators' ``notes``."""
    given = feedback.c
    others = select(func.array_agg(given.comment)).where(
        given.tenant == eval_candidates.c.tenant,
        given.request_id == eval_candidates.c.request_id,
        given.user.not_in([eval_candidates.c.user, ""]),
        given.rating == "bad",
        given.comment != "",
    )
    notes = select(func.array_agg(eval_marks.c.note)).where(eval_marks.c.candidate == eval_candidates.c.id)
    more = (others.scalar_subquery().label("comments"), notes.scalar_subquery().label("notes"))
    wanted = select(eval_candidates, *more).where(eval_candidates.c.state == state)
    if reason:
        wanted = wanted.where(eval_candidates.c.reasons.contains([reason]))
    with engine.connect() as connection:
        order = (eval_candidates.c.times.desc(), eval_candidates.c.at.desc())
        return [dict(row) for row in connection.execute(wanted.order_by(*order).limit(limit)).mappings()]


def open_candidate(connection: Connection, number: int) -> Mapping[str, Any]:
    """An undecided candidate, locked. Raises InvalidSuite."""
    wanted = select(eval_candidates).where(eval_candidates.c.id == number).with_for_update()
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise InvalidSuite(f"there is no candidate {number}")
    if row["state"] != "new":
        raise InvalidSuite(f"candidate {number} was {row['state']} already: {row['case'] or row['why']}")
    return dict(row)


def decide(connection: Connection, number: int, state: State, **what: str) -> None:
    """Store the decision on a candidate: ``case`` of one that was promoted, ``why`` of one that was dismissed."""
    changes = {"state": state, "decided_at": datetime.now(UTC), **what}
    connection.execute(update(eval_candidates).where(eval_candidates.c.id == number).values(changes))


def _flags(row: Mapping[str, Any]) -> list[str]:
    return [word.removeprefix("guard:") for word in row["degraded"] if word.startswith("guard:")]
