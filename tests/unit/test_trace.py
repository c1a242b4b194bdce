"""The waterfall of `octant trace`: begin and length of each step on one axis."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.audit.waterfall import account_of, passed_over, spans_of
from app.cli.trace import BAR, Bar, bars_of, waterfall
from app.domain.records import step_text

AT = datetime(2026, 11, 23, tzinfo=UTC)


def a_call(after_ms: float, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    attempt = {"provider": "openai", "model": "m", "started_ms": 10.0, "latency_ms": 20.0, "outcome": "ok", "cost": 1}
    call = {"at": AT + timedelta(milliseconds=after_ms), "feature": "chat", "latency_ms": 40.0, "outcome": "ok", "cost": 1}
    return {**call, "request_id": "r", "before_ms": None, "steps": None, "attempts": [attempt], **fields}


def test_attempts_stand_under_their_call_on_the_traces_own_axis() -> None:
    bars = bars_of([a_call(0), a_call(100)])
    assert [(b.start, b.length, b.depth) for b in bars] == [(0, 40, 0), (10, 20, 1), (100, 40, 0), (110, 20, 1)]


def test_edge_retrieval_and_tools_stand_where_they_ran() -> None:
    """Of a request's later call the time before it is the earlier call's, so only its first has an edge."""
    second = 1_000_000
    found = step_text([("retrieval", "help", 5 * second, 9 * second, False)], 10 * second)
    used = step_text([("tool", "get_order", 50 * second, 95 * second, True)], 110 * second)
    calls = [a_call(0, before_ms=8.0, steps=found, attempts=[]), a_call(100, before_ms=108.0, steps=used, attempts=[])]
    other = a_call(200, before_ms=1.0, request_id="another", attempts=[])
    assert [(s.label, s.kind, s.outcome, s.start, s.length) for s in spans_of([*calls, other])] == [
        ("edge", "edge", "", 0, 3),
        ("retrieval help", "retrieval", "ok", 3, 4),
        ("chat", "call", "ok", 8, 40),
        ("tool get_order", "tool", "failed", 48, 45),
        ("chat", "call", "ok", 108, 40),
        ("edge", "edge", "", 207, 1),
        ("chat", "call", "ok", 208, 40),
    ]
    assert spans_of([]) == []
    assert step_text([], 0) is None


def test_the_time_of_a_request_is_the_sum_of_its_parts() -> None:
    """Attempts that run at once count once, and what no step covers is named."""
    hedged = [
        {"provider": "openai", "model": "m", "started_ms": 4.0, "latency_ms": 90.0, "outcome": "ok", "cost": 1},
        {"provider": "anthropic", "model": "m", "started_ms": 50.0, "latency_ms": 46.0, "outcome": "ok", "cost": 1},
    ]
    used = step_text([("tool", "get_order", 140_000_000, 190_000_000, False)], 208_000_000)
    calls = [
        a_call(0, before_ms=8.0, latency_ms=100.0, attempts=hedged),
        a_call(200, before_ms=208.0, steps=used),
        a_call(5000, before_ms=1.0, request_id="another"),
    ]
    account = account_of(calls)
    assert account.took == pytest.approx(248 + 41)
    assert account.steps == pytest.approx({"edge": 9, "attempt": 136 + 40, "tool": 50})
    assert account.overlap == pytest.approx(44)
    assert sum(length for _, length in account.words) == pytest.approx(account.took)
    assert [name for name, _ in account.words] == ["edge", "tools", "attempts", "overlap", "the service itself"]
    first = next(span for span in spans_of(calls) if span.kind == "call")
    assert first.own == [(8.0, 4.0), (pytest.approx(104.0), pytest.approx(4.0))]


def test_the_wait_before_a_retry_is_none_of_the_services_work() -> None:
    """A call with two retries and a hedge: only the gaps between its attempts are waits, and the sum stays whole."""
    tried = [(2.0, 1.0), (53.0, 1.0), (174.0, 2.0), (175.0, 4.0)]
    attempts = [
        {"provider": "openai", "model": "m", "started_ms": at, "latency_ms": length, "outcome": "failed", "cost": 0}
        for at, length in tried
    ]
    calls = [a_call(0, before_ms=4.0, latency_ms=180.0, attempts=attempts)]
    account = account_of(calls)
    assert account.waited == pytest.approx(50 + 120)
    assert account.own == pytest.approx(2 + 1)
    assert dict(account.words)["waits between attempts"] == pytest.approx(170)
    assert sum(length for _, length in account.words) == pytest.approx(account.took) == pytest.approx(184)
    call = next(span for span in spans_of(calls) if span.kind == "call")
    assert call.waits == [(7.0, 50.0), (58.0, 120.0)]
    assert call.own == [(4.0, 2.0), (183.0, 1.0)]
    alone = account_of([a_call(0, attempts=[])])
    assert (alone.waited, alone.own, [name for name, _ in alone.words]) == (0, 40, ["the service itself"])


def test_a_target_that_was_passed_over_has_its_name_and_reason() -> None:
    """Only the answering provider has an attempt, so the reason for the fallback stands nowhere else."""
    second = 1_000_000_000
    steps = step_text(
        [
            ("circuit", "anthropic m", 60 * second, 100 * second, False),
            ("stopped", "openai o", 100 * second, 100 * second, False),
        ],
        100 * second,
    )
    row = a_call(0, before_ms=4.0, steps=steps)
    assert passed_over(row) == [
        "anthropic m was passed over: its circuit was open since 2026-11-22 23:59:20 UTC.",
        "openai o was passed over: an operator had stopped it.",
    ]
    spans = [(one.label, one.kind, one.start, one.length) for one in spans_of([row])]
    assert spans == [
        ("edge", "edge", 0, 4), ("chat", "call", 4, 40), ("anthropic m, passed over", "attempt", 4, 0),
        ("openai o, passed over", "attempt", 4, 0), ("openai m", "attempt", 14, 20),
    ]  # fmt: skip
    assert account_of([row]).took == 44
    assert passed_over(a_call(0)) == []


def test_bars_are_in_proportion_and_never_leave_the_width() -> None:
    lines = waterfall([Bar("whole", 0, 100, "ok", 0), Bar("end", 99.9, 0.1, "ok", 0), Bar("half", 50, 50, "ok", 0)], width=40)
    assert [line.count(BAR) for line in lines] == [40, 1, 20]
    assert len({line.index(" ms") for line in lines}) == 1
    assert waterfall([Bar("nothing", 0, 0, "refused", 0)], width=20)[0].count(BAR) >= 1
