"""The waterfall of `octant trace`: begin and length of each step on one axis."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.cli.trace import BAR, Bar, bars_of, waterfall

AT = datetime(2026, 11, 23, tzinfo=UTC)


def a_call(after_ms: float, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    attempt = {"provider": "openai", "model": "m", "started_ms": 10.0, "latency_ms": 20.0, "outcome": "ok", "cost": 1}
    call = {"at": AT + timedelta(milliseconds=after_ms), "feature": "chat", "latency_ms": 40.0, "outcome": "ok", "cost": 1}
    return {**call, "attempts": [attempt], **fields}


def test_attempts_stand_under_their_call_on_the_traces_own_axis() -> None:
    bars = bars_of([a_call(0), a_call(100)])
    assert [(b.start, b.length, b.depth) for b in bars] == [(0, 40, 0), (10, 20, 1), (100, 40, 0), (110, 20, 1)]


def test_bars_are_in_proportion_and_never_leave_the_width() -> None:
    lines = waterfall([Bar("whole", 0, 100, "ok", 0), Bar("end", 99.9, 0.1, "ok", 0), Bar("half", 50, 50, "ok", 0)], width=40)
    assert [line.count(BAR) for line in lines] == [40, 1, 20]
    assert len({line.index(" ms") for line in lines}) == 1
    assert waterfall([Bar("nothing", 0, 0, "refused", 0)], width=20)[0].count(BAR) >= 1
