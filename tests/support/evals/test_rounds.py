"""Rounds of scoring on a real Postgres (E9).

One at a time, within their budget, nothing twice, nothing of an erased user.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from conftest import own_database
from records import a_record
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit import marks
from app.audit.rows import Writer
from app.domain.errors import InvalidRequest, NotFound
from app.security.guard.guard import fence
from app.settings import EvalsSettings
from evals.cases import InvalidSuite
from evals.discovery import chosen
from evals.online import candidates, recorded, rounds
from evals.online import marks as of_rounds
from evals.online.candidates import decide, open_candidate
from evals.online.rounds import LOCK, Round, RoundReport, once

SUITES = chosen(["support"])
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE = timedelta(seconds=1)
TABLES = "calls, attempts, feedback, eval_scores, eval_candidates, eval_marks, eval_position, eval_drift, support_handovers"


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "scoring") as url:
        yield url


@pytest_asyncio.fixture
async def writer(own_url: str) -> AsyncIterator[Writer]:
    engine: AsyncEngine = create_async_engine(own_url)
    yield Writer(engine)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {TABLES}"))
    await engine.dispose()


@pytest.fixture
def engine(own_url: str) -> Iterator[Engine]:
    engine = create_engine(own_url)
    yield engine
    engine.dispose()


def call(answer: str, age: float, **changes: Any) -> Any:  # noqa: ANN401 - a record
    prompt = fence("question", changes.pop("question", "When is it there?"), nonce="0a1b2c3d")
    prompt += "\n" + fence("passage", "Shipping\nIt takes 3 days.", nonce="0a1b2c3d", id="shipping-times")
    request = json.dumps({"messages": [{"role": "user", "parts": [{"text": prompt}]}]})
    response = changes.pop("response", None) or json.dumps({"parts": [{"text": answer}], "stop": "end_turn"})
    return a_record(at=NOW - timedelta(seconds=age), request=request, response=response, **({"degraded": ()} | changes))


GOOD, BAD = "It takes 3 days. [shipping-times]", "It takes 9 days. [shipping-times]"


def limits(**changes: Any) -> EvalsSettings:  # noqa: ANN401 - any setting
    return EvalsSettings(**({"late": 60, "sample": 10, "interval": 60} | changes))


def go(engine: Engine, now: datetime = NOW, **changes: Any) -> RoundReport:  # noqa: ANN401 - any setting
    finished = once(engine, SUITES, limits(**changes), now, random.Random(3), forced=True)  # noqa: S311 - sampling
    assert finished is not None
    return finished


def rows(engine: Engine, statement: str) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(text(statement)).all()


def scored(engine: Engine) -> set[str]:
    return {row.call_id for row in rows(engine, "SELECT call_id FROM eval_scores")}


async def test_calls_wait_until_their_records_can_be_there_and_are_scored_once(engine: Engine, writer: Writer) -> None:
    old, young = call(GOOD, 61), call(GOOD, 59)
    await writer.write([old, young])
    go(engine)
    assert scored(engine) == {old.id}
    assert go(engine, NOW + ONE).scored.total() == 1
    assert go(engine, NOW + 2 * ONE).scored.total() == 0
    assert scored(engine) == {old.id, young.id}


async def test_of_a_request_the_last_pass_is_scored_also_when_a_round_ends_between(engine: Engine, writer: Writer) -> None:
    tool = json.dumps({"parts": [{"tool_use": "get_order", "arguments": "{}"}], "stop": "tool_use"})
    first, last = (
        call(answer, age, request_id="req_a", trace_id="a" * 32, **more)
        for answer, age, more in (("", 61, {"response": tool}), (GOOD, 59, {}))
    )
    await writer.write([first, last])
    assert go(engine).left_out.total() == 0, "a pass in the middle is no record that cannot be read"
    go(engine, NOW + 2 * ONE)
    assert scored(engine) == {last.id}


async def test_requests_that_got_the_same_id_from_their_caller_are_all_scored(engine: Engine, writer: Writer) -> None:
    await writer.write([call(GOOD, 100 + n, request_id="req_constant") for n in range(4)])
    assert go(engine).scored.total() == 4


async def test_a_round_that_catches_up_does_not_walk_to_the_present(engine: Engine, writer: Writer) -> None:
    """A call long after the deadline is another request.

    No pass of a request begins later than its deadline.
    """
    same = {"request_id": "req_constant", "trace_id": "a" * 32}
    go(engine, NOW - timedelta(hours=4))
    old, young = call(GOOD, 3.5 * 3600, **same), call(GOOD, 100, **same)
    await writer.write([old, young])
    go(engine)
    assert scored(engine) == {old.id}


async def test_a_round_scores_so_many_of_each_feature_and_release_and_counts_the_rest(engine: Engine, writer: Writer) -> None:
    records = [call(GOOD, 100 + n, release=release) for n in range(30) for release in ("a", "b")]
    await writer.write([*records, call("x", 99, feature="chat.completions")])
    finished = go(engine)
    assert finished.scored == {("support.answer", "a"): 10, ("support.answer", "b"): 10}
    assert finished.left_out["sample"] == 40


async def test_a_canary_is_judged_by_scores_of_its_share_of_the_calls(engine: Engine, writer: Writer) -> None:
    """The sample has 40 calls of either release, of 40 and of 360; of the fair part one in ten is the canary's."""
    live = [call(GOOD, 100 + n, release="live") for n in range(360)]
    await writer.write([*live, *(call(GOOD, 100 + n, release="canary") for n in range(40))])
    go(engine, sample=40)
    found = Counter(row.release for row in rows(engine, "SELECT release FROM eval_scores WHERE fair"))
    assert found["live"] == 40, "none of the scarcest is left out"
    assert 1 <= found["canary"] <= 12, found
    assert len(scored(engine)) == 80


async def test_scoring_ends_with_its_seconds_and_what_is_left_is_counted(engine: Engine, writer: Writer) -> None:
    await writer.write([call(GOOD, 100 + n) for n in range(10)])
    ticks = iter(range(1000))
    with engine.begin() as connection:
        times = (NOW - timedelta(hours=1), NOW, NOW)
        finished = Round(connection, SUITES, limits(seconds=3.5), random.Random(3), times, clock=lambda: next(ticks)).go()  # noqa: S311
    assert (finished.scored.total(), finished.left_out["seconds"]) == (3, 7)


async def test_of_several_workers_one_does_a_round_and_the_next_is_not_before_its_time(engine: Engine, writer: Writer) -> None:
    await writer.write([call(GOOD, 100)])
    with engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        assert once(engine, SUITES, limits(), NOW, random.Random(3), forced=True) is None  # noqa: S311 - sampling
    assert once(engine, SUITES, limits(), NOW, random.Random(3)) is not None  # noqa: S311 - sampling
    assert once(engine, SUITES, limits(), NOW + 50 * ONE, random.Random(3)) is None  # noqa: S311 - sampling
    assert once(engine, SUITES, limits(), NOW + 60 * ONE, random.Random(3)) is not None  # noqa: S311 - sampling


async def test_a_round_that_dies_leaves_nothing_and_the_next_does_it_all(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.write([call(BAD, 100)])
    with monkeypatch.context() as broken:
        broken.setattr(rounds, "keep", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            go(engine)
    assert [
        rows(engine, "SELECT call_id FROM eval_scores"),
        rows(engine, "SELECT feature FROM eval_drift UNION ALL SELECT 'place' FROM eval_position"),
    ] == [[], []]
    finished = go(engine)
    assert (finished.scored.total(), finished.passed.total(), finished.candidates) == (1, 0, Counter(low_score=1))


async def test_a_long_rest_is_caught_up_in_steps(engine: Engine, writer: Writer) -> None:
    go(engine, NOW - timedelta(hours=3))
    await writer.write([call(GOOD, 3600 * hours + 100) for hours in (0, 1, 2)])
    finished = [go(engine) for _ in range(3)]
    assert [(one.scored.total(), one.behind) for one in finished] == [(1, True), (1, True), (1, False)]


async def test_a_user_who_is_erased_while_a_round_reads_is_not_written_down(engine: Engine, writer: Writer) -> None:
    """Erasing waits for the round's transaction, or was before it.

    Then the call is gone when the round reads again.
    """
    gone, stays = call(BAD, 100, question="Mine?"), call(BAD, 101, question="Theirs?")
    await writer.write([gone, stays])
    read = recorded.read

    def erased_meanwhile(row: Any, readers: Any) -> Any:  # noqa: ANN401 - a row
        with engine.begin() as other:
            other.execute(text("DELETE FROM calls WHERE id = :id"), {"id": gone.id})
        return read(row, readers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "read", erased_meanwhile)
        go(engine)
    assert scored(engine) == {stays.id}
    assert [row.asked["question"] for row in rows(engine, "SELECT asked FROM eval_candidates")] == ["Theirs?"]


async def test_erasing_waits_until_a_round_has_written(engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    await writer.write([call(BAD, 100)])
    locked, erased = threading.Event(), threading.Event()

    def erase() -> None:
        locked.wait(120)
        with engine.begin() as other:
            other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x0C82})
            other.execute(text("DELETE FROM eval_scores"))
        erased.set()

    keep = candidates.keep

    def slowly(*given: Any) -> Any:  # noqa: ANN401 - as `keep`
        locked.set()
        assert not erased.wait(0.3)
        return keep(*given)

    monkeypatch.setattr(rounds, "keep", slowly)
    eraser = threading.Thread(target=erase)
    eraser.start()
    go(engine)
    eraser.join(120)
    assert erased.is_set()
    assert scored(engine) == set()


async def test_a_question_seen_again_is_the_same_candidate_and_a_decision_stays(engine: Engine, writer: Writer) -> None:
    await writer.write([call(BAD, 100), call(BAD, 99)])
    assert go(engine).candidates == {"low_score": 1}
    with engine.begin() as connection:
        number = rows(engine, "SELECT id FROM eval_candidates")[0].id
        open_candidate(connection, number)
        decide(connection, number, "dismissed", why="known")
    with engine.begin() as connection, pytest.raises(InvalidSuite, match=f"candidate {number} was dismissed already: known"):
        open_candidate(connection, number)
    flagged = call(GOOD, 59, degraded=("guard:fake-role",))
    await writer.write([flagged])
    assert go(engine, NOW + 2 * ONE).candidates == {"guard_flag": 1}
    (row,) = rows(engine, "SELECT times, reasons, state, request_id FROM eval_candidates")
    assert tuple(row) == (3, ["low_score", "guard_flag"], "dismissed", flagged.request_id)


def say(engine: Engine, request: str, age: float, *, tenant: str = "audit-tests", user: str = "ada") -> None:
    given = "INSERT INTO feedback (tenant, request_id, \"user\", rating, comment, at) VALUES (:t, :r, :u, 'bad', :c, :at)"
    with engine.begin() as connection:
        at = NOW - timedelta(seconds=age)
        connection.execute(text(given), {"t": tenant, "r": request, "u": user, "c": f"{user} says no", "at": at})


async def test_feedback_without_a_readable_call_delays_no_round(engine: Engine, writer: Writer) -> None:
    for number in range(5):
        say(engine, f"req_none_{number}", 600 - number)
        say(engine, f"req_chat_{number}", 700 - number)
    say(engine, "req_mine", 100)
    chats = [call("x", 800, feature="chat.completions", request_id=f"req_chat_{number}") for number in range(5)]
    await writer.write([*chats, call(GOOD, 101, request_id="req_mine")])
    assert go(engine, candidates=5).candidates == {"user_feedback": 1}
    waiting = [row.request_id for row in rows(engine, "SELECT request_id FROM feedback WHERE reviewed_at IS NULL ORDER BY at")]
    assert waiting == [f"req_none_{number}" for number in range(5)], "their records may still come; no chat is ever read"


async def test_one_tenants_feedback_does_not_wait_for_all_of_anothers(engine: Engine, writer: Writer) -> None:
    for number in range(6):
        say(engine, f"req_{number}", 600)
    say(engine, "req_other", 100, tenant="other")
    many = [call(GOOD, 601, question=f"Question {number}?", request_id=f"req_{number}") for number in range(6)]
    await writer.write([*many, call(GOOD, 101, request_id="req_other", tenant="other")])
    assert go(engine, candidates=2).candidates == {"user_feedback": 2}
    assert len(rows(engine, "SELECT 1 FROM eval_candidates WHERE tenant = 'other'")) == 1
    assert [go(engine, NOW + n * ONE, candidates=2).candidates.total() for n in (1, 2, 3)] == [2, 2, 1]


async def test_another_users_words_are_shown_with_a_candidate_and_not_kept_in_it(engine: Engine, writer: Writer) -> None:
    """Erasure: candidates by the call's user, comments by their author (O8)."""
    for user in ("ada", "bob"):
        say(engine, "req_adas", 100, user=user)
        say(engine, "req_nobodys", 100, user=user)
    await writer.write(
        [call(GOOD, 101, request_id="req_adas"), call(GOOD, 101, question="Why?", request_id="req_nobodys", user="")]
    )
    assert go(engine).candidates == {"user_feedback": 2}
    found = {row["request_id"]: row for row in candidates.listed(engine, "new", None, 10)}
    assert [found[name]["seen"].get("comment") for name in ("req_adas", "req_nobodys")] == ["ada says no", None]
    assert [sorted(found[name]["comments"]) for name in ("req_adas", "req_nobodys")] == [
        ["bob says no"],
        ["ada says no", "bob says no"],
    ]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM feedback WHERE \"user\" = 'bob'"))
    assert "bob" not in str(candidates.listed(engine, "new", None, 10))


async def test_feedback_that_is_erased_while_a_round_reads_is_no_reason(engine: Engine, writer: Writer) -> None:
    say(engine, "req_plain", 100, user="bob")
    say(engine, "req_flag", 100, user="bob")
    flagged = call(GOOD, 101, question="Flag?", request_id="req_flag", degraded=("guard:fake-role",))
    await writer.write([call(GOOD, 101, request_id="req_plain"), flagged])
    read = recorded.read

    def erased_meanwhile(row: Any, readers: Any) -> Any:  # noqa: ANN401 - a row
        if row["request_id"] == "req_plain":  # of which feedback alone tells
            with engine.begin() as other:
                other.execute(text("DELETE FROM feedback"))
        return read(row, readers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "read", erased_meanwhile)
        with engine.begin() as connection:
            times = (NOW - timedelta(hours=1), NOW, NOW)
            one = Round(connection, SUITES, limits(seconds=0.001), random.Random(3), times, clock=iter(range(0, 999, 9)).__next__)  # noqa: S311
            assert one.go().candidates == {"guard_flag": 1}


async def test_an_id_that_two_callers_chose_is_two_requests(engine: Engine, writer: Writer) -> None:
    mine, yours, others = ({"tenant": "a"}, {"tenant": "a", "user": "bob"}, {"tenant": "b"})
    for number, whose in enumerate((mine, yours, others)):
        await writer.write([call(BAD, 100 - 10 * number, request_id="req_same", **whose)])
        go(engine, NOW - timedelta(seconds=31 - 10 * number))
    (row,) = rows(engine, "SELECT times, tenant FROM eval_candidates")
    assert tuple(row) == (3, "b")


async def test_feedback_waits_for_its_record_and_is_forgotten_without_one(engine: Engine, writer: Writer) -> None:
    given = "INSERT INTO feedback (tenant, request_id, \"user\", rating, comment, at) VALUES (:t, :r, 'ada', 'bad', 'no', :at)"
    with engine.begin() as connection:
        for tenant, request, age in (
            ("audit-tests", "req_late", 70),
            ("other", "req_late", 70),
            ("audit-tests", "req_never", 7000),
        ):
            connection.execute(text(given), {"t": tenant, "r": request, "at": NOW - timedelta(seconds=age)})
    waiting = "SELECT tenant, request_id FROM feedback WHERE reviewed_at IS NULL ORDER BY tenant"
    go(engine)
    assert [tuple(row) for row in rows(engine, waiting)] == [("audit-tests", "req_late"), ("other", "req_late")]
    await writer.write([call(GOOD, 71, request_id="req_late")])
    assert go(engine, NOW + ONE).candidates == {"user_feedback": 1}
    assert [tuple(row) for row in rows(engine, waiting)] == [("other", "req_late")], (
        "a tenant cannot rate another tenant's answers"
    )


async def test_candidates_of_a_round_are_bounded_and_what_is_over_is_counted(engine: Engine, writer: Writer) -> None:
    await writer.write([call(BAD, 100 + n, question=f"Question {n}?") for n in range(9)])
    await writer.write([call(GOOD, 200 + n, question=f"Flag {n}?", degraded=("guard:fake-role",)) for n in range(9)])
    finished = go(engine, sample=1000, candidates=5)
    assert finished.candidates == {"low_score": 5, "guard_flag": 5}
    assert finished.left_out["candidates"] == 8


async def test_a_nul_in_an_answer_stops_no_round(engine: Engine, writer: Writer) -> None:
    poisoned, fine = call("It takes\0 9 days. [shipping-times]", 100, question="When\0?"), call(GOOD, 99)
    await writer.write([poisoned, fine])
    assert go(engine).scored.total() == 2
    (found,) = rows(engine, "SELECT asked, seen FROM eval_candidates")
    assert found.asked["question"] == "When\N{REPLACEMENT CHARACTER}?"


async def test_questions_without_evidence_crowd_nothing_out(engine: Engine, writer: Writer) -> None:
    """They cost nothing, so one caller can send a thousand."""
    unanswered = [call("", 70 + n, tenant="aaa", outcome="no_evidence", question=f"What is {n} times {n}?") for n in range(9)]
    flagged = [call(GOOD, 70 + n, tenant="zzz", degraded=("guard:fake-role",), question=f"Who am {n}?") for n in range(3)]
    await writer.write([*unanswered, *flagged])
    given = "INSERT INTO support_handovers (tenant, \"user\", request_id, reason, created_at) VALUES ('aaa', '', :id, '', :at)"
    with engine.begin() as connection:
        connection.execute(text(given), [{"id": one.request_id, "at": one.at} for one in unanswered])
    finished = go(engine, candidates=5)
    assert finished.candidates == {"guard_flag": 3, "hand_over": 2}
    assert finished.left_out["candidates"] == 7


async def test_a_marked_call_becomes_a_candidate_with_its_operators_words(engine: Engine, writer: Writer, own_url: str) -> None:
    """Whichever pass was marked, and however good the answer; one that no suite reads becomes none."""
    tool = json.dumps({"parts": [{"tool_use": "get_order", "arguments": "{}"}], "stop": "tool_use"})
    same = {"request_id": "req_marked", "trace_id": "a" * 32}
    first, last = call("", 61, response=tool, **same), call(GOOD, 59, **same)
    foreign, later = call("x", 99, feature="chat.completions"), call(GOOD, 58, question="Later?")
    await writer.write([first, last, foreign, later])
    service = create_async_engine(own_url)
    for one in (first, foreign):
        await marks.mark(service, one.id, "names the article")
    with pytest.raises(InvalidRequest, match="marked already"):
        await marks.mark(service, first.id, "again")
    with pytest.raises(NotFound):
        await marks.mark(service, "call_none", "x")
    await marks.mark(service, later.id, "a slip")
    await marks.unmark(service, later.id)
    assert go(engine).candidates == {"operator": 1}
    (candidate,) = candidates.listed(engine, "new", "operator", 10)
    assert (candidate["request_id"], candidate["notes"]) == ("req_marked", ["names the article"])
    found = await marks.marks_of(service, [first.id, foreign.id, later.id])
    assert {name: (one.candidate, one.state) for name, one in found.items()} == {
        first.id: (candidate["id"], "new"), foreign.id: (None, None),
    }  # fmt: skip
    with pytest.raises(InvalidRequest, match="Dismiss its candidate"):
        await marks.unmark(service, first.id)
    assert go(engine, NOW + 2 * ONE).candidates.total() == 0, "a mark is taken up once"
    await service.dispose()


@pytest.fixture
def unmarked(own_url: str) -> Callable[[str], str]:
    """Takes a mark back, from any thread. Returns the refusal's words, or none."""

    async def take_back(call_id: str) -> str:
        service = create_async_engine(own_url)
        try:
            await marks.unmark(service, call_id)
        except InvalidRequest as refused:
            return refused.message
        finally:
            await service.dispose()
        return ""

    return lambda call_id: ThreadPoolExecutor(1).submit(asyncio.run, take_back(call_id)).result()


async def test_a_mark_that_is_taken_back_while_a_round_reads_makes_no_candidate(
    engine: Engine, writer: Writer, own_url: str, unmarked: Callable[[str], str]
) -> None:
    one, low = call(GOOD, 100), call(BAD, 100, question="Low?")
    await writer.write([one, low])
    service = create_async_engine(own_url)
    for marked in (one, low):
        await marks.mark(service, marked.id, "a slip")
    await service.dispose()
    waiting, said = of_rounds.waiting, list[str]()

    def taken_back_then(connection: Any, most: int) -> Any:  # noqa: ANN401 - rows
        found = waiting(connection, most)
        said.extend(unmarked(marked.id) for marked in (one, low))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_rounds, "waiting", taken_back_then)
        assert go(engine).candidates == {"low_score": 1}
    assert said == ["", ""]


async def test_a_mark_that_a_round_has_taken_up_is_not_taken_back(
    engine: Engine, writer: Writer, own_url: str, unmarked: Callable[[str], str]
) -> None:
    one = call(GOOD, 100)
    await writer.write([one])
    service = create_async_engine(own_url)
    await marks.mark(service, one.id, "names the article")
    await service.dispose()
    settle, others = of_rounds.settle, ThreadPoolExecutor(1)
    trying = list[Future[str]]()

    def tried_before(*about: Any) -> None:  # noqa: ANN401 - as `settle`
        trying.append(others.submit(unmarked, one.id))
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not trying[0].done() and not rows(engine, waits):
            time.sleep(0.01)
        settle(*about)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_rounds, "settle", tried_before)
        assert go(engine).candidates == {"operator": 1}
    assert "Dismiss its candidate" in trying[0].result()
