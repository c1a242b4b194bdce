"""`make outage` judges the callers' results: kept, not kept, or not judged (R10)."""

from pathlib import Path

import pytest

from app.releases.rehearsals import read, verify
from app.settings import load
from app.stack.baseline import Verdict
from benchmarks import outage
from benchmarks.callers import Seen
from benchmarks.outage import Phase, judge, result

KEPT, NOT_KEPT, NOT_JUDGED = Verdict.KEPT, Verdict.NOT_KEPT, Verdict.NOT_JUDGED


def seen(what: str = "answered", provider: str = "anthropic", seconds: float = 0.2, sent: float = 6.0) -> Seen:
    return Seen("whole", what, provider, sent, seconds, 0, 1, 0.001)


WELL = [seen()] * 20
BACKUP = [seen(provider="openai")] * 1000
TIMEOUTS = [seen("deadline_exceeded", seconds=4.8)] * 5


@pytest.mark.parametrize(
    ("phase", "both", "code"),
    [
        (Phase(WELL, BACKUP, 1.0), TIMEOUTS, KEPT),
        (Phase(WELL, [*BACKUP[:-2], *[seen("deadline_exceeded")] * 2], 1.0), TIMEOUTS, NOT_KEPT),
        (Phase(WELL, [seen(provider="openai", seconds=2.5)] * 1000, 1.0), TIMEOUTS, NOT_KEPT),
        (Phase(WELL, [*BACKUP, *[seen(seconds=9.0, sent=1.0)] * 100], 1.0), TIMEOUTS, KEPT),
        (Phase(WELL, BACKUP, None), TIMEOUTS, NOT_KEPT),
        (Phase(WELL, BACKUP, 1.0), [seen("deadline_exceeded", seconds=6.5)], NOT_KEPT),
        (Phase(WELL, BACKUP, 1.0), [seen("ClientPayloadError")], NOT_KEPT),
        (Phase([seen("providers_unavailable")] * 20, [seen("providers_unavailable")] * 100, None), TIMEOUTS, NOT_JUDGED),
        (Phase([seen(provider="openai")] * 20, BACKUP, 1.0), TIMEOUTS, NOT_JUDGED),
        (Phase(WELL, [seen("deadline_exceeded")] * 9, 1.0, after=[seen(seconds=2.0)] * 20), TIMEOUTS, NOT_JUDGED),
        (Phase(WELL, [seen("deadline_exceeded")] * 9, 1.0, after=WELL), TIMEOUTS, NOT_KEPT),
        (Phase(WELL, [seen("deadline_exceeded")] * 9, None, after=[seen(seconds=2.0)] * 20), TIMEOUTS, NOT_KEPT),
        (Phase(WELL, BACKUP, 1.0, after=[seen(seconds=2.0)] * 20), TIMEOUTS, KEPT),
    ],
)
def test_the_callers_results_are_kept_not_kept_or_not_judged(phase: Phase, both: list[Seen], code: Verdict) -> None:
    assert judge({"hanging": phase}, Phase(WELL, both)) == code


def test_on_a_machine_that_is_too_busy_nothing_is_judged() -> None:
    slow = Phase([seen(seconds=1.5)] * 20, [seen("deadline_exceeded")] * 20)
    assert judge({}, slow) == NOT_JUDGED
    assert judge({"hanging": slow}, Phase(WELL, TIMEOUTS)) == NOT_JUDGED


def test_the_log_says_how_many_noticed_and_whether_the_half_hour_was_a_whole_one() -> None:
    phase = Phase(WELL, [*BACKUP[:-2], seen("degraded"), seen("deadline_exceeded")])
    assert result({"hanging": phase}, 1, 25) == (
        "1 of 1,000 callers noticed in 30 minutes (hanging), at 25 requests a second; 99.90 % were answered, p99 200 ms"
    )
    assert "1 of 2,000 callers noticed in 7.5 s that stand for 30 minutes (5xx, hanging)" in result(
        {"5xx": Phase(WELL, BACKUP), "hanging": phase}, 240, 40
    )


def test_the_line_in_the_log_is_signed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "rehearsals.jsonl"
    monkeypatch.setenv("OCTANT_REHEARSALS_FILE", str(log))
    outage._log({"refused": Phase(WELL, BACKUP, 1.0)}, KEPT, 1.0, 40.0)
    assert read(log)[0].command.startswith('make outage ARGS="')
    found = verify(log, load().secret)
    assert (found.signed, found.unsigned, found.foreign) == (1, 0, 0)
