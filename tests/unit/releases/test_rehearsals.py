"""The log of rehearsals (B5)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import Misconfigured
from app.releases.rehearsals import LogCheck, Rehearsal, Step, append, read, verify

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_what_is_appended_is_read_oldest_first_whatever_the_order_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "runbook" / "rehearsals.jsonl"
    newest, oldest = (
        Rehearsal(AT, "outage", kept=True, note="99.97 %"),
        Rehearsal(AT - timedelta(days=31), "rollback", kept=False, note="pasted\u2028from a\x85page"),
    )
    append(path, newest)
    append(path, oldest)
    assert read(path) == [oldest, newest]


def test_without_a_log_there_was_no_rehearsal(tmp_path: Path) -> None:
    assert read(tmp_path / "rehearsals.jsonl") == []


@pytest.mark.parametrize("line", ["{}", "yesterday", '{"at": "2026-11-24T09:30:00", "what": "outage", "kept": true}'])
def test_a_line_without_a_rehearsal_or_a_time_zone_is_reported_by_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "rehearsals.jsonl"
    append(path, Rehearsal(AT, "outage", kept=True))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(Misconfigured, match="line 2"):
        read(path)


SECRET, OTHER = b"a secret of a service, long enough", b"another service's secret, as long"


@pytest.fixture
def signed_log(tmp_path: Path) -> Path:
    """An unsigned line between two signed ones."""
    path = tmp_path / "rehearsals.jsonl"
    steps = (Step("prompt support/answer", 1.25, kept=True), Step("kill all", 0.5, kept=True))
    append(path, Rehearsal(AT, "rollback", kept=True, verdict="kept", workers=4, steps=steps), secret=SECRET)
    append(path, Rehearsal(AT, "outage", kept=True, note="99.97 %"))
    append(path, Rehearsal(AT, "rollback", kept=False, note="é", verdict="not kept"), secret=SECRET)
    return path


def test_a_signed_log_reads_as_it_was_written_and_verifies(signed_log: Path) -> None:
    assert verify(signed_log, SECRET) == LogCheck(2, 1, 0, ())
    both = verify(signed_log, SECRET) + verify(signed_log, OTHER)
    assert (both.signed, both.unsigned, both.foreign) == (2, 2, 2), "the signatures of two logs"
    assert [len(rehearsal.steps) for rehearsal in read(signed_log)] == [2, 0, 0]
    assert '"steps"' not in signed_log.read_text().splitlines()[1], "an unsigned line is as short as it was"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ('"kept": false', '"kept": true', ["line 3"]),
        ("99.97", "99.99", ["line 3"]),
        ("1.25", "0.25", ["line 1", "line 3"]),
        ('"workers": 4', '"workers": 8', ["line 1", "line 3"]),
    ],
)
def test_a_changed_line_is_found_signed_or_not(signed_log: Path, old: str, new: str, lines: list[str]) -> None:
    text = signed_log.read_text()
    assert text.count(old) == 1
    signed_log.write_text(text.replace(old, new))
    problems = verify(signed_log, SECRET).problems
    assert [problem.partition(" is")[0].partition(":")[0] for problem in problems] == lines


@pytest.mark.parametrize("gone", [0, 1])
def test_a_line_that_was_removed_before_a_signed_one_is_found(signed_log: Path, gone: int) -> None:
    lines = signed_log.read_text().splitlines(keepends=True)
    signed_log.write_text("".join(lines[:gone] + lines[gone + 1 :]))
    assert verify(signed_log, SECRET).problems == (
        "line 2: a line before it was changed, inserted or removed after it was signed",
    )


def test_lines_of_another_secret_are_counted_apart_and_their_past_is_still_compared(signed_log: Path) -> None:
    assert verify(signed_log, OTHER) == LogCheck(0, 1, 2, ())
    signed_log.write_text(signed_log.read_text().replace("99.97", "99.99"))
    assert len(verify(signed_log, OTHER).problems) == 1
