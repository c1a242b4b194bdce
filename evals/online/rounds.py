"""One round: scores a fair sample of the new calls, and notes those that should be reviewed.

A round is one transaction: scores, candidates, the test for drift and the place up to which calls are done with change together,
so a worker that dies in the middle leaves nothing, and the next does the same calls again. Of several workers one does the round.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from app.audit.erasures import LOCK as ERASING
from app.audit.scores import eval_drift, eval_position, eval_scores
from app.domain.records import NO_EVIDENCE
from app.settings import EvalsSettings
from evals.online import marks, shadows
from evals.online.candidates import Found, Reason, keep
from evals.online.drift import Drift
from evals.online.recorded import SCORED, Unreadable, read, readers_of
from evals.online.reservoir import Reservoir
from evals.suite import Scored, Suite

Row = dict[str, Any]
LOCK = 0x0C85
FIRST_LOOK = timedelta(hours=1)  # how far back the very first round begins
LONGEST = timedelta(hours=1)  # that one round walks: after a long rest it takes several
LATEST_PASS = timedelta(minutes=5)  # after its first pass a request has no further one: its deadline (a minute) is over
FORGOTTEN = timedelta(hours=1)  # feedback without a record by then is on no call of ours
OURS = (*SCORED, NO_EVIDENCE, "content_refused", "answer_withheld")  # outcomes of which a case can be made
BATCH = 50

# The last pass of each request is its answer. Passes after `until` are read too: a request that ends later is the next round's.
# Callers may choose the id of a request, and do so again; passes of one request are in one trace.
_WALK = text("""
    SELECT id, at, tenant, request_id, feature, release, outcome, degraded FROM (
        SELECT DISTINCT ON (tenant, feature, request_id, trace_id) id, at, tenant, request_id, feature, release, outcome, degraded
        FROM calls WHERE at > :since AND at <= :walk_to AND feature = ANY(:features)
        ORDER BY tenant, feature, request_id, trace_id, at DESC
    ) AS last WHERE at <= :until AND outcome = ANY(:outcomes)
""")
_READ = text("SELECT * FROM calls WHERE id = ANY(:ids) AND at >= :first AND at <= :last")
_STILL_THERE = text("SELECT id FROM calls WHERE id = ANY(:ids) AND at >= :first AND at <= :last")
# Only feedback on a readable call of ours: other feedback does not hold the rest up. Each tenant has its turn.
# A candidate is erased with its call's user, so the comment of another user is not copied into it.
_FEEDBACK = text("""
    SELECT f.tenant, f.request_id, f."user", f.at AS said_at, c.id, c.at,
        CASE WHEN f."user" IN (c."user", '') THEN f.comment ELSE '' END AS comment FROM feedback f
    CROSS JOIN LATERAL (
        SELECT id, at, "user" FROM calls WHERE request_id = f.request_id AND tenant = f.tenant AND feature = ANY(:features)
        AND outcome = ANY(:outcomes) ORDER BY at DESC LIMIT 1
    ) AS c
    WHERE f.reviewed_at IS NULL AND f.rating::text = 'bad'::text AND f.at <= :until
    ORDER BY row_number() OVER (PARTITION BY f.tenant ORDER BY f.at), f.at LIMIT :most
""")
_REVIEWED = text("""
    UPDATE feedback SET reviewed_at = :now
    WHERE tenant = :tenant AND request_id = :request_id AND "user" = :user AND at = :said_at
""")
# No call of its request can be read, or there is none and none will come.
_FORGET = text("""
    UPDATE feedback f SET reviewed_at = :now
    WHERE f.reviewed_at IS NULL AND f.rating::text = 'bad'::text AND f.at <= :until AND NOT coalesce((
        SELECT bool_or(feature = ANY(:features) AND outcome = ANY(:outcomes)) FROM calls
        WHERE request_id = f.request_id AND tenant = f.tenant
    ), f.at >= :forgotten)
""")


@dataclass(slots=True)
class RoundReport:
    """Counts of a round: ``scored`` and ``passed`` by feature and release, ``left_out`` by why, ``candidates`` by reason."""

    until: datetime
    behind: bool
    scored: Counter[tuple[str, str]] = field(default_factory=Counter)
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    candidates: Counter[Reason] = field(default_factory=Counter)


def once(
    engine: Engine, suites: Sequence[Suite], limits: EvalsSettings, now: datetime, chance: random.Random, *, forced: bool = False
) -> RoundReport | None:
    """Do a round. None where another worker does one, or has just done it. Raises what SQLAlchemy raises.

    ``forced``: also where the last was just done.
    """
    with engine.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}).scalar_one():
            return None
        place = connection.execute(select(eval_position)).mappings().one_or_none()
        newest = now - timedelta(seconds=limits.late)
        behind = place is not None and place["until"] < newest - LONGEST
        if place and not forced and not behind and place["scored_at"] > now - timedelta(seconds=limits.interval * 0.9):
            return None
        since: datetime = place["until"] if place else newest - FIRST_LOOK
        until = max(since, min(newest, since + LONGEST))
        report = Round(connection, suites, limits, chance, (since, until, now)).go()
        shadows.score(connection, readers_of(suites), limits.sample, chance)
        values = {"one": True, "until": until, "scored_at": now}
        connection.execute(insert(eval_position).values(values).on_conflict_do_update(index_elements=["one"], set_=values))
    return report


def drifts(connection: Connection) -> dict[str, Drift]:
    """The test's state by feature."""
    rows = connection.execute(select(eval_drift)).mappings()
    return {row["feature"]: Drift(**{name: value for name, value in row.items() if name != "feature"}) for row in rows}


class Round:
    """One round on its transaction. ``clock`` is in seconds."""

    def __init__(
        self,
        connection: Connection,
        suites: Sequence[Suite],
        limits: EvalsSettings,
        chance: random.Random,
        times: tuple[datetime, datetime, datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``times``: calls that began after the first and up to the second are this round's; the third is now."""
        self._connection = connection
        self._suites = suites
        self._readers = readers_of(suites)
        self._limits = limits
        self._chance = chance
        self._since, self._until, self._now = times
        self._clock = clock
        self._report = RoundReport(self._until, behind=self._until < self._now - timedelta(seconds=limits.late))
        self._scores: list[tuple[Row, Scored]] = []
        self._found: dict[str, Found] = {}
        self._fair: frozenset[str] = frozenset()

    def go(self) -> RoundReport:
        """Walk, score, review the calls that stand out, and store the results."""
        sampled, standing_out = self._walk()
        self._score(sampled)
        for row, reasons in self._rows(standing_out):
            self._look(row, reasons)
        marked = marks.waiting(self._connection, self._limits.candidates)
        for row, _ in self._rows({one["id"]: (one["at"], []) for one in marked}):
            self._look(row, ["operator"])
        self._write(self._feedback(), marked)
        marks.settle(self._connection, marked, self._found, self._now)
        self._connection.execute(_FORGET, {**self._reviewable, "now": self._now, "forgotten": self._now - FORGOTTEN})
        return self._report

    def _walk(self) -> tuple[list[Row], dict[str, tuple[datetime, list[Reason]]]]:
        """The sample, and by id the calls that stand out.

        Those were flagged or handed over.
        """
        bounds = {"since": self._since, "walk_to": min(self._now, self._until + LATEST_PASS)}
        handed = {
            call for suite in self._suites for call in suite.handed_over(self._connection, bounds["since"], bounds["walk_to"])
        }
        wanted = {**bounds, "until": self._until, "features": list(self._readers), "outcomes": list(OURS)}
        reservoirs: dict[tuple[str, str], Reservoir[Row]] = {}
        standing_out: dict[str, tuple[datetime, list[Reason]]] = {}
        no_evidence: Reservoir[tuple[Row, list[Reason]]] = Reservoir(self._limits.sample, self._chance)
        for mapping in self._connection.execute(_WALK, wanted, execution_options={"yield_per": BATCH}).mappings():
            row = dict(mapping)
            if row["outcome"] in SCORED:
                group = row["feature"], row["release"]
                reservoirs.setdefault(group, Reservoir(self._limits.sample, self._chance)).offer(row)
            reasons: list[Reason] = []
            reasons += ["guard_flag"] if any(code.startswith("guard:") for code in row["degraded"]) else []
            reasons += ["hand_over"] if (row["tenant"], row["request_id"]) in handed else []
            if reasons and row["outcome"] == NO_EVIDENCE:
                no_evidence.offer((row, reasons))
            elif reasons and len(standing_out) >= self._limits.candidates:
                self._report.left_out["candidates"] += 1
            elif reasons:
                standing_out[row["id"]] = row["at"], reasons
        # They cost nothing, so any caller can send thousands: a fair sample of them takes the room that is left.
        chosen = no_evidence.held[: max(0, self._limits.candidates - len(standing_out))]
        standing_out |= {row["id"]: (row["at"], reasons) for row, reasons in chosen}
        self._report.left_out["candidates"] += no_evidence.passed_over + len(no_evidence.held) - len(chosen)
        self._report.left_out["sample"] += sum(reservoir.passed_over for reservoir in reservoirs.values())
        self._fair = self._fair_part(reservoirs)
        sampled = [row for reservoir in reservoirs.values() for row in reservoir.held]
        self._chance.shuffle(sampled)  # so that chance decides about calls left out for lack of time too
        return sampled, standing_out

    def _fair_part(self, reservoirs: Mapping[tuple[str, str], Reservoir[Row]]) -> frozenset[str]:
        """The part of the sample in which each call of a feature is as likely as any other, whatever its release.

        A canary is judged by this part alone: in the whole sample a small release has more than its share of the calls.
        """
        chosen = set()
        for feature in {feature for feature, _ in reservoirs}:
            own = [reservoir for (of, _), reservoir in reservoirs.items() if of == feature]
            rates = [len(one.held) / (len(one.held) + one.passed_over) for one in own]
            for one, rate in zip(own, rates, strict=True):
                chosen |= {row["id"] for row in one.held if self._chance.random() < min(rates) / rate}
        return frozenset(chosen)

    def _score(self, sampled: Sequence[Row]) -> None:
        began, done = self._clock(), 0
        for row, _ in self._rows({row["id"]: (row["at"], []) for row in sampled}):
            if self._clock() - began > self._limits.seconds:
                break
            done += 1
            if (found := self._read(row)) is None:
                continue
            self._scores.append((row, found))
            if found.findings:
                self._note(row, found, ("low_score",))
        self._report.left_out["seconds"] += len(sampled) - done

    def _rows(self, wanted: Mapping[str, tuple[datetime, list[Reason]]]) -> Iterator[tuple[Row, list[Reason]]]:
        """Records with their texts, a few at a time, in the wanted order."""
        ids = list(wanted)
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            times = [wanted[one][0] for one in some]
            rows = self._connection.execute(_READ, {"ids": some, "first": min(times), "last": max(times)}).mappings()
            by_id = {row["id"]: dict(row) for row in rows}
            yield from ((by_id[one], wanted[one][1]) for one in some if one in by_id)

    @property
    def _reviewable(self) -> dict[str, Any]:
        """Bounds of the feedback that a round reviews.

        It is old enough for its record to be there, and on calls that can be read.
        """
        until = self._now - timedelta(seconds=self._limits.late)
        return {"features": list(self._readers), "outcomes": list(OURS), "until": until}

    def _feedback(self) -> Sequence[Row]:
        """Review bad feedback. Returns the reviewed rows."""
        wanted = {**self._reviewable, "most": self._limits.candidates}
        reviewed = [dict(row) for row in self._connection.execute(_FEEDBACK, wanted).mappings()]
        by_call = {one["id"]: one for one in sorted(reviewed, key=lambda one: bool(one["comment"]))}
        for row, reasons in self._rows({number: (one["at"], ["user_feedback"]) for number, one in by_call.items()}):
            self._look(row, reasons, by_call[row["id"]]["comment"])
        return reviewed

    def _look(self, row: Row, reasons: Sequence[Reason], comment: str = "") -> None:
        if found := self._read(row):
            self._note(row, found, reasons, comment)

    def _read(self, row: Row) -> Scored | None:
        try:
            return read(row, self._readers)
        except Unreadable:
            self._report.left_out["unreadable"] += 1
            return None

    def _note(self, row: Row, found: Scored, reasons: Sequence[Reason], comment: str = "") -> None:
        before = self._found.get(row["id"])
        if before is None and len(self._found) >= self._limits.candidates and "low_score" in reasons:
            # There may be very many of these; the others are bounded where they are found.
            self._report.left_out["candidates"] += 1
            return
        earlier = before.reasons if before else ()
        all_of_them = tuple(dict.fromkeys((*earlier, *reasons)))
        self._found[row["id"]] = Found(row, found, all_of_them, comment or (before.comment if before else ""))

    def _write(self, reviewed: Sequence[Row], marked: Sequence[Row]) -> None:
        """Write scores and candidates, but none of erased calls.

        An erasure waits for this transaction, or came before it.
        """
        self._connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": ERASING})
        self._mark_reviewed(reviewed)
        self._drop_reason("operator", marks.taken_back(self._connection, marked))
        rows = [row for row, _ in self._scores] + [found.row for found in self._found.values()]
        if not rows:
            return
        times = [row["at"] for row in rows]
        wanted = {"ids": [row["id"] for row in rows], "first": min(times), "last": max(times)}
        there = set(self._connection.execute(_STILL_THERE, wanted).scalars())
        scores = sorted(((row, made) for row, made in self._scores if row["id"] in there), key=lambda one: one[0]["at"])
        if scores:
            put = insert(eval_scores).on_conflict_do_nothing()
            self._connection.execute(put, [_score_row(row, made, fair=row["id"] in self._fair) for row, made in scores])
        self._test(scores)
        self._report.candidates.update(keep(self._connection, [one for number, one in self._found.items() if number in there]))

    def _mark_reviewed(self, reviewed: Sequence[Row]) -> None:
        """Mark feedback as reviewed.

        Rows that were erased or replaced meanwhile are no reason any more.
        """
        still: set[str] = set()
        for one in reviewed:
            which = {name: one[name] for name in ("tenant", "request_id", "user", "said_at")}
            if self._connection.execute(_REVIEWED, {**which, "now": self._now}).rowcount:
                still.add(one["id"])
        self._drop_reason("user_feedback", {one["id"] for one in reviewed} - still)

    def _drop_reason(self, gone: Reason, numbers: AbstractSet[str]) -> None:
        """Take a reason from calls, and the calls that have no other out of the candidates."""
        for number in numbers & self._found.keys():
            found = self._found.pop(number)
            if reasons := tuple(reason for reason in found.reasons if reason != gone):
                comment = "" if gone == "user_feedback" else found.comment
                self._found[number] = replace(found, reasons=reasons, comment=comment)

    def _test(self, scores: Sequence[tuple[Row, Scored]]) -> None:
        """Count the scores, and show them to the test for drift in the order of the calls."""
        states = drifts(self._connection)
        for row, made in scores:
            group = row["feature"], row["release"]
            self._report.scored[group] += 1
            self._report.passed[group] += not made.findings
            states[row["feature"]] = states.get(row["feature"], Drift()).after(self._now, failed=bool(made.findings))
        for feature in {row["feature"] for row, _ in scores}:
            values = {"feature": feature, **asdict(states[feature])}
            put = insert(eval_drift).values(values)
            self._connection.execute(put.on_conflict_do_update(index_elements=["feature"], set_=values))


def _score_row(row: Row, made: Scored, *, fair: bool) -> dict[str, Any]:
    of_call = {name: row[name] for name in ("at", "tenant", "user", "request_id", "feature", "release")}
    wrong = [{"scorer": one.scorer, "words": one.words} for one in made.findings]
    return {"call_id": row["id"], **of_call, "passed": not made.findings, "findings": wrong, "fair": fair}
